//! A peer that somebody else wrote: `peer.mjs`, on top of @ethereumjs/devp2p.

use std::path::{Path, PathBuf};

use crate::script::{NodeScript, ScriptProcess};

/// A running `peer.mjs`.
pub(crate) type Devp2pPeer = ScriptProcess;

/// Starts it; its head says what the arguments mean.
pub(crate) fn start(node: &Path, arguments: &[&str]) -> Devp2pPeer {
    SCRIPT.start(node, arguments)
}

/// Where Node.js is, if it and the modules are here.
pub(crate) fn node() -> Option<PathBuf> {
    SCRIPT.node()
}

const SCRIPT: NodeScript = NodeScript {
    folder: "devp2p",
    file: "peer.mjs",
    package: "@ethereumjs/devp2p",
};
