//! Refusals of path choice: the rule that cannot be satisfied, and the missing number.

use core::fmt;

/// A refusal to draw a path. The picker never returns a weaker path instead.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PathRefusal {
    /// The rule that cannot be satisfied.
    pub rule: PathRule,
    /// Number of relays or subnets that the rule requires.
    pub needed: usize,
    /// Number that is available.
    pub known: usize,
    /// Relays that the other rules removed before.
    pub removed: RemovedRelays,
}

/// The rules that a directory may not satisfy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PathRule {
    /// Each relay of a lane can dial the next one.
    Dialling,
    /// This node can dial the pinned guard.
    DialPinnedGuard,
    /// The guard, or a backup if the guard is down, is an eligible relay.
    Guard,
    /// The middles of a lane share no subnet and no family; the middles of an envelope are
    /// distinct.
    Middles,
    /// The layers of a mixing path have relays that share no subnet and no family, and of which each
    /// can dial the next.
    Layers,
    /// The pinned guard is an eligible relay.
    PinnedGuard,
    /// The pinned guard of mixing paths is in the first layer.
    PinnedGuardLayer,
    /// Enough relays are eligible.
    Relays,
    /// The rendezvous is not a peer, not the guard, and not related to the guard.
    Rendezvous,
    /// One of the second hops of circuits may stand between the guard and the last relay.
    SecondHop,
    /// The eligible relays are in enough subnets.
    Subnets,
    /// The directory is at least one day old.
    Young,
}

/// Number of relays that each rule removed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RemovedRelays {
    /// Eligible relays, before any rule.
    pub known: usize,
    /// For the guard only: relays that this node cannot dial.
    pub not_dialled: usize,
    /// This node itself.
    pub own: usize,
    /// The guard.
    pub guard: usize,
    /// Relays in a subnet of the guard.
    pub guard_subnet: usize,
    /// Relays of the guard's family.
    pub guard_family: usize,
    /// For the rendezvous only: relays in this node's own subnet.
    pub own_subnet: usize,
    /// For the rendezvous only: peers of this node.
    pub peers: usize,
}

impl fmt::Display for PathRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rule,
            needed,
            known,
            removed,
        } = self;
        match rule {
            PathRule::Dialling => write!(
                f,
                "needs at least {needed} relays between guard and rendezvous of which each can \
                 dial the next, {known} found; a relay without Tor dials no onion service"
            )?,
            PathRule::DialPinnedGuard => f.write_str(
                "this node cannot dial the pinned guard; an onion service is reached with \
                 tor.mode set",
            )?,
            PathRule::Guard => f.write_str("the guard is not in the directory")?,
            PathRule::Middles => write!(
                f,
                "needs at least {needed} relays that may stand between guard and rendezvous, \\
                 {known} found"
            )?,
            PathRule::Layers => write!(
                f,
                "needs one relay of each layer that shares no subnet and no family with the others and \
                 can dial the next; layers with a relay that this node may use: {known} of {needed}"
            )?,
            PathRule::PinnedGuardLayer => f.write_str("the pinned guard is not in layer 1")?,
            PathRule::PinnedGuard => f.write_str("the pinned guard is not in the directory")?,
            PathRule::Relays => {
                write!(f, "needs at least {needed} eligible relays, {known} known")?
            }
            PathRule::Rendezvous => write!(
                f,
                "needs at least {} that may be the rendezvous, {known} known",
                relays(*needed)
            )?,
            PathRule::SecondHop => f.write_str(
                "none of the four second hops of circuits may stand between the guard and the \
                 last relay",
            )?,
            PathRule::Subnets => write!(
                f,
                "needs eligible relays in at least {needed} subnets, {known} known"
            )?,
            PathRule::Young => f.write_str("needs a directory that is a day old")?,
        }
        fmt::Display::fmt(removed, f)
    }
}

impl core::error::Error for PathRefusal {}

impl fmt::Display for RemovedRelays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            known,
            not_dialled,
            own: _,
            guard: _,
            guard_subnet,
            guard_family,
            own_subnet,
            peers,
        } = self;
        let rows = [
            (not_dialled, "that this node cannot dial"),
            (guard_subnet, "in the guard's subnet"),
            (guard_family, "of the guard's family"),
            (own_subnet, "in our own subnet"),
            (peers, "connected as peers"),
        ];
        if rows.iter().all(|(count, _)| **count == 0) {
            return Ok(());
        }
        write!(f, " (of {known} relays")?;
        for (count, why) in rows.iter().filter(|(count, _)| **count > 0) {
            write!(f, ", {count} {why}")?;
        }
        f.write_str(")")
    }
}

fn relays(count: usize) -> String {
    match count {
        1 => "1 relay".to_owned(),
        _ => format!("{count} relays"),
    }
}
