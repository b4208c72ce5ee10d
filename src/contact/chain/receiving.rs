//! The chain on which this end receives: a window of steps, and steps that were passed over.

use std::collections::VecDeque;

use circuits::time::UnixSecs;

use super::{ChainState, Direction, KEEP_SECS, MAX_JUMP, MAX_SKIPPED, WINDOW};
use crate::contact::codec::{BadState, StateReader, StateWriter};
use crate::contact::kdf::Key32;
use crate::contact::watched::WatchedStep;

/// A step that was passed over, and when its key is erased.
struct Skipped {
    index: u32,
    step: WatchedStep,
    until: UnixSecs,
}

/// The chain on which this end receives.
pub(in crate::contact) struct ReceivingChain {
    /// The state behind the window.
    state: ChainState,
    /// Index of the first step of the window: the one after the highest opened step.
    first: u32,
    window: VecDeque<WatchedStep>,
    skipped: VecDeque<Skipped>,
}

impl ReceivingChain {
    pub(in crate::contact) fn start(epoch_secret: &Key32, direction: Direction) -> Self {
        let mut chain = Self {
            state: ChainState::start(epoch_secret, direction),
            first: 0,
            window: VecDeque::new(),
            skipped: VecDeque::new(),
        };
        chain.refill();
        chain
    }

    fn refill(&mut self) {
        while u32::try_from(self.window.len()).is_ok_and(|len| len < WINDOW) {
            self.window.push_back(WatchedStep::new(self.state.step()));
        }
    }

    /// All steps that are awaited.
    pub(in crate::contact) fn steps(&self) -> impl Iterator<Item = (u32, &WatchedStep)> {
        let skipped = self
            .skipped
            .iter()
            .map(|skipped| (skipped.index, &skipped.step));
        skipped.chain((self.first..).zip(&self.window))
    }

    fn window_place(&self, index: u32) -> Option<usize> {
        usize::try_from(index.checked_sub(self.first)?).ok()
    }

    pub(in crate::contact) fn step(&self, index: u32) -> Option<&WatchedStep> {
        let skipped = self.skipped.iter().find(|skipped| skipped.index == index);
        skipped
            .map(|skipped| &skipped.step)
            .or_else(|| self.window.get(self.window_place(index)?))
    }

    pub(in crate::contact) fn step_mut(&mut self, index: u32) -> Option<&mut WatchedStep> {
        let place = self.window_place(index);
        let skipped = self
            .skipped
            .iter_mut()
            .find(|skipped| skipped.index == index);
        match (skipped, place) {
            (Some(skipped), _) => Some(&mut skipped.step),
            (None, Some(place)) => self.window.get_mut(place),
            (None, None) => None,
        }
    }

    /// Erases the key of a step that was opened. Returns whether it was awaited.
    pub(in crate::contact) fn consume(&mut self, unix: UnixSecs, index: u32) -> bool {
        if let Some(place) = self
            .skipped
            .iter()
            .position(|skipped| skipped.index == index)
        {
            self.skipped.remove(place);
            return true;
        }
        if self
            .window_place(index)
            .is_none_or(|place| place >= self.window.len())
        {
            return false;
        }
        while self.first < index {
            self.skip_one(unix);
        }
        self.window.pop_front();
        self.first = self.first.saturating_add(1);
        self.refill();
        true
    }

    /// Passes over all steps below `next`, after a resync that names it. Never moves back.
    pub(in crate::contact) fn jump(&mut self, unix: UnixSecs, next: u32) {
        if next.saturating_sub(self.first) > MAX_JUMP {
            return;
        }
        while self.first < next {
            self.skip_one(unix);
            self.refill();
        }
    }

    fn skip_one(&mut self, unix: UnixSecs) {
        if let Some(step) = self.window.pop_front() {
            self.skipped.push_back(Skipped {
                index: self.first,
                step,
                until: unix.after(KEEP_SECS),
            });
            if self.skipped.len() > MAX_SKIPPED {
                self.skipped.pop_front();
            }
        }
        self.first = self.first.saturating_add(1);
    }

    /// Erases the keys of steps whose envelopes have expired. Returns whether there were any.
    pub(in crate::contact) fn expire(&mut self, unix: UnixSecs) -> bool {
        let before = self.skipped.len();
        self.skipped.retain(|skipped| skipped.until > unix);
        self.skipped.len() < before
    }

    /// When the next key expires.
    pub(in crate::contact) fn next_expiry(&self) -> Option<UnixSecs> {
        self.skipped.iter().map(|skipped| skipped.until).min()
    }

    pub(in crate::contact) fn write(&self, writer: &mut StateWriter) {
        writer.array(self.state.0.as_slice());
        writer.u32(self.first);
        writer.list(self.window.iter(), |w, step| step.write(w));
        writer.list(self.skipped.iter(), |w, skipped| {
            w.u32(skipped.index);
            skipped.step.write(w);
            w.u32(skipped.until.0);
        });
    }

    pub(in crate::contact) fn read(reader: &mut StateReader<'_>) -> Result<Self, BadState> {
        let window = usize::try_from(WINDOW).map_err(|_| BadState::Length)?;
        let state = ChainState(reader.key()?);
        let first = reader.u32()?;
        let steps = reader.list(window, WatchedStep::read)?;
        if steps.len() != window {
            return Err(BadState::Field("window of a chain"));
        }
        let skipped = reader.list(MAX_SKIPPED, |r| {
            Ok(Skipped {
                index: r.u32()?,
                step: WatchedStep::read(r)?,
                until: UnixSecs(r.u32()?),
            })
        })?;
        Ok(Self {
            state,
            first,
            window: steps.into(),
            skipped: skipped.into(),
        })
    }
}
