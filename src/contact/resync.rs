//! Resync slots: keys by day, for a sender whose peer has acknowledged too little of the chain.
//!
//! Both ends derive the slots of a day from the epoch, so a receiver that was away longer than envelopes
//! live finds the sender again. A message in a slot names the sender's next index of the chain, to which
//! the receiver moves its window. A sender uses each slot once.

use std::collections::{BTreeMap, BTreeSet};

use circuits::time::UnixSecs;

use super::chain::{Direction, StepKey};
use super::codec::{BadState, StateReader, StateWriter};
use super::kdf::{Key32, Label, expand};
use super::watched::WatchedStep;

/// Slots of one day.
pub const SLOTS_PER_DAY: u8 = 8;
/// Days back that a receiver watches: the longest life of an envelope, and a day for the clocks.
const DAYS_BACK: u32 = 4;
/// Days ahead, for the clocks.
const DAYS_AHEAD: u32 = 1;

/// The day of a time, in days since 1970.
#[must_use]
pub const fn day_of(unix: UnixSecs) -> u32 {
    unix.0 / DAY_SECS
}

/// When the next day begins.
#[must_use]
pub const fn next_day(unix: UnixSecs) -> UnixSecs {
    UnixSecs(day_of(unix).saturating_add(1).saturating_mul(DAY_SECS))
}

const DAY_SECS: u32 = 86_400;

/// The slots of one epoch, in both directions.
pub(super) struct ResyncSlots {
    root: Key32,
    used: BTreeSet<(u32, u8)>,
    opened: BTreeSet<(u32, u8)>,
    /// Which slots are awaited; derived from the root and the day.
    awaited: BTreeMap<(u32, u8), WatchedStep>,
    from: Direction,
    today: u32,
}

impl ResyncSlots {
    /// The slots of an epoch; `from` is the direction in which this end receives.
    pub(super) fn start(epoch_secret: &Key32, from: Direction, unix: UnixSecs) -> Self {
        let mut slots = Self {
            root: expand::<32>(epoch_secret, Label::CONV_RESYNC_ROOT, &[]),
            used: BTreeSet::new(),
            opened: BTreeSet::new(),
            awaited: BTreeMap::new(),
            from,
            today: 0,
        };
        slots.follow(unix);
        slots
    }

    fn key(&self, direction: Direction, day: u32, slot: u8) -> StepKey {
        let info = [&[direction.byte()][..], &day.to_be_bytes(), &[slot]];
        StepKey::new(expand::<32>(&self.root, Label::CONV_RESYNC_SLOT, &info))
    }

    /// The key of a slot of today that this end has not used. `None` until tomorrow if there is none.
    pub(super) fn take(&mut self, unix: UnixSecs) -> Option<StepKey> {
        let day = day_of(unix);
        let slot = (0..SLOTS_PER_DAY).find(|slot| !self.used.contains(&(day, *slot)))?;
        self.used.insert((day, slot));
        Some(self.key(self.from.reverse(), day, slot))
    }

    /// Awaits the slots of the days around a time. Returns whether that changed anything.
    pub(super) fn follow(&mut self, unix: UnixSecs) -> bool {
        let today = day_of(unix);
        self.today = today;
        let days = today.saturating_sub(DAYS_BACK)..=today.saturating_add(DAYS_AHEAD);
        let recent = today.saturating_sub(DAYS_BACK.saturating_mul(2));
        self.used.retain(|(day, _)| *day >= recent);
        self.opened.retain(|(day, _)| *day >= recent);
        let before = self.awaited.len();
        self.awaited.retain(|(day, _), _| days.contains(day));
        let mut has_changed = self.awaited.len() < before;
        for place in days.flat_map(|day| (0..SLOTS_PER_DAY).map(move |slot| (day, slot))) {
            if !self.opened.contains(&place) && !self.awaited.contains_key(&place) {
                let step = WatchedStep::new(self.key(self.from, place.0, place.1));
                self.awaited.insert(place, step);
                has_changed = true;
            }
        }
        has_changed
    }

    pub(super) fn steps(&self) -> impl Iterator<Item = (u32, u8, &WatchedStep)> {
        self.awaited
            .iter()
            .map(|((day, slot), step)| (*day, *slot, step))
    }

    pub(super) fn step(&self, day: u32, slot: u8) -> Option<&WatchedStep> {
        self.awaited.get(&(day, slot))
    }

    pub(super) fn step_mut(&mut self, day: u32, slot: u8) -> Option<&mut WatchedStep> {
        self.awaited.get_mut(&(day, slot))
    }

    /// Takes a slot that was opened off the watch. Returns whether it was awaited.
    pub(super) fn consume(&mut self, day: u32, slot: u8) -> bool {
        self.opened.insert((day, slot));
        self.awaited.remove(&(day, slot)).is_some()
    }

    pub(super) fn write(&self, writer: &mut StateWriter) {
        writer.array(self.root.as_slice());
        for places in [&self.used, &self.opened] {
            writer.list(places.iter(), |w, (day, slot)| {
                w.u32(*day);
                w.u8(*slot);
            });
        }
        // The keys follow from the root; the day stands for them.
        writer.u32(self.today);
    }

    pub(super) fn read(reader: &mut StateReader<'_>, from: Direction) -> Result<Self, BadState> {
        let root = reader.key()?;
        let mut places = || -> Result<BTreeSet<_>, BadState> {
            let places = reader.list(MAX_PLACES, |r| Ok((r.u32()?, r.u8()?)))?;
            Ok(places.into_iter().collect())
        };
        let mut slots = Self {
            root,
            used: places()?,
            opened: places()?,
            awaited: BTreeMap::new(),
            from,
            today: 0,
        };
        let day = reader.u32()?;
        slots.follow(UnixSecs(day.saturating_mul(DAY_SECS)));
        Ok(slots)
    }
}

/// No record lists more slots.
const MAX_PLACES: usize = 1_024;
