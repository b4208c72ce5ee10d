//! Writes a complete file where the user says, for the user alone.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::output::grouped;
use crate::cli::remote_node::RemoteNode;
use crate::cli::{Exit, Failure};
use crate::node::{FileDirection, FileStage, FileView};

/// Saves a file. A file of this name is never replaced.
pub(super) async fn run(node: &mut RemoteNode, number: u64, out: &Path) -> Result<Exit, Failure> {
    let view: FileView = node.call("whisht_file", json!([number])).await?;
    if view.direction != FileDirection::In || view.stage != FileStage::Complete {
        return Err(Failure::usage(format_args!(
            "file {number} is not a complete file from another side; `whisht file list` shows how far each is"
        )));
    }
    let refuse = |error: io::Error| {
        Failure::usage(format_args!(
            "cannot write {}: {error}; name a file that does not exist, in a folder of yours",
            out.display()
        ))
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(out)
        .map_err(refuse)?;
    let written = write(node, &view, &mut file, out).await;
    match written {
        Ok(()) => {}
        Err(failure) => {
            // Half a file would be taken for the whole.
            let _ = std::fs::remove_file(out);
            return Err(failure);
        }
    }
    if node.printer.json {
        let saved = json!({"file": view, "path": out.display().to_string()});
        node.printer.value(&saved)?;
    } else {
        node.printer.line(format_args!(
            "saved {} bytes to {}; whisht has not opened the file, and a file can attack the program that does",
            grouped(view.size),
            out.display()
        ))?;
    }
    Ok(Exit::Done)
}

async fn write(
    node: &mut RemoteNode,
    view: &FileView,
    file: &mut File,
    out: &Path,
) -> Result<(), Failure> {
    let full = |error: io::Error| {
        Failure::new(
            Exit::Failed,
            format_args!(
                "cannot write {}: {error}; nothing is left of it there, so name a file where there is room",
                out.display()
            ),
        )
    };
    let damaged = || {
        Failure::new(
            Exit::Failed,
            "the node gave a chunk of another length; see its log",
        )
    };
    let mut left = view.size;
    for chunk in 0..view.chunks() {
        let params = json!([{"file": view.number, "chunk": chunk}]);
        let digits: Zeroizing<String> = node.call("whisht_fileRead", params).await?;
        let bytes = hex::decode(digits.as_str()).map_err(|_| damaged())?;
        let bytes = Zeroizing::new(bytes);
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        left = left.checked_sub(len).ok_or_else(damaged)?;
        file.write_all(&bytes).map_err(full)?;
    }
    if left > 0 {
        return Err(damaged());
    }
    file.sync_all().map_err(full)
}
