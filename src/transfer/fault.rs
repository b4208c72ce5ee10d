//! Why a session ends before the file is through.

use super::frame::{BadFrame, StopReason};

/// A session of a hand-over failed. The attempt is over; what is durable stays, and the next attempt goes on
/// from there.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TransferFault {
    /// A payload was not sealed by the other end of this attempt, or one is missing or repeated.
    #[error("a payload of the circuit is not authentic, or out of order")]
    NotAuthentic,
    /// A frame is not in its format.
    #[error("the other end sent an invalid frame: {0}")]
    Frame(#[from] BadFrame),
    /// A frame of a kind that the other end may not send now.
    #[error("the other end sent a frame that does not belong at this place: {0}")]
    Unexpected(&'static str),
    /// The hello names chunks that the file does not have.
    #[error("the other end has chunks that the file does not have")]
    ChunkSet,
    /// The other end sent more frames than it had credit for, or granted more credit than is allowed.
    #[error("the other end broke the limit of {max} frames in flight")]
    Credit {
        /// The limit.
        max: u16,
    },
    /// The list of chunk hashes is not the one that the offer names.
    #[error("the list of chunks is not that of the offer")]
    Root,
    /// A chunk is not the one that comes next.
    #[error("the other end sent chunk {found} where {expected} comes next")]
    ChunkOrder {
        /// The number in the frame.
        found: u32,
        /// The number of the first missing chunk.
        expected: u32,
    },
    /// A chunk does not have the hash of the list.
    #[error("chunk {number} does not have its hash")]
    Chunk {
        /// The number of the chunk.
        number: u32,
    },
    /// More frames of padding than one session may have.
    #[error("the other end sent more than {max} frames of padding")]
    Padding {
        /// The limit.
        max: u32,
    },
    /// More frames than one a second on a talk line.
    #[error("the other end sent more than one frame a second")]
    Rate,
    /// The other end did not come.
    #[error("the other end did not answer within {secs} s")]
    NoHello {
        /// The limit in seconds.
        secs: u64,
    },
    /// The other end was silent.
    #[error("the other end was silent for {secs} s")]
    Silent {
        /// The limit in seconds.
        secs: u64,
    },
    /// The other end ended the session.
    #[error("the other end stopped: {0}")]
    StoppedByPeer(StopReason),
    /// This end ended the session.
    #[error("stopped: {0}")]
    Stopped(StopReason),
}

impl TransferFault {
    /// What the other end is told: the reason if this end stops, and that a rule was broken. Nothing if the other
    /// end stopped or is not there, or if the payload may not be its own.
    pub(super) const fn farewell(self) -> Option<StopReason> {
        match self {
            Self::Stopped(reason) => Some(reason),
            Self::NotAuthentic
            | Self::NoHello { .. }
            | Self::Silent { .. }
            | Self::StoppedByPeer(_) => None,
            Self::Frame(_)
            | Self::Unexpected(_)
            | Self::ChunkSet
            | Self::Credit { .. }
            | Self::Root
            | Self::ChunkOrder { .. }
            | Self::Chunk { .. }
            | Self::Padding { .. }
            | Self::Rate => Some(StopReason::Protocol),
        }
    }
}
