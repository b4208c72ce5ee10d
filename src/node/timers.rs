//! The timers of a node: one registry for all components.
//!
//! A timer is named by its purpose, and by the link or message that it belongs to. Setting, moving
//! and popping a timer cost O(log n) in the number of timers; nothing here walks all links. The
//! registry does not know what a timer does: `timer_routing` calls the component.

use core::time::Duration;

use circuits::due_index::DueIndex;
use circuits::ids::LinkId;
use circuits::time::Instant;

use super::event::MessageId;

/// The purpose of a timer.
///
/// Timers that are due in the same turn run in the order of declaration: cells are peeled before
/// the mix releases them, and embargoes end before gossip is sent.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum TimerId {
    /// Drop expired envelopes from the pool. Periodic.
    ExpirePool,
    /// Dial peers that are wanted and not connected. Periodic.
    Redial,
    /// Send gossip that waits for its turn under a limit of bandwidth. The end of every turn does it.
    Bandwidth,
    /// Dial our guards again.
    GuardLinks,
    /// Send messages that were queued while offline. Periodic while there are any.
    Resume,
    /// Rotate onion keys, publish our descriptor, expire the directory. Periodic.
    Epoch,
    /// Begin to try our keys on envelopes. Separate from pooling, so that forwarding never waits.
    TryDecrypt,
    /// Messages of conversations that are still sent, keys that expire.
    Contacts,
    /// Begin to scan envelopes for contact.
    ScanContacts,
    /// Look for cards of contacts.
    FindCards,
    /// Publish own cards.
    PublishCards,
    /// Attempts of files that are handed over, and files that expire.
    Transfers,
    /// Frames of talk lines, attempts to meet, offers that expire.
    Talks,
    /// Close idle links that were dialled for cells. Periodic.
    CloseIdle,
    /// A deadline of a link: handshake, ping, idle or congestion timeout.
    Link(LinkId),
    /// A peer's status of `onion/1` or `shh` is overdue.
    Status(LinkId),
    /// Peel queued cells.
    Peel,
    /// Release cells from the mix.
    Mix,
    /// Expire shard sets at the rendezvous.
    ShardSets,
    /// Insert rebuilt envelopes whose hold has ended.
    Insertion,
    /// End a stem embargo.
    Embargo,
    /// Cells of circuits that may leave, and circuits whose time is over.
    Circuits,
    /// The next slot of the emission stream.
    Emission,
    /// Make a dummy envelope.
    Dummy,
    /// The next cell of a message, or the end of its confirmation time.
    Message(MessageId),
    /// Send envelopes and announcements to peers.
    Gossip,
    /// Discovery.
    Discovery,
    /// Dials for peers that take too long, and answers that peers owe this node.
    DialBack,
    /// Mail that is being fetched.
    MailFetch,
}

impl TimerId {
    /// The period after which the timer is armed again when it fires, if it is periodic.
    pub(super) const fn period(self) -> Option<Duration> {
        match self {
            Self::ExpirePool | Self::Redial | Self::Resume => Some(Duration::from_secs(1)),
            Self::Epoch => Some(Duration::from_secs(5)),
            Self::CloseIdle => Some(Duration::from_secs(30)),
            _ => None,
        }
    }
}

/// All armed timers.
pub(super) struct Timers(DueIndex<TimerId>);

impl Timers {
    /// The periodic timers, all due at `now`.
    pub(super) fn new(now: Instant) -> Self {
        let mut timers = Self(DueIndex::default());
        for timer in PERIODIC {
            timers.arm(timer, Some(now));
        }
        timers
    }

    /// Sets a timer, or disarms it with `None`.
    pub(super) fn arm(&mut self, timer: TimerId, due: Option<Instant>) {
        self.0.set(timer, due);
    }

    /// Brings a timer forward to `due` unless it is due sooner.
    pub(super) fn expedite(&mut self, timer: TimerId, due: Instant) {
        let armed = self.0.get(&timer);
        self.arm(timer, Some(armed.map_or(due, |armed| armed.min(due))));
    }

    /// Moves a timer back, if it is set.
    pub(super) fn postpone(&mut self, timer: TimerId, by: Duration) {
        if let Some(due) = self.0.get(&timer) {
            self.arm(timer, Some(due.after(by)));
        }
    }

    /// Removes the first due timer after `last` in the order of [`TimerId`]. A periodic timer is
    /// armed again.
    pub(super) fn pop_due(&mut self, now: Instant, last: Option<TimerId>) -> Option<TimerId> {
        let due = self.0.due(now);
        let timer = due
            .filter(|timer| last.is_none_or(|last| last < *timer))
            .min()?;
        self.arm(timer, timer.period().map(|period| now.after(period)));
        Some(timer)
    }

    /// When the next timer is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.next_due()
    }
}

/// Time from the arrival of an envelope until our keys are tried on it, here and for contact. Envelopes that
/// arrive meanwhile are tried together.
pub(super) const TRY_DECRYPT_DELAY: Duration = Duration::from_millis(50);

/// A delay of a call beyond this time counts as an absence. Far above the delays of a busy machine,
/// and below the shortest timeout of a link.
pub(super) const MIN_ABSENCE: Duration = Duration::from_secs(1);

const PERIODIC: [TimerId; 5] = [
    TimerId::ExpirePool,
    TimerId::Redial,
    TimerId::Resume,
    TimerId::Epoch,
    TimerId::CloseIdle,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    fn run(timers: &mut Timers, now: Instant) -> Vec<TimerId> {
        let mut order = Vec::new();
        while let Some(timer) = timers.pop_due(now, order.last().copied()) {
            order.push(timer);
        }
        order
    }

    #[test]
    fn every_periodic_timer_fires_at_start_and_again_after_its_period() {
        let mut timers = Timers::new(Instant::ZERO);
        assert_eq!(run(&mut timers, Instant::ZERO), PERIODIC);
        assert_eq!(timers.next_due(), Some(at(1_000_000)));
        let each_second = [TimerId::ExpirePool, TimerId::Redial, TimerId::Resume];
        assert_eq!(run(&mut timers, at(1_000_000)), each_second);
    }

    #[test]
    fn due_timers_run_in_declaration_order_whatever_their_instants() {
        let mut timers = Timers::new(at(u64::MAX));
        timers.arm(TimerId::Gossip, Some(at(1)));
        timers.arm(TimerId::Mix, Some(at(2)));
        timers.arm(TimerId::Peel, Some(at(3)));
        timers.arm(TimerId::Embargo, Some(at(9)));
        let order = run(&mut timers, at(5));
        assert_eq!(order, [TimerId::Peel, TimerId::Mix, TimerId::Gossip]);
        assert_eq!(timers.next_due(), Some(at(9)));
    }

    #[test]
    fn disarmed_timer_never_fires() {
        let mut timers = Timers::new(at(u64::MAX));
        timers.arm(TimerId::Link(LinkId(4)), Some(at(1)));
        timers.arm(TimerId::Link(LinkId(4)), None);
        assert!(run(&mut timers, at(5)).is_empty());
    }

    #[test]
    fn expedite_only_brings_forward() {
        let mut timers = Timers::new(at(u64::MAX));
        timers.expedite(TimerId::Gossip, at(8));
        timers.expedite(TimerId::Gossip, at(9));
        assert_eq!(timers.next_due(), Some(at(8)));
        timers.expedite(TimerId::Gossip, at(7));
        assert_eq!(timers.next_due(), Some(at(7)));
    }
}
