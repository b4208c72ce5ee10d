//! One machine of a world: the program that runs on it, its disk and its links.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};

use circuits::ids::LinkId;
use circuits::time::{Instant, Now};

use super::archive::SimArchive;
use super::disk::SimDisk;
use super::files::SimFiles;
use super::network::{Line, Uplink};
use super::seed::SmallRng;
use crate::endpoint::PeerAddr;
use crate::node::{Input, JobId, Node, NodeConfig, Output};

/// A program that is not a node of ours and speaks on its links: a scripted peer, an attacker.
///
/// It is driven as a node is, without timers of its own unless it asks for them.
pub trait Actor: Any {
    /// A number for a connection that another machine opened.
    fn new_link(&mut self) -> LinkId;

    /// Takes one input; gives what follows from it.
    fn handle(&mut self, now: Now, input: Input<'_>) -> Vec<Output>;
}

/// The program of a machine.
pub(super) enum Process {
    Node(Box<Node>),
    Actor(Box<dyn Actor>),
    /// The power has failed.
    Offline,
}

/// A machine.
pub(super) struct Machine {
    pub(super) process: Process,
    pub(super) addr: PeerAddr,
    /// The configuration of a node, for its next start.
    pub(super) config: Option<NodeConfig>,
    /// How often it has started.
    pub(super) starts: u64,
    pub(super) disk: SimDisk,
    pub(super) archive: SimArchive,
    pub(super) files: SimFiles,
    pub(super) links: BTreeMap<LinkId, LinkEnd>,
    /// What all its links share.
    pub(super) uplink: Uplink,
    /// Searches that run.
    pub(super) jobs: BTreeSet<JobId>,
    /// Draws the times of searches.
    pub(super) mining: SmallRng,
    pub(super) wake: WakeUp,
    /// Links that it has opened.
    pub(super) dials: u64,
    /// Whether it can be dialled.
    pub(super) behind_nat: bool,
    /// Seconds by which its wall clock is ahead.
    pub(super) clock_ahead: i64,
}

/// One end of a link.
pub(super) struct LinkEnd {
    /// The machine at the other end.
    pub(super) to: usize,
    /// What the other end calls the link.
    pub(super) theirs: LinkId,
    /// The direction away from this end.
    pub(super) line: Line,
    /// Bytes that have left and that the node was not told of yet.
    pub(super) unreported: usize,
}

/// When a machine wants to be called.
#[derive(Default)]
pub(super) struct WakeUp {
    /// What it asked for last.
    wanted: Option<Instant>,
    /// The event in the queue, if one is there.
    queued: Option<Instant>,
}

impl WakeUp {
    /// Notes that the machine wants to be called at `due`; gives the time of an event to queue.
    ///
    /// A later wish leaves the queued event alone: when it comes, it is moved without a call.
    pub(super) fn want(&mut self, due: Instant) -> Option<Instant> {
        self.wanted = Some(due);
        if self.queued.is_some_and(|queued| queued <= due) {
            return None;
        }
        self.queued = Some(due);
        Some(due)
    }

    /// The event of `now` has come.
    pub(super) fn take(&mut self, now: Instant) -> Wake {
        if self.queued != Some(now) {
            return Wake::Stale;
        }
        self.queued = None;
        match self.wanted {
            Some(wanted) if wanted > now => {
                self.queued = Some(wanted);
                Wake::Later(wanted)
            }
            Some(_) => Wake::Due,
            None => Wake::Stale,
        }
    }
}

/// What to do about a wake-up event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Wake {
    /// Call the machine.
    Due,
    /// Queue an event for this time instead.
    Later(Instant),
    /// Another event has taken its place.
    Stale,
}

impl Process {
    pub(super) const fn is_offline(&self) -> bool {
        matches!(self, Self::Offline)
    }

    /// A number for a link that another machine opens; none if nothing runs.
    pub(super) fn new_link(&mut self) -> Option<LinkId> {
        match self {
            Self::Node(node) => Some(node.new_link()),
            Self::Actor(actor) => Some(actor.new_link()),
            Self::Offline => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wake_up_is_queued_once_and_moved_when_it_comes() {
        let at = Instant::from_micros;
        let mut wake = WakeUp::default();
        assert_eq!(wake.want(at(10)), Some(at(10)));
        assert_eq!(wake.want(at(30)), None, "the event of 10 is moved");
        assert_eq!(wake.take(at(10)), Wake::Later(at(30)));
        assert_eq!(wake.want(at(20)), Some(at(20)));
        assert_eq!(wake.take(at(20)), Wake::Due);
        assert_eq!(wake.take(at(30)), Wake::Stale);
    }
}
