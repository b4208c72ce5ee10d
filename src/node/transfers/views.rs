//! What users see of files.

use serde::{Deserialize, Serialize};

/// A file that is handed over, or was.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct FileView {
    /// Its number on this node.
    pub number: u64,
    /// Whether this node sends or receives it.
    pub direction: FileDirection,
    /// The name of the contact, if it has one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub contact: Option<String>,
    /// The id of the conversation, hexadecimal.
    pub conversation: String,
    /// The name that its sender gave it; may be empty, and is not to be trusted.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// How far it is.
    pub stage: FileStage,
    /// Bytes of it that are verified and stored at the receiving end, as far as this node knows; for
    /// [`FileStage::Storing`] those that are brought in.
    pub done: u64,
    /// Mean bytes per second of the running attempt.
    #[serde(deserialize_with = "Option::deserialize")]
    pub rate: Option<u64>,
    /// Seconds until it is complete, at that rate.
    #[serde(deserialize_with = "Option::deserialize")]
    pub left_seconds: Option<u64>,
    /// When this node erases it, in seconds since 1970.
    pub until: u64,
}

impl FileView {
    /// Number of its chunks.
    #[must_use]
    pub const fn chunks(&self) -> u64 {
        self.size.div_ceil(CHUNK_BYTES)
    }
}

/// The direction of a file.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileDirection {
    /// From this node.
    Out,
    /// To this node.
    In,
}

/// How far a file is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "stage")]
pub enum FileStage {
    /// Out: it is being brought in. A node that restarts erases it.
    Storing,
    /// Out: it is offered, and the other side has not answered. In: the user has not decided.
    Offered,
    /// The receiving side declined it. Final.
    Declined,
    /// It is accepted, and its circuits have not met yet.
    Meeting {
        /// The attempt, from 1.
        attempt: u32,
    },
    /// Its chunks are on their way.
    Transferring {
        /// The attempt, from 1.
        attempt: u32,
    },
    /// No attempt is running; it continues with a new answer of the receiving side.
    Paused {
        /// Why.
        reason: String,
    },
    /// In: every chunk is stored, and the hash over all is the one of the offer. Out: the other side has
    /// said so. Final.
    Complete,
    /// It cannot be completed. Final.
    Failed {
        /// Why.
        reason: String,
    },
}

impl FileStage {
    /// Whether the file will not reach another stage by itself.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Declined | Self::Complete | Self::Failed { .. })
    }
}

/// What it costs to hand over a file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct FilePriceView {
    /// The level at which it would travel.
    pub level: String,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes that this node sends, with padding and layers.
    pub sent_bytes: u64,
    /// Seconds that the chunks take at least, once the circuits have met: relays limit the rate of a circuit.
    pub seconds: u64,
}

const CHUNK_BYTES: u64 = 65_536;
