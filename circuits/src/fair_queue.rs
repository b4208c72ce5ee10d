//! A queue that many links fill and one rate empties.
//!
//! If such a queue serves entries in order of arrival, one link that fills it delays and displaces
//! the entries of all others. A [`FairQueue`] has one queue for each source, which is the link that
//! brought an entry, or the own traffic of the node. Sources are served in turn. Within a source,
//! the entry of the highest rank is first, and the entry of the lowest rank is evicted first. If the
//! whole queue is full, the source that holds most loses entries. A flood through one link therefore
//! delays and displaces only what came through that link:
//!
//! * the best entry of a source that had none waits for at most one entry of each other source;
//! * a source that holds no more than its share, which is the total divided by the number of sources
//!   that have entries, loses nothing to other sources.
//!
//! A turn is one entry, or in a queue made by [`FairQueue::by_bytes`] as many bytes as the other
//! sources have had: there a source of long entries is served less often.
//!
//! Nothing is dropped silently: [`FairQueue::push`] returns every entry that leaves, and
//! [`FairQueue::overflowed`] counts them. For each entry that enters or leaves, the queue takes time
//! logarithmic in the number of entries.
//!
//! It is used where entries of different links share a rate or a table:
//!
//! | queue | source | rank |
//! |---|---|---|
//! | cells that wait to be peeled | link of the cell | none: `()` |
//! | envelopes and announcements that are due for a peer | link that brought the envelope | [`WorkRank`] |
//! | envelopes that a peer has requested | link that brought the envelope | [`WorkRank`] |
//! | fetches of announced envelopes | link that announced first | none: `()` |
//! | envelopes of the mempool that wait for trial decryption | link that brought the envelope | [`WorkRank`] |
//! | direct envelopes that wait for trial decryption | link that brought the envelope | none: `()` |
//! | envelopes that wait for the archive | link that brought the envelope | none: `()` |
//! | envelopes on a stem | link that brought the envelope | order of arrival |
//!
//! A source must be expensive to multiply. A peer that reconnects has a new link, and with it a new
//! share: the owner of a queue calls [`FairQueue::merge`] when a link closes, so that the entries of
//! all closed links share one turn.
//!
//! The queue holds no timers: an entry that is due later waits elsewhere until then. It does not
//! age ranks and does not drop expired entries: their owner skips them.

use core::cmp::Reverse;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

/// Entries of many sources, served in turn.
#[derive(Debug)]
pub struct FairQueue<S, R, T> {
    limits: FairQueueLimits,
    sources: BTreeMap<S, SourceQueue<R, T>>,
    /// Whether a turn is measured in bytes instead of entries.
    by_bytes: bool,
    /// Sources in the order of their turns.
    turns: BTreeMap<Turn, S>,
    /// What sources without entries have had in advance of the others.
    advances: BTreeMap<S, u64>,
    /// The service at which the last turn began.
    service: u64,
    /// Sources by load: the last holds most.
    loads: BTreeSet<(u128, S)>,
    /// The place of each entry.
    places: BTreeMap<EntryId, (S, R)>,
    held: QueueSize,
    /// Numbers entries and turns.
    last_number: u64,
    overflowed: u64,
}

/// The bounds of a [`FairQueue`].
#[derive(Clone, Copy, Debug)]
pub struct FairQueueLimits {
    /// Maximum for one source.
    pub per_source: QueueSize,
    /// Maximum for all sources together.
    pub total: QueueSize,
}

/// A number of entries, and the sum of their sizes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct QueueSize {
    /// Number of entries.
    pub entries: usize,
    /// Sum of their sizes in bytes.
    pub bytes: usize,
}

/// Names one entry of a queue, for [`FairQueue::remove`].
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct EntryId(u64);

/// The result of [`FairQueue::push`].
#[derive(Debug)]
#[must_use]
pub struct Pushed<S, T> {
    /// The new entry; `None` if it was refused.
    pub id: Option<EntryId>,
    /// All entries that left the queue, each with its source: those evicted for the new entry, or
    /// the new entry itself.
    pub overflow: Vec<(S, T)>,
}

/// When a source is served: after less service of that source first, and earlier turns first among
/// equals.
///
/// The service of a source begins at that of the last turn, so it has neither credit nor debt from
/// the time without entries (start-time fair queueing, Goyal et al. 1996).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Turn {
    service: u64,
    number: u64,
}

/// The entries of one source.
#[derive(Debug)]
struct SourceQueue<R, T> {
    /// Best first; among equal ranks, the oldest first.
    entries: BTreeMap<(Reverse<R>, EntryId), QueuedEntry<T>>,
    bytes: usize,
    turn: Turn,
}

#[derive(Debug)]
struct QueuedEntry<T> {
    bytes: usize,
    value: T,
}

/// An entry outside its queue, with what is needed to put it back.
struct TakenEntry<S, R, T> {
    source: S,
    rank: R,
    id: EntryId,
    turn: Turn,
    entry: QueuedEntry<T>,
}

impl<S: Copy + Ord, R: Copy + Ord, T> FairQueue<S, R, T> {
    /// An empty queue, in which a turn is one entry.
    #[must_use]
    pub const fn new(limits: FairQueueLimits) -> Self {
        Self::with_turns(limits, false)
    }

    /// An empty queue, in which sources take turns by the bytes that they are served.
    #[must_use]
    pub const fn by_bytes(limits: FairQueueLimits) -> Self {
        Self::with_turns(limits, true)
    }

    const fn with_turns(limits: FairQueueLimits, by_bytes: bool) -> Self {
        Self {
            limits,
            by_bytes,
            sources: BTreeMap::new(),
            turns: BTreeMap::new(),
            advances: BTreeMap::new(),
            service: 0,
            loads: BTreeSet::new(),
            places: BTreeMap::new(),
            held: QueueSize {
                entries: 0,
                bytes: 0,
            },
            last_number: 0,
            overflowed: 0,
        }
    }

    /// Adds an entry of `bytes` bytes. Above a bound, the lowest-ranked entries leave: those of the
    /// source itself above its own bound, those of the source that holds most above the total. An
    /// entry that would leave itself is refused, and then no other entry leaves.
    pub fn push(&mut self, source: S, rank: R, bytes: usize, value: T) -> Pushed<S, T> {
        let id = EntryId(self.number());
        let new = TakenEntry {
            source,
            rank,
            id,
            turn: self.first_turn(source),
            entry: QueuedEntry { bytes, value },
        };
        if bytes > self.limits.per_source.bytes.min(self.limits.total.bytes) {
            return self.overflow(None, [new]);
        }
        self.put(new);
        let mut taken = Vec::new();
        while let Some(victim) = self.victim(source) {
            let Some(worst) = self.take_worst(victim) else {
                break;
            };
            let is_new = worst.id == id;
            taken.push(worst);
            if is_new {
                let refused = taken.pop();
                taken.drain(..).rev().for_each(|entry| self.put(entry));
                return self.overflow(None, refused);
            }
        }
        self.overflow(Some(id), taken)
    }

    /// Takes the best entry of the source whose turn it is.
    pub fn pop(&mut self) -> Option<(S, T)> {
        let (&Turn { service, .. }, &source) = self.turns.first_key_value()?;
        let queue = self.sources.get(&source)?;
        let (&(Reverse(rank), id), _) = queue.entries.first_key_value()?;
        let taken = self.take(source, rank, id)?;
        self.service = service;
        let cost = if self.by_bytes {
            u64::try_from(taken.entry.bytes).unwrap_or(u64::MAX).max(1)
        } else {
            1
        };
        let turn = Turn {
            service: service.saturating_add(cost),
            number: self.number(),
        };
        if let Some(queue) = self.sources.get_mut(&source) {
            self.turns.remove(&queue.turn);
            queue.turn = turn;
            self.turns.insert(turn, source);
        } else {
            self.note_advance(source, turn.service);
        }
        Some((source, taken.entry.value))
    }

    /// Removes an entry out of turn.
    pub fn remove(&mut self, id: EntryId) -> Option<T> {
        let (source, rank) = *self.places.get(&id)?;
        let taken = self.take(source, rank, id)?;
        Some(taken.entry.value)
    }

    /// Moves all entries of one source to another, as if they had come from there. Returns what
    /// exceeds the bound of that source.
    #[must_use]
    pub fn merge(&mut self, from: S, into: S) -> Vec<(S, T)> {
        self.merge_some(from, into, usize::MAX)
    }

    /// Moves at most `max` entries as [`merge`](Self::merge) does, the lowest-ranked first. A source
    /// may have so many entries that one turn has no time to move all.
    #[must_use]
    pub fn merge_some(&mut self, from: S, into: S, max: usize) -> Vec<(S, T)> {
        let mut moved = Vec::new();
        while from != into
            && moved.len() < max
            && let Some(worst) = self.take_worst(from)
        {
            moved.push(worst);
        }
        let mut taken = Vec::new();
        for entry in moved {
            self.put(TakenEntry {
                source: into,
                ..entry
            });
            while self.exceeds_own_bound(into)
                && let Some(worst) = self.take_worst(into)
            {
                taken.push(worst);
            }
        }
        self.overflow(None, taken).overflow
    }

    /// The sources that have entries.
    pub fn sources(&self) -> impl Iterator<Item = S> {
        self.sources.keys().copied()
    }

    /// Whether an entry of this source waits.
    #[must_use]
    pub fn holds(&self, source: S) -> bool {
        self.sources.contains_key(&source)
    }

    /// Number of entries, and the sum of their sizes.
    #[must_use]
    pub const fn size(&self) -> QueueSize {
        self.held
    }

    /// Whether no entry waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Number of entries that were refused or evicted since the start.
    #[must_use]
    pub const fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// The source that has to lose an entry after a push from `pusher`, if any bound is exceeded.
    fn victim(&self, pusher: S) -> Option<S> {
        if self.exceeds_own_bound(pusher) {
            return Some(pusher);
        }
        if !self.held.exceeds(self.limits.total) {
            return None;
        }
        // Among equals the pusher loses: a source does not displace what holds no more than itself.
        let own = self.sources.get(&pusher);
        let own = own.map(|queue| queue.size().load(self.limits.total));
        let (most, heaviest) = *self.loads.last()?;
        Some(if own.is_some_and(|own| own >= most) {
            pusher
        } else {
            heaviest
        })
    }

    fn exceeds_own_bound(&self, source: S) -> bool {
        let queue = self.sources.get(&source);
        queue.is_some_and(|queue| queue.size().exceeds(self.limits.per_source))
    }

    fn take_worst(&mut self, source: S) -> Option<TakenEntry<S, R, T>> {
        let queue = self.sources.get(&source)?;
        let (&(Reverse(rank), id), _) = queue.entries.last_key_value()?;
        self.take(source, rank, id)
    }

    fn take(&mut self, source: S, rank: R, id: EntryId) -> Option<TakenEntry<S, R, T>> {
        let total = self.limits.total;
        let queue = self.sources.get_mut(&source)?;
        let before = queue.size().load(total);
        let entry = queue.entries.remove(&(Reverse(rank), id))?;
        queue.bytes = queue.bytes.saturating_sub(entry.bytes);
        let (turn, after) = (queue.turn, queue.size());
        self.loads.remove(&(before, source));
        if after.entries == 0 {
            self.sources.remove(&source);
            self.turns.remove(&turn);
        } else {
            self.loads.insert((after.load(total), source));
        }
        self.held.bytes = self.held.bytes.saturating_sub(entry.bytes);
        self.held.entries = self.held.entries.saturating_sub(1);
        self.places.remove(&id);
        Some(TakenEntry {
            source,
            rank,
            id,
            turn,
            entry,
        })
    }

    /// Adds an entry without regard to bounds. The turn counts for a source without entries.
    fn put(&mut self, taken: TakenEntry<S, R, T>) {
        let TakenEntry {
            source,
            rank,
            id,
            turn,
            entry,
        } = taken;
        let total = self.limits.total;
        let queue = self.sources.entry(source).or_insert_with(|| SourceQueue {
            entries: BTreeMap::new(),
            bytes: 0,
            turn,
        });
        if queue.entries.is_empty() {
            self.turns.insert(turn, source);
        } else {
            self.loads.remove(&(queue.size().load(total), source));
        }
        queue.bytes = queue.bytes.saturating_add(entry.bytes);
        self.held.bytes = self.held.bytes.saturating_add(entry.bytes);
        self.held.entries = self.held.entries.saturating_add(1);
        self.places.insert(id, (source, rank));
        queue.entries.insert((Reverse(rank), id), entry);
        self.loads.insert((queue.size().load(total), source));
    }

    fn overflow(
        &mut self,
        id: Option<EntryId>,
        taken: impl IntoIterator<Item = TakenEntry<S, R, T>>,
    ) -> Pushed<S, T> {
        let overflow: Vec<(S, T)> = taken
            .into_iter()
            .map(|taken| (taken.source, taken.entry.value))
            .collect();
        let count = u64::try_from(overflow.len()).unwrap_or(u64::MAX);
        self.overflowed = self.overflowed.saturating_add(count);
        Pushed { id, overflow }
    }

    /// The turn of a source that gets its first entry.
    fn first_turn(&mut self, source: S) -> Turn {
        let advance = self.advances.get(&source).copied().unwrap_or(0);
        Turn {
            service: advance.max(self.service),
            number: self.number(),
        }
    }

    /// Remembers what a source has had when its last entry leaves, until the others have had as
    /// much.
    fn note_advance(&mut self, source: S, service: u64) {
        if self.sources.is_empty() {
            // All sources have had everything.
            self.service = service;
            return self.advances.clear();
        }
        if self.advances.len() >= self.sources.len().saturating_mul(2).max(MIN_ADVANCES) {
            let reached = self.service;
            self.advances.retain(|_, service| *service > reached);
        }
        self.advances.insert(source, service);
    }

    const fn number(&mut self) -> u64 {
        self.last_number = self.last_number.wrapping_add(1);
        self.last_number
    }
}

impl QueueSize {
    /// The larger of the two shares of the total, by entries and by bytes, on a common scale.
    fn load(self, total: Self) -> u128 {
        let by_entries = wide(self.entries).saturating_mul(wide(total.bytes.max(1)));
        let by_bytes = wide(self.bytes).saturating_mul(wide(total.entries.max(1)));
        by_entries.max(by_bytes)
    }

    const fn exceeds(self, limit: Self) -> bool {
        self.entries > limit.entries || self.bytes > limit.bytes
    }
}

impl<R, T> SourceQueue<R, T> {
    fn size(&self) -> QueueSize {
        QueueSize {
            entries: self.entries.len(),
            bytes: self.bytes,
        }
    }
}

/// A rank by proof of work and remaining life: cheap and short-lived entries go last.
///
/// The rank is that of the time at which the entry is queued. It does not change while the entry
/// waits, so a queue must be short compared with the lives of its entries.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct WorkRank(u64);

impl WorkRank {
    /// The rank of an entry with this work, in the unit of its owner, and this life ahead of it.
    #[must_use]
    pub fn new(work: f64, remaining: Duration) -> Self {
        let product = work * remaining.as_secs_f64();
        // The bits of floating-point numbers that are not negative have the order of the numbers.
        Self(if product > 0.0 { product.to_bits() } else { 0 })
    }
}

/// Number of remembered advances that is not worth a walk over them.
const MIN_ADVANCES: usize = 32;

fn wide(value: usize) -> u128 {
    u128::try_from(value).unwrap_or(u128::MAX)
}

#[cfg(test)]
mod tests;
