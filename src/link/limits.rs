//! How much a link takes and holds.

use std::ops::RangeInclusive;

use circuits::geometry::CELL_LEN;

use super::capability::Capability;
use super::frame::{MAX_CODE_LEN, MAX_CONTENT};
use super::queue::QueueBudgets;
use super::snappy::{self, Packing};

/// Bounds on what one link may make this node hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LinkLimits {
    /// Longest payload, inflated, of a message that has no rule of its own. A link may hold three
    /// times as much for a moment: the frame, its buffer, and the inflated payload.
    ///
    /// Default 2 MiB: geth accepts 1 MiB and, with a large pool, sends more.
    pub payload: usize,
    /// Messages with bounds of their own, which may be narrower or wider.
    pub rules: Vec<PayloadRule>,
    /// What may wait to be sent.
    pub queue: QueueBudgets,
}

/// The lengths that the payload of one kind of message may have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PayloadRule {
    /// Whose message.
    pub capability: Capability,
    /// Its code within the capability.
    pub code: u16,
    /// Payload lengths allowed, inflated.
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

    /// The payload lengths allowed for a message.
    #[must_use]
    pub fn lengths(&self, capability: Capability, code: u16) -> RangeInclusive<usize> {
        self.rules
            .iter()
            .find(|rule| rule.capability == capability && rule.code == code)
            .map_or(0..=self.payload, |rule| rule.lengths.clone())
    }

    /// The longest frame content that can hold an allowed message.
    pub(super) fn max_content_len(&self) -> usize {
        let payload = self.rules.iter().map(|rule| *rule.lengths.end());
        let longest = payload.fold(self.payload, usize::max).min(MAX_CONTENT);
        snappy::max_packed_len(longest, Packing::Snappy)
            .saturating_add(MAX_CODE_LEN)
            .min(MAX_CONTENT)
    }
}

impl Default for LinkLimits {
    /// Cells and splices have their one length; everything else the common bound.
    fn default() -> Self {
        let limits = Self {
            payload: 2 * 1024 * 1024,
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

/// Payload of a cell on the link: RLP, a list of one string. Three bytes of length for each.
pub const CELL_PAYLOAD: usize = CELL_LEN + 3 + 3;
/// Code of a cell in `onion/1`.
const ONION_CELL: u16 = 3;
/// Code of a splice's message in `onion/1`.
const ONION_CIRCUIT: u16 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_has_one_length_and_other_messages_have_the_common_bound() {
        let limits = LinkLimits::default();
        assert_eq!(limits.lengths(Capability::ONION_1, 3), 918..=918);
        assert_eq!(limits.lengths(Capability::SHH_6, 3), 0..=2_097_152);
    }

    #[test]
    fn a_wider_rule_widens_the_frame_too() {
        let limits = LinkLimits {
            payload: 100,
            ..LinkLimits::default()
        };
        let wider = limits.clone().with_rule(Capability::SHH_6, 1, 0..=5_000);
        assert!(limits.max_content_len() < 5_000);
        assert!(wider.max_content_len() > 5_000);
        assert_eq!(wider.lengths(Capability::SHH_6, 1), 0..=5_000);
        let huge = limits.with_rule(Capability::SHH_6, 1, 0..=usize::MAX);
        assert_eq!(huge.max_content_len(), 0xff_ffff);
    }
}
