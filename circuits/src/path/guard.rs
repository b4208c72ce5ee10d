//! The guard: the only relay that knows the address of this node, kept for months.
//!
//! Every choice of a guard may select a malicious relay, so the number of choices is small. Relays
//! are ranked by a keyed hash of their ids. The first is the guard and the next two are its
//! backups. For 120 days there is no fourth, even if an attacker takes down all three. The ranking
//! depends only on the seed, so a node that loses its state finds the same guard again (spec M1).
//!
//! Mixing paths have guards of their own, which are ranked the same way under another label among the
//! relays of the first layer: there, a guard serves five times as many senders as it would among all
//! relays.
//!
//! The node waits for a guard that does not answer; the caller sets for how long. A choice made
//! while the directory was young is repeated once, when the directory has settled.

use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::refusal::{PathRefusal, PathRule, RemovedRelays};
use crate::bytes::{ByteReader, Truncated};
use crate::directory::{EligibleRelay, EndpointKinds, Snapshot};
use crate::ids::RelayId;
use crate::mixing::Layer;
use crate::secret::Secret;
use crate::time::UnixSecs;

/// The secret that ranks relays: 16 bytes, independent of all other keys.
#[derive(Debug)]
pub struct GuardSeed(pub Secret<16>);

/// Proof that a relay is the current guard; only [`Guards::choose`] creates one. `Debug` does not
/// show it.
#[derive(Clone, Copy)]
pub struct Guard<'a>(&'a EligibleRelay);

impl<'a> Guard<'a> {
    /// The relay.
    #[must_use]
    pub const fn relay(&self) -> &'a EligibleRelay {
        self.0
    }
}

impl fmt::Debug for Guard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard([redacted])")
    }
}

/// The guard and its backups.
pub struct Guards {
    seed: GuardSeed,
    own: RelayId,
    pinned: Option<RelayId>,
    /// The kinds of endpoints that this node can dial.
    dials: EndpointKinds,
    role: GuardRole,
    choice: GuardSample,
}

/// Which paths start at a guard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum GuardRole {
    /// Lanes, whose guard may be any relay.
    Lanes,
    /// Mixing paths, whose guard is in the first layer.
    Mixing,
}

/// The members of one period.
#[derive(Clone, Debug)]
struct GuardSample {
    period: u32,
    /// Whether the guards were chosen from a young directory and must be chosen again.
    provisional: bool,
    /// In order of preference.
    members: Vec<RankedGuard>,
}

impl GuardSample {
    fn decode(reader: &mut ByteReader<'_>) -> Result<Self, Truncated> {
        let period = reader.u32()?;
        let provisional = reader.u8()? != 0;
        let mut members = Vec::new();
        while reader.remaining() > 0 && members.len() < MEMBERS {
            members.push(RankedGuard {
                id: RelayId(reader.array()?),
                silent: read_moment(reader)?,
                absent: read_moment(reader)?,
                aside: None,
            });
        }
        Ok(Self {
            period,
            provisional,
            members,
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct RankedGuard {
    id: RelayId,
    /// Time since which it has not answered.
    silent: Option<UnixSecs>,
    /// Time since which it has been missing from the directory.
    absent: Option<UnixSecs>,
    /// Until when it is not used although it answers. Not stored: a restart gives it a new chance.
    aside: Option<UnixSecs>,
}

impl RankedGuard {
    const fn new(id: RelayId) -> Self {
        Self {
            id,
            silent: None,
            absent: None,
            aside: None,
        }
    }

    /// Whether it is up, or has been down for less than `timeout_secs` seconds, and is not set aside.
    fn is_waited_for(&self, now: UnixSecs, timeout_secs: u32) -> bool {
        if self.aside.is_some_and(|until| now < until) {
            return false;
        }
        let mut downs = self.silent.iter().chain(&self.absent);
        downs.all(|since| now < since.after(timeout_secs))
    }
}

impl Guards {
    /// Ranks relays by `seed`; never chooses `own`.
    #[must_use]
    pub const fn new(seed: GuardSeed, own: RelayId) -> Self {
        Self {
            seed,
            own,
            pinned: None,
            dials: EndpointKinds::ALL,
            role: GuardRole::Lanes,
            choice: GuardSample {
                period: 0,
                provisional: true,
                members: Vec::new(),
            },
        }
    }

    /// Chooses only relays with an endpoint of these kinds, since this node dials its guard itself.
    #[must_use]
    pub const fn that_dial(mut self, dials: EndpointKinds) -> Self {
        self.dials = dials;
        self
    }

    /// Ranks the relays of the first layer, as guards of mixing paths.
    #[must_use]
    pub const fn for_mixing(mut self) -> Self {
        self.role = GuardRole::Mixing;
        self
    }

    /// Pins a relay as the only guard; `None` returns to the ranking.
    pub fn pin(&mut self, relay: Option<RelayId>) {
        self.pinned = relay;
    }

    /// The guard for a path that is drawn now: the first member that has been down for less than
    /// `timeout_secs` seconds. A guard that is down for less than that is still returned: a cell to it
    /// may be lost, but no other relay receives it.
    ///
    /// # Errors
    ///
    /// [`PathRule::PinnedGuard`] or [`PathRule::Guard`] if the relay is not in the snapshot,
    /// [`PathRule::DialPinnedGuard`] if this node cannot dial it, [`PathRule::PinnedGuardLayer`] if it is
    /// pinned for mixing and in another layer than the first.
    pub fn choose<'a>(
        &mut self,
        now: UnixSecs,
        snapshot: &'a Snapshot,
        timeout_secs: u32,
    ) -> Result<Guard<'a>, PathRefusal> {
        if self.pinned.is_none() {
            self.choice = self.refreshed(now, snapshot);
        }
        self.select(&self.choice, now, snapshot, timeout_secs)
    }

    /// The guard that [`choose`](Self::choose) would return; changes nothing.
    ///
    /// # Errors
    ///
    /// Those of [`choose`](Self::choose).
    pub fn preview<'a>(
        &self,
        now: UnixSecs,
        snapshot: &'a Snapshot,
        timeout_secs: u32,
    ) -> Result<Guard<'a>, PathRefusal> {
        let choice = self.refreshed(now, snapshot);
        self.select(&choice, now, snapshot, timeout_secs)
    }

    fn select<'a>(
        &self,
        choice: &GuardSample,
        now: UnixSecs,
        snapshot: &'a Snapshot,
        timeout_secs: u32,
    ) -> Result<Guard<'a>, PathRefusal> {
        if let Some(pinned) = &self.pinned {
            let relay = snapshot.get(pinned);
            let relay = relay.ok_or_else(|| self.refusal(PathRule::PinnedGuard, snapshot))?;
            if !self.can_dial(relay) {
                return Err(self.refusal(PathRule::DialPinnedGuard, snapshot));
            }
            if !self.has_layer(relay) {
                return Err(self.refusal(PathRule::PinnedGuardLayer, snapshot));
            }
            return Ok(Guard(relay));
        }
        let mut members = choice.members.iter();
        let member = members.find(|member| member.is_waited_for(now, timeout_secs));
        // If all members are down for too long, the first one in the directory is tried again.
        let relay = match member {
            Some(member) => self.usable(snapshot, member),
            None => choice
                .members
                .iter()
                .find_map(|member| self.usable(snapshot, member)),
        };
        relay
            .map(Guard)
            .ok_or_else(|| self.refusal(PathRule::Guard, snapshot))
    }

    /// A member, if it is in the snapshot and can be dialled.
    fn usable<'a>(
        &self,
        snapshot: &'a Snapshot,
        member: &RankedGuard,
    ) -> Option<&'a EligibleRelay> {
        let relay = snapshot.get(&member.id)?;
        self.can_dial(relay).then_some(relay)
    }

    const fn can_dial(&self, relay: &EligibleRelay) -> bool {
        self.dials.meets(relay.endpoints)
    }

    /// Whether paths of this role may start at a relay.
    fn has_layer(&self, relay: &EligibleRelay) -> bool {
        match self.role {
            GuardRole::Lanes => true,
            GuardRole::Mixing => relay.layer == Layer::FIRST,
        }
    }

    fn refusal(&self, rule: PathRule, snapshot: &Snapshot) -> PathRefusal {
        let relays = snapshot.relays().iter();
        PathRefusal {
            rule,
            needed: 1,
            known: 0,
            removed: RemovedRelays {
                known: relays.len(),
                not_dialled: relays.filter(|relay| !self.can_dial(relay)).count(),
                ..RemovedRelays::default()
            },
        }
    }

    /// Records that a guard does not answer. The caller must keep retrying the guard and report
    /// [`answered`](Self::answered); nothing else restores it.
    pub fn failed(&mut self, now: UnixSecs, id: &RelayId) {
        if let Some(member) = self.member(id) {
            member.silent.get_or_insert(now);
        }
    }

    /// Records that a guard answers.
    pub fn answered(&mut self, id: &RelayId) {
        if let Some(member) = self.member(id) {
            member.silent = None;
        }
    }

    /// Sets a member aside until a time, or takes it back. No relay outside the members is chosen for
    /// it, so three guards remain the limit of a period.
    pub fn set_aside(&mut self, id: &RelayId, until: Option<UnixSecs>) {
        if let Some(member) = self.member(id) {
            member.aside = until;
        }
    }

    /// The guard and its backups, if chosen, in order of preference.
    pub fn members(&self) -> impl Iterator<Item = RelayId> {
        self.choice.members.iter().map(|member| member.id)
    }

    /// The guard in use: the first that is up or waited for, whether or not the directory has it now.
    /// All cells of this node leave to it.
    #[must_use]
    pub fn in_use(&self, now: UnixSecs, timeout_secs: u32) -> Option<RelayId> {
        let members = &self.choice.members;
        let mut waited_for = members.iter();
        let member = waited_for.find(|member| member.is_waited_for(now, timeout_secs));
        let member = member.or_else(|| members.first());
        self.pinned.or_else(|| Some(member?.id))
    }

    /// The guards whose links are to be open now: the one in use, and those that are preferred to it
    /// and down, so that it is noticed when they return. All of them if all are down.
    #[must_use]
    pub fn wanted(&self, now: UnixSecs, timeout_secs: u32) -> Vec<RelayId> {
        if let Some(pinned) = self.pinned {
            return vec![pinned];
        }
        let members = &self.choice.members;
        let up = members
            .iter()
            .position(|member| member.is_waited_for(now, timeout_secs));
        let count = up.map_or(members.len(), |place| place.saturating_add(1));
        self.members().take(count).collect()
    }

    /// The choice, to be stored with the seed; the pin is not included.
    #[must_use]
    pub fn export(&self) -> Vec<u8> {
        let mut out = self.choice.period.to_be_bytes().to_vec();
        out.push(u8::from(self.choice.provisional));
        for member in &self.choice.members {
            out.extend(member.id.0);
            for down in [member.silent, member.absent] {
                out.extend(down.map_or(0, |since| since.0).to_be_bytes());
            }
        }
        out
    }

    /// Restores a stored choice.
    ///
    /// # Errors
    ///
    /// [`Truncated`] if the bytes end too early. A new choice then gives the same guards unless the
    /// directory has changed.
    pub fn import(&mut self, stored: &[u8]) -> Result<(), Truncated> {
        self.choice = GuardSample::decode(&mut ByteReader::new(stored))?;
        Ok(())
    }

    /// Whether [`export`](Self::export) could have returned these bytes, as far as their form shows.
    #[must_use]
    pub fn is_exported(stored: &[u8]) -> bool {
        let mut reader = ByteReader::new(stored);
        let decoded = GuardSample::decode(&mut reader);
        decoded.is_ok() && reader.remaining() == 0 && stored.get(4).is_some_and(|flag| *flag <= 1)
    }

    fn member(&mut self, id: &RelayId) -> Option<&mut RankedGuard> {
        let mut members = self.choice.members.iter_mut();
        members.find(|member| member.id == *id)
    }

    /// The choice as of now: a new one if the period has ended or the directory has settled, filled
    /// up to three members, with the members that have left the directory marked.
    fn refreshed(&self, now: UnixSecs, snapshot: &Snapshot) -> GuardSample {
        let mut choice = self.choice.clone();
        let period = self.period_at(now);
        let settles = choice.provisional && !snapshot.is_young();
        if period != choice.period || settles {
            choice.period = period;
            choice.provisional = snapshot.is_young();
            choice.members.clear();
        }
        // A list that names none of the guards any more, or that was pinned after the choice, would leave
        // this node without a guard for the rest of the period. Only a quorum of signers can bring this
        // about; guards that are merely offline stay on the list.
        if let Some(list) = snapshot.list().filter(|list| !list.is_empty())
            && !choice
                .members
                .iter()
                .any(|member| list.contains(&member.id))
        {
            choice.members.clear();
        }
        // On `local`, a relay that joins moves others to the next layer. On `main`, none moves.
        choice.members.retain(|member| {
            let relay = snapshot.get(&member.id);
            relay.is_none_or(|relay| self.has_layer(relay))
        });
        if choice.members.len() < MEMBERS {
            self.fill(&mut choice, snapshot);
        }
        for member in &mut choice.members {
            match self.usable(snapshot, member) {
                Some(_) => member.absent = None,
                None => {
                    member.absent.get_or_insert(now);
                }
            }
        }
        choice
    }

    fn fill(&self, choice: &mut GuardSample, snapshot: &Snapshot) {
        let mut ranked: Vec<_> = snapshot
            .relays()
            .iter()
            .filter(|relay| self.can_dial(relay) && self.has_layer(relay))
            .map(|relay| relay.hop.id)
            .filter(|id| *id != self.own && choice.members.iter().all(|one| one.id != *id))
            .map(|id| (self.rank(&id, choice.period), id))
            .collect();
        ranked.sort_unstable();
        let vacant = MEMBERS.saturating_sub(choice.members.len());
        let chosen = ranked.into_iter().take(vacant);
        choice
            .members
            .extend(chosen.map(|(_, id)| RankedGuard::new(id)));
    }

    /// HMAC-SHA256(seed, label | relay id | period); the lowest value ranks first.
    fn rank(&self, id: &RelayId, period: u32) -> [u8; 32] {
        let label = match self.role {
            GuardRole::Lanes => &[],
            GuardRole::Mixing => MIXING_LABEL,
        };
        self.mac(&[label, &id.0, &period.to_be_bytes()])
    }

    /// Each node has its own period offset; otherwise all nodes would change guards on the same
    /// day.
    fn period_at(&self, now: UnixSecs) -> u32 {
        let [a, b, c, d, ..] = self.mac(&[OFFSET_LABEL]);
        let offset = u32::from_be_bytes([a, b, c, d]) % PERIOD_SECS;
        let shifted = u64::from(now.0).saturating_add(offset.into());
        u32::try_from(shifted / u64::from(PERIOD_SECS)).unwrap_or(u32::MAX)
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        // HMAC accepts keys of any length, so the error case is unreachable.
        Hmac::<Sha256>::new_from_slice(self.seed.0.expose()).map_or([0; 32], |mut mac| {
            parts.iter().for_each(|part| mac.update(part));
            mac.finalize().into_bytes().into()
        })
    }
}

impl fmt::Debug for Guards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            seed: _,
            own: _,
            dials: _,
            role,
            pinned,
            choice,
        } = self;
        f.debug_struct("Guards")
            .field("role", role)
            .field("pinned", &pinned.is_some())
            .field("provisional", &choice.provisional)
            .field("members", &choice.members.len())
            .finish_non_exhaustive()
    }
}

fn read_moment(reader: &mut ByteReader<'_>) -> Result<Option<UnixSecs>, Truncated> {
    Ok(Some(reader.u32()?).filter(|at| *at != 0).map(UnixSecs))
}

/// A guard and two backups.
const MEMBERS: usize = 3;
/// 120 days.
const PERIOD_SECS: u32 = 120 * 86_400;
const OFFSET_LABEL: &[u8] = b"whisht/1/guard-offset";
/// Of the ranking of mixing guards; that of other guards has none.
const MIXING_LABEL: &[u8] = b"whisht/1/mixing-guard";
