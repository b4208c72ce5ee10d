//! What the user sees of relay lists.

use circuits::ids::Epoch;
use circuits::time::Now;

use super::RelayDirectory;
use crate::node::views::{ListInForceView, RelayListView};

impl RelayDirectory {
    /// The rule that decides which relays are eligible; `None` without pinned signers.
    pub(in crate::node) fn relay_list_view(&self, now: Now) -> Option<RelayListView> {
        let lists = &self.lists;
        let signers = lists.signers.as_ref()?;
        let held = lists.in_force(now.unix);
        let newest = lists.store.newest();
        let waiting = newest.filter(|newest| {
            held.is_none_or(|held| held.list.header().from < newest.list.header().from)
                && newest.list.header().until > Epoch::at(now.unix)
        });
        let in_force = held.map(|held| {
            let header = held.list.header();
            ListInForceView {
                id: held.list.id().to_string(),
                from: header.from.start().0,
                until: header.until.start().0,
                relays: held.list.relays().len(),
                signed: held.list.signatures(),
                left_secs: header.until.start().0.saturating_sub(now.unix.0),
                names_this_relay: held
                    .list
                    .relays()
                    .iter()
                    .any(|one| one.key.id() == self.own),
            }
        });
        let expired = newest.filter(|_| held.is_none() && waiting.is_none());
        Some(RelayListView {
            signers: signers.ids().len(),
            threshold: signers.threshold(),
            in_force,
            next_from: waiting.map(|held| held.list.header().from.start().0),
            expired: expired.map(|held| held.list.header().until.start().0),
            conflicts: lists
                .store
                .conflicts()
                .map(|epoch| epoch.start().0)
                .collect(),
        })
    }
}
