//! Views of what peers report that dialled this node on request.

use serde::{Deserialize, Serialize};

/// What peers report that this node asked to dial it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct DialBackView {
    /// Seconds since they were asked.
    pub secs_ago: u64,
    /// One entry for each of them.
    pub peers: Vec<DialedBackView>,
}

/// What one peer reports.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct DialedBackView {
    /// Its key (64 bytes, hexadecimal).
    pub peer: String,
    /// The TCP port of this node that it was asked to dial.
    pub port: u16,
    /// How its dial ended.
    pub outcome: DialBackOutcome,
}

/// How the dial of a peer ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DialBackOutcome {
    /// It reached this node, which saw the connection.
    Reached,
    /// It reports that it reached this node, which saw no connection of it.
    Contradicted,
    /// It got no answer.
    NoAnswer,
    /// The connection was refused.
    Refused,
    /// Another program answered.
    OtherKey,
    /// It did not dial: it dials for too many nodes at the moment.
    Busy,
    /// It did not dial: it uses Tor, or accepts no connections.
    NeverDials,
    /// It did not dial: the address of this node, as it sees it, is not a public one.
    AddressNotDialed,
    /// It did not dial: the port is below 1,024.
    PortNotDialed,
    /// It did not answer the request.
    Silent,
}

impl DialBackOutcome {
    /// Whether the peer tried, so that the outcome tells something about this node.
    #[must_use]
    pub const fn is_evidence(self) -> bool {
        matches!(
            self,
            Self::Reached | Self::Contradicted | Self::NoAnswer | Self::Refused | Self::OtherKey
        )
    }

    /// The outcome in words, after "a peer".
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Reached => "reached this node",
            Self::Contradicted => "reports a connection that never arrived here",
            Self::NoAnswer => "got no answer",
            Self::Refused => "was refused",
            Self::OtherKey => "found another program",
            Self::Busy => "was busy",
            Self::NeverDials => "never dials for others",
            Self::AddressNotDialed => "sees an address that is not public",
            Self::PortNotDialed => "dials no port below 1024",
            Self::Silent => "did not answer the request",
        }
    }
}

#[cfg(test)]
impl DialBackView {
    /// One peer with each outcome.
    pub(super) fn example() -> Self {
        let all = [
            DialBackOutcome::Reached,
            DialBackOutcome::Contradicted,
            DialBackOutcome::NoAnswer,
            DialBackOutcome::Refused,
            DialBackOutcome::OtherKey,
            DialBackOutcome::Busy,
            DialBackOutcome::NeverDials,
            DialBackOutcome::AddressNotDialed,
            DialBackOutcome::PortNotDialed,
            DialBackOutcome::Silent,
        ];
        let peers = all.map(|outcome| DialedBackView {
            peer: "ab".repeat(64),
            port: 20_819,
            outcome,
        });
        Self {
            secs_ago: 5,
            peers: peers.to_vec(),
        }
    }
}
