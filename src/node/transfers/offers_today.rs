//! How many files each conversation offered today.
//!
//! The count is durable together with the offer. A correspondent who can make the node restart gains no further
//! offers by it, and learns nothing of a restart from how many are listed.

use std::collections::BTreeMap;

use circuits::time::UnixSecs;

use crate::contact::codec::{BadState, StateReader, StateWriter};
use crate::contact::conversation::ConversationId;
use crate::state::{StateChange, StateRow, StateTable};

/// The offers of this day, by conversation.
#[derive(Default)]
pub(super) struct OffersToday {
    day: u32,
    counts: BTreeMap<ConversationId, u32>,
}

impl OffersToday {
    /// Counts an offer. Returns what stores the count, or `None` if there were too many. The first offer of a day
    /// erases the counts of the day before.
    pub(super) fn admit(
        &mut self,
        now: UnixSecs,
        conversation: ConversationId,
    ) -> Option<Vec<StateChange>> {
        let mut changes = self.begin_day(now);
        let count = self.counts.entry(conversation).or_default();
        if *count >= MAX_OFFERS_PER_DAY {
            return None;
        }
        *count = count.saturating_add(1);
        let mut writer = StateWriter::new(VERSION);
        writer.u32(self.day);
        writer.u32(*count);
        let put = StateChange::put(StateTable::File, row_id(conversation), writer.finish());
        changes.push(put);
        Some(changes)
    }

    /// Takes what the last run counted. Returns whether the row is one of these.
    ///
    /// # Errors
    ///
    /// [`BadState`] if this version did not write it.
    pub(super) fn restore(&mut self, row: &StateRow) -> Result<bool, BadState> {
        let Some((&ROW_KIND, id)) = row.id.as_bytes().split_first() else {
            return Ok(false);
        };
        let conversation = ConversationId(id.try_into().map_err(|_| BadState::Length)?);
        let mut reader = StateReader::new(&row.value, VERSION)?;
        let (day, count) = (reader.u32()?, reader.u32()?);
        reader.finish()?;
        if day > self.day {
            // Rows of earlier days are erased with the next offer.
            self.day = day;
        }
        self.counts.insert(conversation, count);
        Ok(true)
    }

    /// A conversation is erased. Returns what erases its count.
    pub(super) fn forget(&mut self, conversation: ConversationId) -> Option<StateChange> {
        self.counts.remove(&conversation)?;
        Some(StateChange::delete(StateTable::File, row_id(conversation)))
    }

    fn begin_day(&mut self, now: UnixSecs) -> Vec<StateChange> {
        let day = now.0 / 86_400;
        if day == self.day {
            return Vec::new();
        }
        self.day = day;
        let old = core::mem::take(&mut self.counts).into_keys();
        old.map(|id| StateChange::delete(StateTable::File, row_id(id)))
            .collect()
    }
}

fn row_id(conversation: ConversationId) -> Vec<u8> {
    [&[ROW_KIND][..], &conversation.0].concat()
}

/// Maximum number of offers of one conversation in a day.
const MAX_OFFERS_PER_DAY: u32 = 20;
/// The first byte of the names of these rows.
const ROW_KIND: u8 = b'o';
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: UnixSecs = UnixSecs(86_400);
    const FROM: ConversationId = ConversationId([1; 32]);

    /// What a restart leaves of the changes.
    fn restart(changes: &[StateChange]) -> OffersToday {
        let mut rows = BTreeMap::new();
        for change in changes {
            match change {
                StateChange::Put { table, id, value } => {
                    let row = StateRow {
                        table: *table,
                        id: id.clone(),
                        value: value.clone(),
                    };
                    rows.insert(id.as_bytes().to_vec(), row);
                }
                StateChange::Delete { id, .. } => {
                    rows.remove(id.as_bytes());
                }
            }
        }
        let mut offers = OffersToday::default();
        for row in rows.values() {
            assert_eq!(offers.restore(row), Ok(true));
        }
        offers
    }

    #[test]
    fn offer_above_the_limit_of_a_day_is_dropped_until_the_next_day() {
        let mut offers = OffersToday::default();
        assert!((0..MAX_OFFERS_PER_DAY).all(|_| offers.admit(DAY, FROM).is_some()));
        assert!(offers.admit(DAY, FROM).is_none());
        assert!(offers.admit(DAY, ConversationId([2; 32])).is_some());
        assert!(offers.admit(DAY.after(86_400), FROM).is_some());
    }

    #[test]
    fn restart_of_the_node_gives_no_further_offers() {
        let mut offers = OffersToday::default();
        let mut changes = Vec::new();
        for _ in 0..MAX_OFFERS_PER_DAY {
            changes.extend(offers.admit(DAY, FROM).unwrap());
            offers = restart(&changes);
        }
        assert!(offers.admit(DAY, FROM).is_none());
        let next_day = offers.admit(DAY.after(86_400), FROM).unwrap();
        // The count of the day before is erased, and that of today is stored.
        assert_eq!(next_day.len(), 2);
        assert!(offers.forget(FROM).is_some() && offers.forget(FROM).is_none());
    }

    #[test]
    fn row_of_another_kind_is_left_to_others_and_a_short_one_is_refused() {
        let mut offers = OffersToday::default();
        let StateChange::Put { table, id, value } = offers.admit(DAY, FROM).unwrap().remove(0)
        else {
            panic!("a count is written");
        };
        let short = zeroize::Zeroizing::new(value.get(..value.len() - 1).unwrap().to_vec());
        let cut = StateRow {
            table,
            id: id.clone(),
            value: short,
        };
        assert!(offers.restore(&cut).is_err());
        let other = StateChange::put(StateTable::File, vec![b'f'; 9], value);
        let StateChange::Put { table, id, value } = other else {
            panic!("a row is written");
        };
        assert_eq!(offers.restore(&StateRow { table, id, value }), Ok(false));
    }
}
