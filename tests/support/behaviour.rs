//! The automatic behaviour of a scripted peer.

use circuits::ids::{NetworkId, Profile};
use whisht::envelope::ProtocolVersion;

/// The automatic behaviour of a scripted peer.
#[derive(Clone, Copy)]
pub(crate) struct PeerBehaviour {
    /// The network in its `onion/1` status; `None` for no status.
    pub(crate) network: Option<NetworkId>,
    /// The version of Whisper that the peer speaks, if any.
    pub(crate) shh: Option<ProtocolVersion>,
    /// Whether it expects confirmations of its packets, as status-im does.
    pub(crate) wants_confirmations: bool,
    pub(crate) onion: bool,
    /// Whether it answers the handshake of a connection.
    pub(crate) handshakes: bool,
    /// Its client name.
    pub(crate) client: &'static str,
    /// Its minimum proof of work.
    pub(crate) min_pow: f64,
    /// Whether it requests every announced envelope.
    pub(crate) requests_announced: bool,
}

impl PeerBehaviour {
    /// A relay that looks honest.
    pub(crate) fn relay() -> Self {
        Self {
            network: Some(NetworkId::new(Profile::Local, "test")),
            shh: Some(ProtocolVersion::V6),
            wants_confirmations: false,
            onion: true,
            handshakes: true,
            client: "whisht/v0.1.0",
            min_pow: 0.0,
            requests_announced: true,
        }
    }

    /// Another implementation, which speaks only plain Whisper.
    pub(crate) fn shh6_only(client: &'static str) -> Self {
        Self {
            network: None,
            onion: false,
            client,
            min_pow: 0.002,
            ..Self::relay()
        }
    }

    /// A peer that only carries cells.
    pub(crate) fn cells_only() -> Self {
        Self {
            shh: None,
            ..Self::relay()
        }
    }

    /// go-ethereum 1.7: `shh/5`, and no protocol of ours.
    pub(crate) fn shh5_only() -> Self {
        Self {
            network: None,
            shh: Some(ProtocolVersion::V5),
            ..Self::relay()
        }
    }
}
