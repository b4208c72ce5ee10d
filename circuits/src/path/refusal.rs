//! Why no path could be drawn: the rule, and the number that is missing.

use core::fmt;

/// A refusal: never a weaker path in its place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PathRefusal {
    /// The rule that cannot be met.
    pub rule: PathRule,
    /// How many it needs.
    pub needed: usize,
    /// How many there are.
    pub known: usize,
    /// What the other rules took away before.
    pub removed: RemovedRelays,
}

/// The rules that a directory can fail.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum PathRule {
    /// The guard (or, once it is given up, a backup) is among the eligible relays.
    Guard,
    /// Middles of a lane share no subnet and no family, those of an envelope no relay.
    Middles,
    /// The pinned guard is among the eligible relays.
    PinnedGuard,
    /// So many relays are eligible.
    Relays,
    /// The rendezvous is nobody near us: no neighbour, not the guard, no relation of it.
    Rendezvous,
    /// The eligible relays span so many subnets.
    Subnets,
    /// The directory is a day old.
    Young,
}

/// How many relays each rule took away.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RemovedRelays {
    /// Eligible relays, before anything was taken away.
    pub known: usize,
    /// We ourselves.
    pub own: usize,
    /// The guard.
    pub guard: usize,
    /// Relays in a subnet of the guard's.
    pub guard_subnet: usize,
    /// Relays of the guard's family.
    pub guard_family: usize,
    /// Not for the rendezvous: relays in our own subnet.
    pub own_subnet: usize,
    /// Not for the rendezvous: our neighbours.
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
            PathRule::Guard => f.write_str("the guard is not in the directory")?,
            PathRule::Middles => write!(
                f,
                "needs at least {needed} relays that may stand between guard and rendezvous, \\
                 {known} found"
            )?,
            PathRule::PinnedGuard => f.write_str("the pinned guard is not in the directory")?,
            PathRule::Relays => {
                write!(f, "needs at least {needed} eligible relays, {known} known")?
            }
            PathRule::Rendezvous => write!(
                f,
                "needs at least {} that may be the rendezvous, {known} known",
                relays(*needed)
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
            own: _,
            guard: _,
            guard_subnet,
            guard_family,
            own_subnet,
            peers,
        } = self;
        let rows = [
            (guard_subnet, "in the guard's subnet"),
            (guard_family, "of the guard's family"),
            (own_subnet, "in our own subnet"),
            (peers, "our neighbours"),
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
