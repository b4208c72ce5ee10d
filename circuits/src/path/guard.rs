//! The one relay that sees who we are: chosen once, kept for months.
//!
//! Every choice of a guard is another chance for a malicious one, so there are few: relays are
//! ranked by a keyed hash of their ids, the lowest is the guard, the next two are its backups, and
//! for 120 days there is no fourth, however many of the three are shot down. The ranking follows
//! from the seed alone, so a node that loses its state finds the same guard again (spec M1).
//!
//! A guard that does not answer is waited for; how long is the caller's to say. What was chosen
//! while the directory was young is chosen again, once, when it has settled.

use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::refusal::{PathRefusal, PathRule, RemovedRelays};
use crate::bytes::{ByteReader, Truncated};
use crate::directory::{EligibleRelay, Snapshot};
use crate::ids::RelayId;
use crate::secret::Secret;
use crate::time::UnixSecs;

/// The secret that ranks relays: 16 bytes of their own, in no relation to any other key.
#[derive(Debug)]
pub struct GuardSeed(pub Secret<16>);

/// Proof that a relay is our guard now; only [`Guards::choose`] makes one. `Debug` does not show
/// which.
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
    period: u32,
    /// Chosen from a young directory, to be chosen again.
    provisional: bool,
    /// In order of preference.
    members: Vec<RankedGuard>,
}

#[derive(Clone, Copy, Debug)]
struct RankedGuard {
    id: RelayId,
    /// Since when it has not answered.
    silent: Option<UnixSecs>,
    /// Since when the directory has not had it.
    absent: Option<UnixSecs>,
}

impl RankedGuard {
    const fn new(id: RelayId) -> Self {
        Self {
            id,
            silent: None,
            absent: None,
        }
    }

    /// Whether it is up, or has not been down for `patience` seconds yet.
    fn is_waited_for(&self, now: UnixSecs, patience: u32) -> bool {
        let mut downs = self.silent.iter().chain(&self.absent);
        downs.all(|since| now < since.after(patience))
    }
}

impl Guards {
    /// Ranks by `seed`; never chooses `own`.
    #[must_use]
    pub const fn new(seed: GuardSeed, own: RelayId) -> Self {
        Self {
            seed,
            own,
            pinned: None,
            period: 0,
            provisional: true,
            members: Vec::new(),
        }
    }

    /// Uses one relay and no other, or goes back to the ranking.
    pub fn pin(&mut self, relay: Option<RelayId>) {
        self.pinned = relay;
    }

    /// The guard for a path drawn now: the first that is not down for longer than `patience`
    /// seconds. A guard that is down but still waited for is given all the same: what goes to it
    /// may be lost, but does not go to anybody else.
    ///
    /// # Errors
    ///
    /// [`PathRule::PinnedGuard`] or [`PathRule::Guard`] if the relay is not in the snapshot.
    pub fn choose<'a>(
        &mut self,
        now: UnixSecs,
        snapshot: &'a Snapshot,
        patience: u32,
    ) -> Result<Guard<'a>, PathRefusal> {
        if let Some(pinned) = &self.pinned {
            let relay = snapshot.get(pinned);
            return relay
                .map(Guard)
                .ok_or_else(|| refusal(PathRule::PinnedGuard, snapshot));
        }
        self.refresh(now, snapshot);
        let mut members = self.members.iter();
        let member = members.find(|member| member.is_waited_for(now, patience));
        // When all are given up, the first that the directory still has is tried again.
        let relay = match member {
            Some(member) => snapshot.get(&member.id),
            None => self
                .members
                .iter()
                .find_map(|member| snapshot.get(&member.id)),
        };
        relay
            .map(Guard)
            .ok_or_else(|| refusal(PathRule::Guard, snapshot))
    }

    /// Notes that a guard does not answer. Who reports this also tries the guard again now and
    /// then, and reports [`answered`](Self::answered): nothing else brings it back.
    pub fn failed(&mut self, now: UnixSecs, id: &RelayId) {
        if let Some(member) = self.member(id) {
            member.silent.get_or_insert(now);
        }
    }

    /// Notes that a guard answers.
    pub fn answered(&mut self, id: &RelayId) {
        if let Some(member) = self.member(id) {
            member.silent = None;
        }
    }

    /// The guard and its backups, as far as they are chosen, in order of preference.
    pub fn members(&self) -> impl Iterator<Item = RelayId> {
        self.members.iter().map(|member| member.id)
    }

    /// The choice, to be stored beside the seed; the pin is not part of it.
    #[must_use]
    pub fn export(&self) -> Vec<u8> {
        let mut out = self.period.to_be_bytes().to_vec();
        out.push(u8::from(self.provisional));
        for member in &self.members {
            out.extend(member.id.0);
            for down in [member.silent, member.absent] {
                out.extend(down.map_or(0, |since| since.0).to_be_bytes());
            }
        }
        out
    }

    /// Takes back a stored choice.
    ///
    /// # Errors
    ///
    /// [`Truncated`] if the bytes end too early; the choice is then made anew, which gives the
    /// same guards unless the directory has changed.
    pub fn import(&mut self, stored: &[u8]) -> Result<(), Truncated> {
        let mut reader = ByteReader::new(stored);
        let period = reader.u32()?;
        let provisional = reader.u8()? != 0;
        let mut members = Vec::new();
        while reader.remaining() > 0 && members.len() < MEMBERS {
            members.push(RankedGuard {
                id: RelayId(reader.array()?),
                silent: read_moment(&mut reader)?,
                absent: read_moment(&mut reader)?,
            });
        }
        self.period = period;
        self.provisional = provisional;
        self.members = members;
        Ok(())
    }

    fn member(&mut self, id: &RelayId) -> Option<&mut RankedGuard> {
        self.members.iter_mut().find(|member| member.id == *id)
    }

    /// Starts a new choice when the period or the directory's age demands it, fills it up to
    /// three, and notes who has left the directory.
    fn refresh(&mut self, now: UnixSecs, snapshot: &Snapshot) {
        let period = self.period_at(now);
        let settles = self.provisional && !snapshot.is_young();
        if period != self.period || settles {
            self.period = period;
            self.provisional = snapshot.is_young();
            self.members.clear();
        }
        if self.members.len() < MEMBERS {
            self.fill(snapshot);
        }
        for member in &mut self.members {
            match snapshot.get(&member.id) {
                Some(_) => member.absent = None,
                None => {
                    member.absent.get_or_insert(now);
                }
            }
        }
    }

    fn fill(&mut self, snapshot: &Snapshot) {
        let mut ranked: Vec<_> = snapshot
            .relays()
            .iter()
            .map(|relay| relay.hop.id)
            .filter(|id| *id != self.own && self.members.iter().all(|one| one.id != *id))
            .map(|id| (self.rank(&id), id))
            .collect();
        ranked.sort_unstable();
        let vacant = MEMBERS.saturating_sub(self.members.len());
        let chosen = ranked.into_iter().take(vacant);
        self.members
            .extend(chosen.map(|(_, id)| RankedGuard::new(id)));
    }

    /// HMAC-SHA256(seed, relay id | period), the lowest first.
    fn rank(&self, id: &RelayId) -> [u8; 32] {
        self.mac(&[&id.0, &self.period.to_be_bytes()])
    }

    /// Periods of all nodes begin at different times, or all would change guards on one day.
    fn period_at(&self, now: UnixSecs) -> u32 {
        let [a, b, c, d, ..] = self.mac(&[OFFSET_LABEL]);
        let offset = u32::from_be_bytes([a, b, c, d]) % PERIOD_SECS;
        let shifted = u64::from(now.0).saturating_add(offset.into());
        u32::try_from(shifted / u64::from(PERIOD_SECS)).unwrap_or(u32::MAX)
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        // HMAC takes keys of any length, so there is no error to speak of.
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
            pinned,
            period: _,
            provisional,
            members,
        } = self;
        f.debug_struct("Guards")
            .field("pinned", &pinned.is_some())
            .field("provisional", provisional)
            .field("members", &members.len())
            .finish_non_exhaustive()
    }
}

fn read_moment(reader: &mut ByteReader<'_>) -> Result<Option<UnixSecs>, Truncated> {
    Ok(Some(reader.u32()?).filter(|at| *at != 0).map(UnixSecs))
}

fn refusal(rule: PathRule, snapshot: &Snapshot) -> PathRefusal {
    PathRefusal {
        rule,
        needed: 1,
        known: 0,
        removed: RemovedRelays {
            known: snapshot.relays().len(),
            ..RemovedRelays::default()
        },
    }
}

/// A guard and two backups.
const MEMBERS: usize = 3;
/// 120 days.
const PERIOD_SECS: u32 = 120 * 86_400;
const OFFSET_LABEL: &[u8] = b"whisht/1/guard-offset";
