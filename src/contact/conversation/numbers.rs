//! Numbers of messages: which of ours are unanswered, and which of the peer's have come.
//!
//! A receiver acknowledges all numbers up to one, and 32 more by a bitmap. So a number that never comes
//! would stop all later acknowledgements; a sender that stops trying reports it ([`SentNumbers::given_up`]), and
//! the receiver closes the gap. A message of a closed gap that does come is still new.

use std::collections::{BTreeMap, BTreeSet};

use crate::contact::codec::{BadState, StateReader, StateWriter};
use crate::contact::parts::{Acks, MAX_ALSO_CAME};
use crate::contact::ratchet::SendingPosition;

/// How far the numbers of a sender may be ahead of what the peer has acknowledged.
pub(super) const MAX_UNANSWERED: u64 = 256;

/// Our messages.
#[derive(Default)]
pub(super) struct SentNumbers {
    last: u64,
    acked: u64,
    /// Numbers without acknowledgement.
    open: BTreeMap<u64, OpenNumber>,
}

/// A number without acknowledgement.
#[derive(Clone, Copy, Default)]
struct OpenNumber {
    is_given_up: bool,
    /// Where the ratchet encrypted the message, once it did.
    position: Option<SendingPosition>,
}

impl SentNumbers {
    /// The number after the last one. `None` if too many are unanswered.
    pub(super) fn next(&self, max: u64) -> Option<u64> {
        let next = self.last.checked_add(1)?;
        (next.saturating_sub(self.acked) <= max).then_some(next)
    }

    /// Notes that a number is used.
    pub(super) fn note_composed(&mut self, number: u64) {
        self.last = self.last.max(number);
        self.open.insert(number, OpenNumber::default());
    }

    /// Whether no message was composed.
    pub(super) const fn is_unused(&self) -> bool {
        self.last == 0
    }

    /// Whether a number is still to be sent.
    pub(super) fn is_open(&self, number: u64) -> bool {
        let open = self.open.get(&number);
        open.is_some_and(|open| !open.is_given_up)
    }

    /// Notes where the ratchet encrypted a message.
    pub(super) fn note_encrypted(&mut self, number: u64, position: SendingPosition) {
        if let Some(open) = self.open.get_mut(&number) {
            open.position = Some(position);
        }
    }

    /// The lowest index on a chain of a message that is still tried.
    pub(super) fn oldest_on(&self, chain: u32) -> Option<u32> {
        let tried = self.open.values().filter(|open| !open.is_given_up);
        let positions = tried.filter_map(|open| open.position);
        let on_chain = positions.filter(|position| position.chain == chain);
        on_chain.map(|position| position.index).min()
    }

    /// Stops trying a number.
    pub(super) fn give_up(&mut self, number: u64) {
        if let Some(open) = self.open.get_mut(&number) {
            open.is_given_up = true;
        }
    }

    /// If the first unanswered number was given up: the first one that was not.
    pub(super) fn given_up(&self) -> Option<u64> {
        let (_, first) = self.open.first_key_value()?;
        first.is_given_up.then(|| {
            let open = self.open.iter().find(|(_, open)| !open.is_given_up);
            open.map_or_else(|| self.last.saturating_add(1), |(number, _)| *number)
        })
    }

    /// Takes an acknowledgement, with the numbers of [`Part::AlsoCame`](crate::contact::parts::Part). Returns
    /// the numbers that it answers; one that was given up is answered
    /// silently, because the peer may only have closed its gap.
    pub(super) fn acknowledge(&mut self, acks: Acks, also: &[u64]) -> Vec<u64> {
        self.acked = self.acked.max(acks.up_to.min(self.last));
        let mut answered = Vec::new();
        self.open.retain(|number, open| {
            let is_acked = acks.contains(*number) || also.contains(number);
            if is_acked && !open.is_given_up {
                answered.push(*number);
            }
            !is_acked
        });
        answered
    }

    pub(super) fn write(&self, writer: &mut StateWriter) {
        writer.u64(self.last);
        writer.u64(self.acked);
        writer.list(self.open.iter(), |w, (number, open)| {
            w.u64(*number);
            w.bool(open.is_given_up);
            w.option(open.position, |w, position| {
                w.u32(position.chain);
                w.u32(position.index);
            });
        });
    }

    pub(super) fn read(reader: &mut StateReader<'_>) -> Result<Self, BadState> {
        Ok(Self {
            last: reader.u64()?,
            acked: reader.u64()?,
            open: reader
                .list(MAX_LISTED, |r| Ok((r.u64()?, OpenNumber::read(r)?)))?
                .into_iter()
                .collect(),
        })
    }
}

impl OpenNumber {
    fn read(reader: &mut StateReader<'_>) -> Result<Self, BadState> {
        Ok(Self {
            is_given_up: reader.bool()?,
            position: reader.option(|r| {
                Ok(SendingPosition {
                    chain: r.u32()?,
                    index: r.u32()?,
                })
            })?,
        })
    }
}

/// The peer's messages.
#[derive(Default)]
pub(super) struct ReceivedNumbers {
    /// All up to this number have come or are closed.
    up_to: u64,
    above: BTreeSet<u64>,
    /// Numbers that the peer gave up, the highest of them.
    closed: BTreeSet<u64>,
}

/// What a number is to a receiver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Noted {
    New,
    Duplicate,
    /// No honest sender is that far ahead.
    OutOfRange,
}

impl ReceivedNumbers {
    /// Notes the number of a message, and that its sender gave up all open numbers below `given_up`.
    pub(super) fn note(&mut self, number: u64, given_up: Option<u64>) -> Noted {
        if number == 0 || number > self.up_to.saturating_add(MAX_UNANSWERED) {
            return Noted::OutOfRange;
        }
        let is_known = number <= self.up_to || self.above.contains(&number);
        let is_new = !is_known || self.closed.remove(&number);
        if !is_known {
            self.above.insert(number);
        }
        if let Some(below) = given_up {
            self.close_below(below.min(number));
        }
        self.advance();
        if is_new { Noted::New } else { Noted::Duplicate }
    }

    fn close_below(&mut self, below: u64) {
        // At most MAX_UNANSWERED numbers: `below` does not exceed a number that was in range.
        for number in self.up_to.saturating_add(1)..below {
            if !self.above.contains(&number) {
                self.closed.insert(number);
            }
        }
        self.up_to = self.up_to.max(below.saturating_sub(1));
        self.above.retain(|number| *number >= below);
        while self.closed.len() > MAX_CLOSED {
            self.closed.pop_first();
        }
    }

    fn advance(&mut self) {
        while self.above.remove(&self.up_to.saturating_add(1)) {
            self.up_to = self.up_to.saturating_add(1);
        }
    }

    pub(super) fn acks(&self) -> Acks {
        let beyond = self.above.iter().fold(0, |bits, number| {
            let distance = number.saturating_sub(self.up_to.saturating_add(2));
            let bit = u32::try_from(distance)
                .ok()
                .and_then(|d| 1_u32.checked_shl(d));
            bits | bit.unwrap_or(0)
        });
        Acks {
            up_to: self.up_to,
            beyond,
        }
    }

    /// The highest numbers that have come beyond what [`acks`](Self::acks) can tell.
    pub(super) fn also_came(&self) -> Vec<u64> {
        let beyond = self.up_to.saturating_add(BITMAP_END);
        let above = self.above.range(beyond..);
        above.rev().take(MAX_ALSO_CAME).copied().collect()
    }

    /// Numbers below the highest one that came which have not come, and which the peer has not given up.
    pub(super) fn missing(&self) -> Vec<u64> {
        let Some(highest) = self.above.last() else {
            return Vec::new();
        };
        (self.up_to.saturating_add(1)..*highest)
            .filter(|number| !self.above.contains(number))
            .collect()
    }

    /// Numbers that the peer gave up and that have not come, the latest of them.
    pub(super) fn lost(&self) -> Vec<u64> {
        self.closed.iter().copied().collect()
    }

    pub(super) fn write(&self, writer: &mut StateWriter) {
        writer.u64(self.up_to);
        writer.list(self.above.iter(), |w, number| w.u64(*number));
        writer.list(self.closed.iter(), |w, number| w.u64(*number));
    }

    pub(super) fn read(reader: &mut StateReader<'_>) -> Result<Self, BadState> {
        let up_to = reader.u64()?;
        let mut numbers = || reader.list(MAX_LISTED, StateReader::u64);
        Ok(Self {
            up_to,
            above: numbers()?.into_iter().collect(),
            closed: numbers()?.into_iter().collect(),
        })
    }
}

/// Distance of the first number behind the bitmap, which begins two after the last acknowledged one.
const BITMAP_END: u64 = 34;
/// Closed numbers that are kept, so that their messages are new if they come.
const MAX_CLOSED: usize = 256;
/// No list of a record is longer.
const MAX_LISTED: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incoming_numbers_are_new_once_in_any_order() {
        let mut incoming = ReceivedNumbers::default();
        for (number, expected) in [
            (2, Noted::New),
            (2, Noted::Duplicate),
            (1, Noted::New),
            (1, Noted::Duplicate),
            (5, Noted::New),
            (0, Noted::OutOfRange),
            (2 + MAX_UNANSWERED + 1, Noted::OutOfRange),
            (2 + MAX_UNANSWERED, Noted::New),
        ] {
            assert_eq!(incoming.note(number, None), expected, "{number}");
        }
        let acks = incoming.acks();
        assert_eq!((acks.up_to, acks.beyond), (2, 0b10));
        assert_eq!(incoming.missing()[..2], [3, 4]);
    }

    #[test]
    fn given_up_number_stops_no_later_acknowledgement() {
        let mut outgoing = SentNumbers::default();
        let mut incoming = ReceivedNumbers::default();
        for number in 1..=100 {
            outgoing.note_composed(number);
            if number == 1 {
                outgoing.give_up(1);
                continue;
            }
            assert_eq!(incoming.note(number, outgoing.given_up()), Noted::New);
            assert_eq!(outgoing.acknowledge(incoming.acks(), &[]), [number]);
        }
        assert_eq!(incoming.acks().up_to, 100);
        assert_eq!(incoming.lost(), [1]);
        assert_eq!(incoming.note(1, None), Noted::New);
        assert_eq!(incoming.note(1, None), Noted::Duplicate);
        assert!(incoming.lost().is_empty());
    }

    #[test]
    fn number_beyond_the_bitmap_is_acknowledged_by_itself() {
        let mut outgoing = SentNumbers::default();
        let mut incoming = ReceivedNumbers::default();
        for number in 1..=60 {
            outgoing.note_composed(number);
        }
        for number in [33, 34, 60] {
            assert_eq!(incoming.note(number, None), Noted::New);
        }
        assert_eq!(incoming.also_came(), [60, 34]);
        let acks = incoming.acks();
        assert!(acks.contains(33) && !acks.contains(34));
        assert_eq!(outgoing.acknowledge(acks, &[60, 34]), [33, 34, 60]);
    }

    #[test]
    fn number_is_open_until_answered_or_given_up() {
        let mut outgoing = SentNumbers::default();
        assert_eq!(outgoing.next(2), Some(1));
        outgoing.note_composed(1);
        outgoing.note_composed(2);
        assert_eq!(outgoing.next(2), None);
        outgoing.give_up(2);
        assert!(outgoing.is_open(1) && !outgoing.is_open(2));
        assert_eq!(outgoing.given_up(), None);
        let acks = Acks {
            up_to: 1,
            beyond: 0,
        };
        assert_eq!(outgoing.acknowledge(acks, &[]), [1]);
        assert_eq!(outgoing.given_up(), Some(3));
        assert_eq!(outgoing.next(2), Some(3));
    }

    #[test]
    fn attack_given_up_numbers_without_end_leave_256_that_may_still_come() {
        let mut incoming = ReceivedNumbers::default();
        for number in [256, 512, 768, 1_024] {
            assert_eq!(incoming.note(number, Some(number)), Noted::New);
        }
        assert_eq!(incoming.acks().up_to, 1_024);
        assert_eq!(incoming.lost().len(), MAX_CLOSED);
        assert_eq!(incoming.note(1_023, None), Noted::New);
        assert_eq!(incoming.note(1, None), Noted::Duplicate);
    }

    #[test]
    fn hostile_given_up_number_closes_nothing_beyond_its_message() {
        let mut incoming = ReceivedNumbers::default();
        assert_eq!(incoming.note(3, Some(u64::MAX)), Noted::New);
        assert_eq!(incoming.acks().up_to, 3);
        assert_eq!(incoming.lost(), [1, 2]);
    }
}
