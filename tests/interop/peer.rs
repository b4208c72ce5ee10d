//! A peer in another implementation: `peer.mjs`, based on @ethereumjs/devp2p.

use std::path::{Path, PathBuf};

use crate::script::{NodeScript, ScriptProcess};

/// A running `peer.mjs`.
pub(crate) type Devp2pPeer = ScriptProcess;

/// Starts the peer; the head of the script documents the arguments.
pub(crate) fn start(node: &Path, arguments: &[&str]) -> Devp2pPeer {
    SCRIPT.start(node, arguments)
}

/// The path of Node.js, if it and the modules are installed.
pub(crate) fn node() -> Option<PathBuf> {
    SCRIPT.node()
}

const SCRIPT: NodeScript = NodeScript {
    folder: "devp2p",
    file: "peer.mjs",
    package: "@ethereumjs/devp2p",
};
