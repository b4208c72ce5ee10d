//! Filters of API clients: polled filters, and subscriptions whose messages are pushed.
//!
//! go-ethereum's filters never expire, and its clients rely on that: many install one filter per
//! conversation and forget it. To bound memory, the filter that was polled least recently makes room
//! for a new one, if that was an hour ago.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use circuits::time::Instant;

use super::keys::new_id;
use super::{Criteria, FilterKeyId, ShhApi, ShhError};
use crate::bloom::Bloom;
use crate::envelope::Topic;
use crate::node::effects::Effects;
use crate::subscriptions::{Filter, FilterId, FilterKey, TopicPrefix};

/// Polled filters, by the ids that clients know.
#[derive(Default)]
pub(super) struct PolledFilters(BTreeMap<String, PolledFilter>);

struct PolledFilter {
    filter: FilterId,
    polled: Instant,
}

impl ShhApi {
    /// The filter of a client's criteria, and the topics that peers must be asked for.
    pub(in crate::node) fn filter(&self, criteria: Criteria) -> Result<(Filter, Bloom), ShhError> {
        let key = match &criteria.key {
            FilterKeyId::Pair(id) => FilterKey::Asymmetric(Arc::clone(self.keys.pair(id)?)),
            FilterKeyId::Shared(id) => FilterKey::Symmetric(Arc::clone(self.keys.shared(id)?)),
        };
        let topics = bloom(&criteria.topics);
        let filter = Filter {
            key,
            topics: criteria.topics.into_iter().map(TopicPrefix::from).collect(),
            source: criteria.signer,
            minimum_pow: criteria.min_pow,
            allow_p2p: criteria.allow_p2p,
        };
        Ok((filter, topics))
    }

    /// The same for a subscription, with go-ethereum's additional rules.
    pub(in crate::node) fn subscription(
        &self,
        criteria: Criteria,
    ) -> Result<(Filter, Bloom), ShhError> {
        if matches!(criteria.key, FilterKeyId::Shared(_)) && criteria.topics.is_empty() {
            return Err(ShhError::MissingTopic);
        }
        self.filter(criteria).map_err(|error| match error {
            ShhError::InvalidId => ShhError::InvalidPublicKey,
            other => other,
        })
    }

    /// Makes room for a polled filter; returns the abandoned filter to uninstall, if one had to go.
    pub(in crate::node) fn make_room(
        &mut self,
        now: Instant,
    ) -> Result<Option<FilterId>, ShhError> {
        let polled = &mut self.polled.0;
        if polled.len() < MAX_POLLED_FILTERS {
            return Ok(None);
        }
        let oldest = polled.iter().min_by_key(|(_, entry)| entry.polled);
        let abandoned = oldest
            .filter(|(_, entry)| now.since(entry.polled) >= FILTER_IDLE_TIMEOUT)
            .map(|(id, _)| id.clone())
            .ok_or(ShhError::TooManyFilters(MAX_POLLED_FILTERS))?;
        Ok(polled.remove(&abandoned).map(|entry| entry.filter))
    }

    /// Registers an installed filter under a new id.
    pub(in crate::node) fn register(
        &mut self,
        fx: &mut Effects,
        now: Instant,
        filter: FilterId,
    ) -> String {
        let id = new_id(fx.rng());
        self.polled.0.insert(
            id.clone(),
            PolledFilter {
                filter,
                polled: now,
            },
        );
        id
    }

    /// The filter that a client polls.
    pub(in crate::node) fn on_poll(
        &mut self,
        now: Instant,
        id: &str,
    ) -> Result<FilterId, ShhError> {
        let entry = self.polled.0.get_mut(id).ok_or(ShhError::NoFilter)?;
        entry.polled = now;
        Ok(entry.filter)
    }

    /// Removes a polled filter; returns the filter to uninstall.
    pub(in crate::node) fn unregister(&mut self, id: &str) -> Result<FilterId, ShhError> {
        let entry = self.polled.0.remove(id);
        Ok(entry.ok_or(ShhError::InvalidFilterId)?.filter)
    }
}

/// The topics that peers must be asked for. As in go-ethereum, a filter without topics asks for
/// none.
fn bloom(topics: &[Topic]) -> Bloom {
    let mut bloom = Bloom::EMPTY;
    for topic in topics {
        bloom.add(&Bloom::merged(*topic));
    }
    bloom
}

/// Maximum number of polled filters.
pub(super) const MAX_POLLED_FILTERS: usize = 1024;

/// Idle time after which a polled filter may make room for another one.
const FILTER_IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
