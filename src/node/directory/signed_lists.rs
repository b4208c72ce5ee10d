//! Signed relay lists: which one is in force, and what the directory makes of it.
//!
//! Without pinned signers this component does nothing. With pinned signers the directory accepts the
//! relays of the list in force and no others; without a valid list it accepts none, because a peer that
//! withholds the list must not bring back the rules for networks without signers. `exchange` brings the
//! lists from peers. A list of a peer is verified by a job, never on the turn of the driver.

mod exchange;
mod view;

use std::sync::Arc;

use circuits::bytes::ByteReader;
use circuits::directory::{ListedRelays, RelayEndpoint};
use circuits::distributions;
use circuits::ids::{Epoch, LinkId, NetworkId, Profile};
use circuits::time::{Now, UnixSecs};

pub(in crate::node) use self::exchange::ListCheck;

use self::exchange::ListExchange;
use super::RelayDirectory;
use crate::endpoint::PeerAddr;
use crate::node::command::Refusal;
use crate::node::config::NodeConfig;
use crate::node::effects::Effects;
use crate::node::jobs::{JobId, JobResult};
use crate::node::output::Record;
use crate::node::peers::Peers;
use crate::node::timers::TimerId;
use crate::relay_list::{
    HeldList, ListId, ListInsertion, ListStore, RelayList, SignerSet, VerifiedList,
};

/// The lists of this node.
pub(super) struct SignedLists {
    network: NetworkId,
    profile: Profile,
    /// The pinned signers; `None` if no list is followed.
    signers: Option<SignerSet>,
    store: ListStore,
    exchange: ListExchange,
    /// When this node started.
    started: UnixSecs,
    /// The list whose relays the directory has now; `None` before the first look.
    applied: Option<Option<ListId>>,
}

impl SignedLists {
    pub(super) fn new(config: &NodeConfig, now: Now) -> Self {
        let announces = config.relay || !config.listening.is_empty();
        Self {
            network: config.network_id(),
            profile: config.profile,
            signers: config.signers.clone(),
            store: ListStore::default(),
            exchange: ListExchange::new(announces),
            started: now.unix,
            applied: None,
        }
    }

    /// Restores the lists of an earlier run, and takes the list of the configured file. A list that the
    /// pinned signers do not vouch for, because the configuration has changed, is dropped.
    pub(super) fn restore(&mut self, now: Now, stored: &[u8], file: Option<&[u8]>) {
        if self.signers.is_none() {
            return;
        }
        for (received, raw) in split(stored) {
            if let Some(list) = self.verify(raw) {
                self.store.restore(now.unix, HeldList { list, received });
            }
        }
        let Some(list) = file.and_then(|raw| self.verify(raw)) else {
            return;
        };
        if let Err(refusal) = self.store.insert(now.unix, list) {
            tracing::warn!(%refusal, "the list of `directory.file` is not used");
        }
    }

    fn verify(&self, raw: &[u8]) -> Option<VerifiedList> {
        let signers = self.signers.as_ref()?;
        let list = RelayList::decode(raw);
        match list.and_then(|list| list.verify(self.network, self.profile, signers)) {
            Ok(list) => Some(list),
            Err(error) => {
                tracing::warn!(%error, "a relay list is not used");
                None
            }
        }
    }

    /// The list in force.
    pub(super) fn in_force(&self, now: UnixSecs) -> Option<&HeldList> {
        self.store
            .in_force(now, self.started > Epoch::at(now).freeze())
    }

    /// The relays that the directory must accept from now on, if they have changed.
    fn changed_relays(&mut self, now: UnixSecs) -> Option<Arc<ListedRelays>> {
        self.signers.as_ref()?;
        let in_force = self.in_force(now);
        let id = in_force.map(|held| held.list.id());
        if self.applied == Some(id) {
            return None;
        }
        let relays = in_force.map_or(&[][..], |held| held.list.relays());
        let listed = relays.iter().map(|relay| (relay.key.id(), relay.family));
        let listed = Arc::new(listed.collect());
        self.applied = Some(id);
        Some(listed)
    }

    /// Makes a list durable that is held now.
    fn keep(&self, fx: &mut Effects, inserted: ListInsertion, list: &VerifiedList) {
        if matches!(inserted, ListInsertion::Conflict(_)) {
            tracing::warn!(
                epoch = list.header().from.0,
                "two relay lists begin in one epoch, and neither is used; ask the signers, and compare \
                 with `whisht directory show`"
            );
        }
        fx.store(Record::RelayLists(self.encode()));
    }

    /// Takes a verified list of a peer; whether it is held now and was not before.
    fn insert(&mut self, fx: &mut Effects, now: Now, list: &VerifiedList) -> Option<ListInsertion> {
        match self.store.insert(now.unix, list.clone()) {
            Ok(ListInsertion::Known) => None,
            Ok(inserted) => {
                self.keep(fx, inserted, list);
                Some(inserted)
            }
            Err(refusal) => {
                tracing::debug!(%refusal, "the relay list of a peer is not used");
                None
            }
        }
    }

    /// All held lists as one record: for each, when it was received 4, its length 4, its bytes.
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for HeldList { list, received } in self.store.iter() {
            let len = u32::try_from(list.raw().len()).unwrap_or(u32::MAX);
            out.extend_from_slice(&received.0.to_be_bytes());
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(list.raw());
        }
        out
    }
}

/// The lists of a record. Reading ends where the record is cut off.
fn split(stored: &[u8]) -> Vec<(UnixSecs, &[u8])> {
    let mut reader = ByteReader::new(stored);
    let mut lists = Vec::new();
    while let (Ok(received), Ok(len)) = (reader.u32(), reader.u32())
        && let Ok(len) = usize::try_from(len)
        && let Ok(raw) = reader.take(len)
    {
        lists.push((UnixSecs(received), raw));
    }
    lists
}

impl RelayDirectory {
    /// Restores the lists of an earlier run and of the configured file.
    pub(super) fn restore_lists(
        &mut self,
        fx: &mut Effects,
        now: Now,
        stored: &[u8],
        file: Option<&[u8]>,
    ) {
        self.lists.restore(now, stored, file);
        if file.is_some() {
            fx.store(Record::RelayLists(self.lists.encode()));
        }
        self.apply_list(now);
    }

    /// Makes the list in force decide which relays are eligible; whether it is another one than before.
    fn apply_list(&mut self, now: Now) -> bool {
        let Some(listed) = self.lists.changed_relays(now.unix) else {
            return false;
        };
        self.directory.set_listed(Some(listed));
        self.snapshot = None;
        self.mixing.invalidate();
        self.changed = true;
        true
    }

    /// Does what is due: a list comes into force or expires, a peer has not answered.
    pub(super) fn turn_lists(&mut self, fx: &mut Effects, now: Now) {
        if self.lists.signers.is_some() {
            self.lists.store.expire(now.unix);
            self.apply_list(now);
            self.lists.run_exchange(fx, now);
        }
    }

    /// A peer speaks `onion/1` now: exchanges descriptors and relay lists with it.
    pub(in crate::node) fn on_onion_peer(
        &mut self,
        fx: &mut Effects,
        now: Now,
        link: LinkId,
        peers: &Peers,
    ) {
        self.request_descriptors(fx, now, link, peers);
        self.lists.announce_all(fx, link);
    }

    /// The list of a peer is verified, or refused.
    pub(in crate::node) fn on_list_checked(
        &mut self,
        fx: &mut Effects,
        now: Now,
        job: JobId,
        result: Option<JobResult>,
        peers: &Peers,
    ) {
        let Some((list, from)) = self.lists.on_checked(fx, now, job, result) else {
            return;
        };
        let Some(inserted) = self.lists.insert(fx, now, &list) else {
            return;
        };
        self.lists.pass_on(fx, &list, inserted, Some(from), peers);
        if self.apply_list(now) {
            fx.expedite(TimerId::Epoch, now.mono);
        }
    }

    /// Takes a list of the user, and passes it on.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if no signers are pinned, or the list is not one that this node can use.
    pub(in crate::node) fn publish_list(
        &mut self,
        fx: &mut Effects,
        now: Now,
        raw: &[u8],
        peers: &Peers,
    ) -> Result<(), Refusal> {
        let lists = &mut self.lists;
        let Some(signers) = &lists.signers else {
            return Err(Refusal::usage(
                "this node pins no signers, so it can use no relay list",
                "set `directory.signers`, and restart the node",
            ));
        };
        let list = RelayList::decode(raw)
            .and_then(|list| list.verify(lists.network, lists.profile, signers))
            .map_err(|error| {
                Refusal::usage(error.to_string(), "get the newest list from the signers")
            })?;
        let inserted = lists.store.insert(now.unix, list.clone());
        let inserted =
            inserted.map_err(|refusal| Refusal::usage(refusal.to_string(), refusal.remedy()))?;
        lists.keep(fx, inserted, &list);
        lists.pass_on(fx, &list, inserted, None, peers);
        if self.apply_list(now) {
            fx.expedite(TimerId::Epoch, now.mono);
        }
        Ok(())
    }

    /// Relays of the list to connect to, a few at random. A node that has peers, or looks for them by
    /// discovery, needs none.
    pub(in crate::node) fn entry_peers(
        &self,
        fx: &mut Effects,
        config: &NodeConfig,
        now: Now,
    ) -> Vec<PeerAddr> {
        let has_peers = !config.peers.is_empty() || !config.trusted_peers.is_empty();
        let held = self.lists.in_force(now.unix);
        let Some(held) = held.filter(|_| !has_peers && config.discovery.is_none()) else {
            return Vec::new();
        };
        let can_dial = |hint: &RelayEndpoint| self.dials.contains(hint);
        let relays = held.list.relays().iter();
        let mut peers: Vec<_> = relays
            .filter(|relay| relay.key.id() != self.own)
            .filter_map(|relay| {
                Some(PeerAddr {
                    key: relay.key,
                    endpoint: relay.hint.filter(can_dial)?.into(),
                })
            })
            .collect();
        distributions::shuffle(fx.dial_rng(), &mut peers);
        peers.truncate(MAX_ENTRY_PEERS);
        peers
    }
}

/// Maximum number of listed relays that a node without peers of its own connects to.
const MAX_ENTRY_PEERS: usize = 4;

#[cfg(test)]
mod tests;
