//! The signed list, made as docs/relay-lists.md says: three signers, two of whom sign.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::earlier_run::today;

/// A list that two of three signers have signed.
pub(crate) struct SignedList {
    signers: Vec<String>,
    file: PathBuf,
}

impl SignedList {
    /// Makes keys, and a list of these relays that is valid from today on.
    pub(crate) fn make(dir: &Path, enodes: &[String]) -> Self {
        let names = ["anna", "boris", "clara"];
        let signers: Vec<String> = names
            .iter()
            .map(|name| {
                let key = format!("{name}.key");
                let made = directory(dir, &["keygen", &key, "--no-password", "--json"]);
                let made: Value = serde_json::from_str(&made).unwrap();
                made["signer"].as_str().unwrap().to_owned()
            })
            .collect();
        let relays = enodes
            .iter()
            .map(|enode| format!("\n[[relays]]\nenode = \"{enode}\"\n"));
        let draft = format!(
            "network = \"whisht\"\nfrom = \"{}\"\ndays = 3\nthreshold = 2\nsigners = {signers:?}\n{}",
            today(),
            relays.collect::<String>()
        );
        fs::write(dir.join("draft.toml"), draft).unwrap();
        for name in ["anna", "clara"] {
            let (key, list) = (format!("{name}.key"), format!("{name}.list"));
            directory(
                dir,
                &["sign", "draft.toml", "--key", &key, "--yes", "-o", &list],
            );
        }
        directory(
            dir,
            &["merge", "anna.list", "clara.list", "-o", "relays.list"],
        );
        let told = directory(
            dir,
            &["verify", "relays.list", "--signer", &signers.join(",")],
        );
        assert!(
            told.starts_with("valid: 2 of 3 signers have signed"),
            "{told}"
        );
        Self {
            signers,
            file: dir.join("relays.list"),
        }
    }

    /// The configuration file of a node that follows the list.
    pub(crate) fn settings(&self, role: &str) -> String {
        format!(
            "{role}\n\n[directory]\nsigners = {:?}\nfile = {:?}\n",
            self.signers, self.file
        )
    }
}

/// Runs `whisht directory`, and returns its output.
fn directory(dir: &Path, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whisht"));
    let output = command
        .current_dir(dir)
        .arg("directory")
        .args(args)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}
