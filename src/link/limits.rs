//! Limits of what one link accepts and queues.

use std::ops::RangeInclusive;

use circuits::geometry::CELL_LEN;

use super::capability::Capability;
use super::frame::{MAX_CODE_LEN, MAX_CONTENT};
use super::queue::QueueBudgets;
use super::snappy::{self, Packing};

/// Bounds on the memory that one link may make this node use.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LinkLimits {
    /// Longest payload, decompressed, of a message of Whisper after its first one, which is the
    /// status. A link may use three times as much for a moment: the frame, its buffer, and the
    /// decompressed payload.
    ///
    /// Default 2 MiB: geth accepts 1 MiB and, with a large pool, sends more.
    pub payload: usize,
    /// Longest payload, decompressed, of every other message without a rule of its own.
    ///
    /// Default 66 KiB: an envelope on a stem has up to 64 KiB.
    pub short_payload: usize,
    /// Messages with limits of their own, narrower or wider.
    pub rules: Vec<PayloadRule>,
    /// Bytes that may be queued for sending.
    pub queue: QueueBudgets,
}

/// The permitted payload lengths of one kind of message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PayloadRule {
    /// The capability of the message.
    pub capability: Capability,
    /// Its code within the capability.
    pub code: u16,
    /// Permitted payload lengths, decompressed.
    pub lengths: RangeInclusive<usize>,
}

impl LinkLimits {
    /// Adds a rule. A later rule for the same message replaces an earlier one.
    #[must_use]
    fn with_rule(
        mut self,
        capability: Capability,
        code: u16,
        lengths: RangeInclusive<usize>,
    ) -> Self {
        self.rules
            .retain(|rule| (rule.capability, rule.code) != (capability, code));
        self.rules.push(PayloadRule {
            capability,
            code,
            lengths,
        });
        self
    }

    /// The permitted payload lengths of a message, on a link whose frames may be of this size.
    #[must_use]
    pub fn lengths(
        &self,
        capability: Capability,
        code: u16,
        frames: FrameLimit,
    ) -> RangeInclusive<usize> {
        let longest = match frames {
            FrameLimit::Long if has_long_messages(capability) => self.payload,
            FrameLimit::Long | FrameLimit::Short => self.short_payload,
        };
        self.rules
            .iter()
            .find(|rule| rule.capability == capability && rule.code == code)
            .map_or(0..=longest, |rule| rule.lengths.clone())
    }

    /// The longest frame content that can contain a permitted message.
    pub(super) fn max_content_len(&self, frames: FrameLimit) -> usize {
        let longest = match frames {
            FrameLimit::Short => self.short_payload,
            FrameLimit::Long => self.payload.max(self.short_payload),
        };
        let payload = self.rules.iter().map(|rule| *rule.lengths.end());
        let longest = payload.fold(longest, usize::max).min(MAX_CONTENT);
        snappy::max_packed_len(longest, Packing::Snappy)
            .saturating_add(MAX_CODE_LEN)
            .min(MAX_CONTENT)
    }
}

/// How long the frames of a link may be. A link begins with short ones: a peer that never says what
/// it speaks must not make this node hold a long frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FrameLimit {
    /// As long as a message of `onion/1`.
    Short,
    /// As long as a message of Whisper.
    Long,
}

impl FrameLimit {
    /// The limit after a message of this capability.
    #[must_use]
    pub(super) fn after(self, capability: Capability) -> Self {
        if has_long_messages(capability) {
            Self::Long
        } else {
            self
        }
    }
}

/// Whether a capability has messages above the common limit, after its first one.
fn has_long_messages(capability: Capability) -> bool {
    capability.name() != Capability::ONION_1.name()
}

impl Default for LinkLimits {
    /// Cells have one length, those of circuits too; other messages the common limit.
    fn default() -> Self {
        let limits = Self {
            payload: 2 * 1024 * 1024,
            short_payload: MAX_SHORT_PAYLOAD,
            rules: Vec::new(),
            queue: QueueBudgets::default(),
        };
        [ONION_CELL, ONION_CIRCUIT]
            .into_iter()
            .fold(limits, |limits, code| {
                limits.with_rule(Capability::ONION_1, code, CELL_PAYLOAD..=CELL_PAYLOAD)
            })
    }
}

/// Bytes of the longest message of `onion/1`, with room for its headers.
pub const MAX_SHORT_PAYLOAD: usize = 66 * 1024;
/// Payload of a cell on the link: RLP, a list of one string. Three bytes of length for each.
pub const CELL_PAYLOAD: usize = CELL_LEN + 3 + 3;
/// Code of a cell in `onion/1`.
const ONION_CELL: u16 = 3;
/// Code of a cell of a circuit in `onion/1`.
const ONION_CIRCUIT: u16 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cell_has_fixed_length_and_others_common_limit() {
        let limits = LinkLimits::default();
        let lengths = |capability, code, frames| limits.lengths(capability, code, frames);
        let long = FrameLimit::Long;
        assert_eq!(lengths(Capability::ONION_1, 3, long), 918..=918);
        assert_eq!(lengths(Capability::SHH_6, 3, long), 0..=2_097_152);
        assert_eq!(lengths(Capability::ONION_1, 4, long), 0..=67_584);
        assert_eq!(lengths(Capability::SHH_6, 3, FrameLimit::Short), 0..=67_584);
    }

    #[test]
    fn frames_become_long_with_the_first_message_of_whisper() {
        let limits = LinkLimits::default();
        let quiet = FrameLimit::Short.after(Capability::ONION_1);
        assert!(limits.max_content_len(quiet) < 80_000);
        for whisper in [Capability::SHH_5, Capability::SHH_6] {
            let spoken = quiet.after(whisper).after(Capability::ONION_1);
            assert!(limits.max_content_len(spoken) > 2_097_152);
        }
    }

    #[test]
    fn wider_payload_rule_widens_frame_limit() {
        let limits = LinkLimits {
            payload: 100,
            short_payload: 10,
            ..LinkLimits::default()
        };
        let wider = limits.clone().with_rule(Capability::SHH_6, 1, 0..=5_000);
        assert!(limits.max_content_len(FrameLimit::Long) < 5_000);
        assert!(wider.max_content_len(FrameLimit::Long) > 5_000);
        assert_eq!(
            wider.lengths(Capability::SHH_6, 1, FrameLimit::Short),
            0..=5_000
        );
        let huge = limits.with_rule(Capability::SHH_6, 1, 0..=usize::MAX);
        assert_eq!(huge.max_content_len(FrameLimit::Short), 0xff_ffff);
    }
}
