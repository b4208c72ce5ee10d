//! A file over Tor: what the source attaches reaches the reader through circuits whose every link is an
//! onion service.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::TorWorld;
use crate::node::{NodeProcess, until_within};

impl TorWorld {
    /// The source offers 2 MB in the open conversation; the reader accepts and saves them.
    pub(crate) fn assert_file_is_handed_over(&self) {
        let bytes = document();
        let path = self.scratch.path().join("minutes.txt");
        fs::write(&path, &bytes).unwrap();
        let attach = ["send", "--to", "press", "--attach", path.to_str().unwrap()];
        let options = ["--level", "normal", "--no-wait"];
        let offered = self.source.ask(&[&attach[..], &options].concat());
        assert_eq!(offered["stage"]["stage"], "offered", "{offered}");
        let offer = until_within(OFFER_TIMEOUT, "the reader has an offer", || {
            let mut files = files(&self.reader).into_iter();
            files.find(|file| file["stage"]["stage"] == "offered")
        });
        let number = offer["number"].to_string();
        self.reader.ask(&["file", "accept", &number, "--no-wait"]);
        for (node, end) in [(&self.reader, "reader"), (&self.source, "source")] {
            let what = format!("the file is complete at the {end}");
            until_within(TRANSFER_TIMEOUT, &what, || {
                let file = files(node).pop()?;
                assert_ne!(file["stage"]["stage"], "failed", "{file}");
                (file["stage"]["stage"] == "complete").then_some(())
            });
        }
        let saved = self.scratch.path().join("saved");
        let out = saved.to_str().unwrap();
        self.reader.ask(&["file", "save", &number, "--output", out]);
        assert!(fs::read(saved).unwrap() == bytes, "the bytes differ");
    }
}

/// The files of a node, in the order of their numbers.
fn files(node: &NodeProcess) -> Vec<Value> {
    let files = node.ask(&["file", "list"]);
    files.as_array().unwrap().clone()
}

/// 2 MB of text that no two chunks share.
fn document() -> Vec<u8> {
    let lines = (0_u64..).flat_map(|line| {
        let mixed = line.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        format!("{line:08} {mixed:016x}\n").into_bytes()
    });
    lines.take(2_000_001).collect()
}

/// An offer is a message, whose shards may be lost once.
const OFFER_TIMEOUT: Duration = Duration::from_secs(240);
/// A meeting begins at full two minutes, and one that fails is followed by another.
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(480);
