//! Filters of clients: such as are polled, and such as tell.
//!
//! go-ethereum's filters never expire, and its clients count on that: many install one per
//! conversation and forget it. So that the node's memory does not grow with their forgetfulness,
//! the filter that nobody has polled for longest makes room for a new one, if that is an hour.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use circuits::time::{Instant, Now};

use super::keys::new_id;
use super::{Criteria, FilterKeyId, ShhError};
use crate::bloom::Bloom;
use crate::envelope::Topic;
use crate::node::Node;
use crate::subscriptions::{Filter, FilterId, FilterKey, FilteredMessage, TopicPrefix};

/// Filters whose messages wait to be fetched, by the ids that clients know.
#[derive(Default)]
pub(super) struct PolledFilters(BTreeMap<String, PolledFilter>);

struct PolledFilter {
    filter: FilterId,
    polled: Instant,
}

impl PolledFilters {
    /// The filter to give up for another one.
    fn abandoned(&self, now: Instant) -> Option<String> {
        let (id, entry) = self.0.iter().min_by_key(|(_, entry)| entry.polled)?;
        (now.since(entry.polled) >= FILTER_IDLE_TIMEOUT).then(|| id.clone())
    }
}

impl Node {
    pub(super) fn new_filter(&mut self, now: Now, criteria: Criteria) -> Result<String, ShhError> {
        let topics = bloom(&criteria.topics);
        let filter = self.filter(criteria)?;
        if self.shh_api.polled.0.len() >= MAX_POLLED_FILTERS {
            let abandoned = self.shh_api.polled.abandoned(now.mono);
            let abandoned = abandoned.ok_or(ShhError::TooManyFilters(MAX_POLLED_FILTERS))?;
            self.delete_filter(&abandoned)?;
        }
        let filter = self.install(now, filter, &topics, false)?;
        let id = new_id(&mut self.rng);
        let polled = now.mono;
        self.shh_api
            .polled
            .0
            .insert(id.clone(), PolledFilter { filter, polled });
        Ok(id)
    }

    /// What a filter took since it was last asked.
    pub(super) fn poll(
        &mut self,
        now: Now,
        id: &str,
    ) -> Result<Vec<Arc<FilteredMessage>>, ShhError> {
        let entry = self
            .shh_api
            .polled
            .0
            .get_mut(id)
            .ok_or(ShhError::NoFilter)?;
        entry.polled = now.mono;
        self.inbox.poll(entry.filter).ok_or(ShhError::NoFilter)
    }

    pub(super) fn delete_filter(&mut self, id: &str) -> Result<(), ShhError> {
        let entry = self.shh_api.polled.0.remove(id);
        let entry = entry.ok_or(ShhError::InvalidFilterId)?;
        self.inbox.uninstall(entry.filter);
        Ok(())
    }

    /// Installs a filter whose messages come as events.
    pub(super) fn subscribe(&mut self, now: Now, criteria: Criteria) -> Result<FilterId, ShhError> {
        if matches!(criteria.key, FilterKeyId::Shared(_)) && criteria.topics.is_empty() {
            return Err(ShhError::MissingTopic);
        }
        let topics = bloom(&criteria.topics);
        let filter = self.filter(criteria).map_err(|error| match error {
            ShhError::InvalidId => ShhError::InvalidPublicKey,
            other => other,
        })?;
        self.install(now, filter, &topics, true)
    }

    fn filter(&self, criteria: Criteria) -> Result<Filter, ShhError> {
        let keys = &self.shh_api.keys;
        let key = match &criteria.key {
            FilterKeyId::Pair(id) => FilterKey::Asymmetric(Arc::clone(keys.pair(id)?)),
            FilterKeyId::Shared(id) => FilterKey::Symmetric(Arc::clone(keys.shared(id)?)),
        };
        Ok(Filter {
            key,
            topics: criteria.topics.into_iter().map(TopicPrefix::from).collect(),
            source: criteria.signer,
            minimum_pow: criteria.min_pow,
            allow_p2p: criteria.allow_p2p,
        })
    }

    fn install(
        &mut self,
        now: Now,
        filter: Filter,
        topics: &Bloom,
        push: bool,
    ) -> Result<FilterId, ShhError> {
        if self.inbox.filters() >= MAX_FILTERS {
            return Err(ShhError::TooManyFilters(MAX_FILTERS));
        }
        self.widen_bloom(now, topics);
        Ok(self.inbox.install(filter, push))
    }
}

/// What peers have to be asked for, so that a filter on these topics sees anything. As in
/// go-ethereum, a filter on all topics asks for nothing more.
fn bloom(topics: &[Topic]) -> Bloom {
    let mut bloom = Bloom::EMPTY;
    for topic in topics {
        bloom.add(&Bloom::merged(*topic));
    }
    bloom
}

/// Filters to be polled at the most.
const MAX_POLLED_FILTERS: usize = 1024;

/// Filters of all kinds, subscriptions and identities among them.
const MAX_FILTERS: usize = 2048;

/// A filter that was not polled for so long may make room for another one.
const FILTER_IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
