//! The identities of this user: named keys that messages are received with.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::envelope::Topic;
use crate::message::{ClientSecret, SymKey};
use crate::node::command::{Identity, PublicIdentity, Refusal};
use crate::node::hex;
use crate::node::views::IdentityView;
use crate::subscriptions::{Filter, FilterId, FilterKey, Filters, TopicPrefix};

/// All identities, by name.
#[derive(Default)]
pub(super) struct Identities {
    unlocked: BTreeMap<String, UnlockedIdentity>,
    /// Identities whose keys are locked: their public part.
    locked: BTreeMap<String, PublicIdentity>,
}

struct UnlockedIdentity {
    filter: FilterId,
    key: IdentityKey,
}

enum IdentityKey {
    Pair(Arc<ClientSecret>),
    Shared(Arc<SymKey>, Topic),
}

impl Identities {
    /// Adds an identity, and installs its filter.
    pub(super) fn add(
        &mut self,
        name: String,
        identity: Identity,
        filters: &mut Filters,
    ) -> Result<FilterId, Refusal> {
        if self.unlocked.contains_key(&name) {
            return Err(name_taken(&name));
        }
        if self.unlocked.len() >= MAX_IDENTITIES {
            return Err(Refusal::usage(
                format!("there are {MAX_IDENTITIES} identities already"),
                "every identity costs a trial per envelope; remove one first",
            ));
        }
        let key = match identity {
            Identity::KeyPair(secret) => IdentityKey::Pair(Arc::new(secret)),
            Identity::Shared(key, topic) => IdentityKey::Shared(Arc::new(key), topic),
        };
        let filter = filters.install(key.filter());
        self.locked.remove(&name);
        self.unlocked.insert(name, UnlockedIdentity { filter, key });
        Ok(filter)
    }

    /// Adds an identity whose key is locked.
    pub(super) fn add_locked(
        &mut self,
        name: String,
        identity: PublicIdentity,
    ) -> Result<(), Refusal> {
        if self.unlocked.contains_key(&name) || self.locked.contains_key(&name) {
            return Err(name_taken(&name));
        }
        self.locked.insert(name, identity);
        Ok(())
    }

    /// Forgets the key of an identity. Returns its filter, if it was unlocked.
    pub(super) fn lock(&mut self, name: &str) -> Option<FilterId> {
        let (name, UnlockedIdentity { filter, key }) = self.unlocked.remove_entry(name)?;
        self.locked.insert(name, key.public());
        Some(filter)
    }

    /// Removes an identity; returns its filter, unless its key is locked.
    pub(super) fn remove(&mut self, name: &str) -> Result<Option<FilterId>, Refusal> {
        match (self.unlocked.remove(name), self.locked.remove(name)) {
            (None, None) => Err(unknown(name)),
            (unlocked, _) => Ok(unlocked.map(|identity| identity.filter)),
        }
    }

    /// Gives an identity another name; its filter stays.
    pub(super) fn rename(&mut self, old: &str, new: String) -> Result<(), Refusal> {
        if self.unlocked.contains_key(&new) || self.locked.contains_key(&new) {
            return Err(name_taken(&new));
        }
        if let Some(identity) = self.unlocked.remove(old) {
            self.unlocked.insert(new, identity);
        } else if let Some(identity) = self.locked.remove(old) {
            self.locked.insert(new, identity);
        } else {
            return Err(unknown(old));
        }
        Ok(())
    }

    /// The secret key of a named key pair.
    pub(super) fn signing_key(&self, name: &str) -> Result<Arc<ClientSecret>, Refusal> {
        match self.unlocked(name)? {
            Some(IdentityKey::Pair(secret)) => Ok(Arc::clone(secret)),
            _ => Err(Refusal::usage(
                format!("no key pair is called `{name}`"),
                "`whisht id list` shows the identities; `whisht id new NAME` makes one",
            )),
        }
    }

    /// A named shared key and its topic.
    pub(super) fn shared_key(&self, name: &str) -> Result<(Arc<SymKey>, Topic), Refusal> {
        match self.unlocked(name)? {
            Some(IdentityKey::Shared(key, topic)) => Ok((Arc::clone(key), *topic)),
            _ => Err(Refusal::usage(
                format!(
                    "`{name}` is neither a public key (0x04 and 128 more digits) nor the name of an \
                     identity of this node"
                ),
                "give the recipient's public key; `whisht id list` shows the identities",
            )),
        }
    }

    fn unlocked(&self, name: &str) -> Result<Option<&IdentityKey>, Refusal> {
        if self.locked.contains_key(name) {
            return Err(Refusal::locked(format!("the identity `{name}` is locked")));
        }
        Ok(self.unlocked.get(name).map(|identity| &identity.key))
    }

    /// The name of the identity that a filter belongs to.
    pub(super) fn name_of(&self, filter: FilterId) -> Option<&str> {
        let mut identities = self.unlocked.iter();
        let found = identities.find(|(_, identity)| identity.filter == filter);
        found.map(|(name, _)| name.as_str())
    }

    /// Whether there are identities, and all of them are locked.
    pub(super) fn are_all_locked(&self) -> bool {
        self.unlocked.is_empty() && !self.locked.is_empty()
    }

    /// All identities, sorted by name.
    pub(super) fn views(&self) -> Vec<IdentityView> {
        let unlocked = self.unlocked.iter();
        let unlocked = unlocked.map(|(name, identity)| (name, identity.key.public(), false));
        let locked = self.locked.iter();
        let locked = locked.map(|(name, identity)| (name, *identity, true));
        let mut views: Vec<IdentityView> = unlocked
            .chain(locked)
            .map(|(name, identity, locked)| view(name, identity, locked))
            .collect();
        views.sort_by(|one, other| one.name.cmp(&other.name));
        views
    }
}

impl IdentityKey {
    /// The filter that matches the identity's messages.
    fn filter(&self) -> Filter {
        let (key, topics) = match self {
            Self::Pair(secret) => (FilterKey::Asymmetric(Arc::clone(secret)), Vec::new()),
            Self::Shared(key, topic) => (
                FilterKey::Symmetric(Arc::clone(key)),
                TopicPrefix::new(&topic.0).into_iter().collect(),
            ),
        };
        Filter {
            key,
            topics,
            source: None,
            minimum_pow: 0.0,
            // A trusted peer may deliver messages that were missed.
            allow_p2p: true,
        }
    }

    fn public(&self) -> PublicIdentity {
        match self {
            Self::Pair(secret) => PublicIdentity::KeyPair(secret.public()),
            Self::Shared(_, topic) => PublicIdentity::Shared(*topic),
        }
    }
}

fn view(name: &str, identity: PublicIdentity, locked: bool) -> IdentityView {
    let (public_key, topic) = match identity {
        PublicIdentity::KeyPair(public) => (Some(hex(&public.to_bytes())), None),
        PublicIdentity::Shared(topic) => (None, Some(hex(&topic.0))),
    };
    IdentityView {
        name: name.to_owned(),
        kind: identity.kind(),
        public_key,
        topic,
        locked,
    }
}

fn name_taken(name: &str) -> Refusal {
    Refusal::usage(
        format!("there is an identity `{name}` already"),
        "choose another name (`whisht id list` shows those in use)",
    )
}

fn unknown(name: &str) -> Refusal {
    Refusal::usage(
        format!("there is no identity named `{name}`"),
        "`whisht id list` shows those there are",
    )
}

/// Maximum number of identities.
const MAX_IDENTITIES: usize = 256;

#[cfg(test)]
mod tests {
    use circuits::secret::Secret;

    use super::*;

    fn shared() -> Identity {
        Identity::Shared(
            SymKey::new(Secret::take(&mut [7; 32])).unwrap(),
            Topic([1; 4]),
        )
    }

    fn names(identities: &Identities) -> Vec<String> {
        let views = identities.views().into_iter();
        views.map(|view| view.name).collect()
    }

    #[test]
    fn renamed_identity_keeps_its_filter() {
        let (mut identities, mut filters) = (Identities::default(), Filters::default());
        let filter = identities.add("a".to_owned(), shared(), &mut filters);
        let filter = filter.unwrap();
        identities.rename("a", "b".to_owned()).unwrap();
        assert_eq!(names(&identities), ["b"]);
        assert_eq!(identities.name_of(filter), Some("b"));
        assert!(identities.rename("a", "c".to_owned()).is_err());
        assert!(identities.rename("b", "b".to_owned()).is_err());
    }

    #[test]
    fn removed_identity_gives_its_filter_back() {
        let (mut identities, mut filters) = (Identities::default(), Filters::default());
        let filter = identities.add("a".to_owned(), shared(), &mut filters);
        assert_eq!(identities.remove("a").unwrap(), Some(filter.unwrap()));
        assert!(identities.remove("a").is_err());
        let public = shared().public_identity();
        identities.add_locked("b".to_owned(), public).unwrap();
        assert_eq!(identities.remove("b").unwrap(), None);
        assert!(names(&identities).is_empty());
    }
}
