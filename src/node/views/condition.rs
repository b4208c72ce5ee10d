//! Views of the node's condition: its turns, the places of inbound links, its clock.

use core::fmt;

use serde::{Deserialize, Serialize};

/// How long the turns of a node took. A turn takes one input; while it lasts, the node answers no
/// peer and no client.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct TurnTimes {
    /// Number of turns since the start.
    pub count: u64,
    /// Processor time of the longest turn since the start, in microseconds.
    pub longest_us: u64,
    /// Processor time of the longest turn of the last hour, in microseconds.
    pub longest_last_hour_us: u64,
}

/// The places of inbound links, by what their peers are to the node. Each link is counted once.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct InboundView {
    /// Number of places.
    pub places: usize,
    /// Peers that the user named.
    pub named: usize,
    /// Peers that are useful, or were in an earlier link.
    pub useful: usize,
    /// Relays of the directory.
    pub relays: usize,
    /// Other peers that carry gossip.
    pub gossip: usize,
    /// Other peers that carry cells only.
    pub cells_only: usize,
    /// Connections without a complete handshake. They hold no place.
    pub unproven: usize,
    /// Which places were all taken within the last minute; `None` if there was room.
    #[serde(deserialize_with = "Option::deserialize")]
    pub full: Option<String>,
    /// Number of links that made room for others since the start.
    pub displaced: u64,
    /// Number of newcomers refused for want of places since the start.
    pub turned_away: u64,
    /// Bytes in memory of frames that have not arrived whole.
    pub unfinished_bytes: usize,
    /// Number of links closed since the start because all together held too many bytes in memory.
    pub overfull: u64,
    /// Number of times since the start that a listener stopped accepting for a moment.
    pub listener_faults: u64,
    /// The last of these, and how long ago it was.
    #[serde(deserialize_with = "Option::deserialize")]
    pub listener_fault: Option<ListenerFaultView>,
}

/// Why a listener did not accept connections.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ListenerFaultView {
    /// The reason.
    pub reason: String,
    /// Seconds since then.
    pub secs_ago: u64,
}

/// How far this machine's clock is from those of the peers that the user named.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ClockView {
    /// Seconds by which it is behind; negative if it is ahead.
    pub behind_secs: i64,
    /// Number of subnets whose peers show their clocks.
    pub witnesses: usize,
    /// Whether messages are refused, because they would be lost.
    pub refuses: bool,
}

impl ClockView {
    /// Whether the difference is so large that messages may be lost: a minute or more.
    #[must_use]
    pub const fn is_off(&self) -> bool {
        self.behind_secs.unsigned_abs() >= 60
    }
}

impl fmt::Display for ClockView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.behind_secs.unsigned_abs();
        let skew = match secs {
            0..180 => format!("{secs} s"),
            180..7_200 => format!("{} min", secs / 60),
            7_200..172_800 => format!("{} h", secs / 3_600),
            _ => format!("{} days", secs / 86_400),
        };
        let direction = match self.behind_secs.signum() {
            1 => "behind",
            -1 => "ahead of",
            _ => return write!(f, "equal to that of {}", NamedPeers(self.witnesses)),
        };
        write!(
            f,
            "{skew} {direction} that of {}",
            NamedPeers(self.witnesses)
        )
    }
}

/// A number of peers, in words.
struct NamedPeers(usize);

impl fmt::Display for NamedPeers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 named peer"),
            count => write!(f, "{count} named peers"),
        }
    }
}
