//! The contacts of the user: names, ids, what was verified, who introduced whom.
//!
//! A contact is what the user named. One without an id wrote first and has shown no address; one that was
//! only introduced is not looked for until the user accepts it. The book knows no cards and no
//! conversations.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::command::HowKnown;
use crate::contact::codec::{BadState, StateReader, StateWriter};
use crate::contact::id::ContactId;
use crate::node::Refusal;
use crate::state::{StateChange, StateRow, StateTable};

/// Names a contact in the state; never reused.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct ContactKey(pub(super) u64);

/// A contact.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct ContactEntry {
    /// The user's name for it.
    pub(super) name: String,
    /// The id in its address; `None` if it wrote first and has shown none.
    pub(super) id: Option<ContactId>,
    /// Whether the user has compared the words.
    pub(super) is_verified: bool,
    /// Who introduced it, if it was introduced.
    pub(super) introduced: Option<IntroducedBy>,
    /// Whether it is only introduced: the user has not accepted it.
    pub(super) is_pending: bool,
}

/// Where an introduced contact comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct IntroducedBy {
    /// The name that the introducing contact had then.
    pub(super) by: String,
    /// How the introducing contact knows it.
    pub(super) how: HowKnown,
    /// The day, in days since 1970.
    pub(super) day: u32,
    /// The note of the introducing contact.
    pub(super) note: String,
}

/// All contacts.
#[derive(Default)]
pub(super) struct ContactBook {
    contacts: BTreeMap<ContactKey, ContactEntry>,
    last: u64,
}

impl ContactBook {
    /// Reads the rows of the last run.
    ///
    /// # Errors
    ///
    /// [`BadState`] if this version did not write a row.
    pub(super) fn restore(&mut self, row: &StateRow) -> Result<(), BadState> {
        let id = row.id.as_bytes().try_into();
        let key = ContactKey(u64::from_be_bytes(id.map_err(|_| BadState::Length)?));
        self.contacts
            .insert(key, ContactEntry::from_bytes(&row.value)?);
        self.last = self.last.max(key.0);
        Ok(())
    }

    /// Adds a contact, or a change of one.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if the name is not valid or taken, if another contact has the id, or if the book is
    /// full.
    pub(super) fn add(
        &mut self,
        entry: ContactEntry,
    ) -> Result<(ContactKey, StateChange), Refusal> {
        check_name(&entry.name)?;
        self.check_free(&entry.name, None)?;
        let same = entry.id.and_then(|id| self.by_id(&id));
        if let Some((_, other)) = same {
            return Err(Refusal::usage(
                format!("the contact {} has this address already", other.name),
                "use that name, or forget it first",
            ));
        }
        if self.contacts.len() >= MAX_CONTACTS {
            return Err(Refusal::usage(
                format!("there are {MAX_CONTACTS} contacts, the most that a node keeps"),
                "forget one first (`whisht contact forget`)",
            ));
        }
        self.last = self.last.saturating_add(1);
        let key = ContactKey(self.last);
        let change = StateChange::put(StateTable::Contact, row_id(key), entry.to_bytes());
        self.contacts.insert(key, entry);
        Ok((key, change))
    }

    /// Changes a contact.
    pub(super) fn update(
        &mut self,
        key: ContactKey,
        change: impl FnOnce(&mut ContactEntry),
    ) -> Option<StateChange> {
        let entry = self.contacts.get_mut(&key)?;
        change(entry);
        let value = entry.to_bytes();
        Some(StateChange::put(StateTable::Contact, row_id(key), value))
    }

    /// Removes a contact.
    pub(super) fn remove(&mut self, key: ContactKey) -> StateChange {
        self.contacts.remove(&key);
        StateChange::delete(StateTable::Contact, row_id(key))
    }

    /// A contact.
    pub(super) fn get(&self, key: ContactKey) -> Option<&ContactEntry> {
        self.contacts.get(&key)
    }

    /// The contact of this name.
    pub(super) fn by_name(&self, name: &str) -> Option<(ContactKey, &ContactEntry)> {
        self.iter().find(|(_, entry)| entry.name == name)
    }

    /// The contact with this id.
    pub(super) fn by_id(&self, id: &ContactId) -> Option<(ContactKey, &ContactEntry)> {
        self.iter().find(|(_, entry)| entry.id.as_ref() == Some(id))
    }

    /// The contact of this name.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if there is none.
    pub(super) fn named(&self, name: &str) -> Result<(ContactKey, &ContactEntry), Refusal> {
        self.by_name(name).ok_or_else(|| {
            Refusal::usage(
                format!("there is no contact {name:?}"),
                "`whisht contact list` lists them",
            )
        })
    }

    /// All contacts in the order of their names.
    pub(super) fn sorted(&self) -> Vec<(ContactKey, &ContactEntry)> {
        let mut all: Vec<_> = self.iter().collect();
        all.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name));
        all
    }

    /// Number of contacts that this one introduced and that the user has not accepted.
    pub(super) fn pending_of(&self, name: &str) -> usize {
        let all = self.contacts.values();
        all.filter(|entry| entry.is_pending)
            .filter_map(|entry| entry.introduced.as_ref())
            .filter(|introduced| introduced.by == name)
            .count()
    }

    /// The first of `name`, `name-2`, `name-3` that no contact has.
    pub(super) fn free_name(&self, name: &str) -> String {
        let numbered = (2_u32..).map(|number| format!("{name}-{number}"));
        core::iter::once(name.to_owned())
            .chain(numbered)
            .find(|name| self.by_name(name).is_none())
            .unwrap_or_default()
    }

    /// Whether a contact can get this name.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if another contact has it.
    pub(super) fn check_free(&self, name: &str, own: Option<ContactKey>) -> Result<(), Refusal> {
        match self.by_name(name) {
            Some((key, _)) if Some(key) != own => Err(Refusal::usage(
                format!("there is a contact {name:?} already"),
                "choose another name",
            )),
            _ => Ok(()),
        }
    }

    fn iter(&self) -> impl Iterator<Item = (ContactKey, &ContactEntry)> {
        self.contacts.iter().map(|(key, entry)| (*key, entry))
    }
}

impl ContactEntry {
    /// A contact that the user names by its address.
    pub(super) const fn named(name: String, id: ContactId) -> Self {
        Self {
            name,
            id: Some(id),
            is_verified: false,
            introduced: None,
            is_pending: false,
        }
    }

    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = StateWriter::new(VERSION);
        writer.bytes(self.name.as_bytes());
        writer.option(self.id, |writer, id| writer.array(&id.0));
        writer.bool(self.is_verified);
        writer.bool(self.is_pending);
        writer.option(self.introduced.as_ref(), |writer, introduced| {
            writer.bytes(introduced.by.as_bytes());
            writer.u8(introduced.how.code());
            writer.u32(introduced.day);
            writer.bytes(introduced.note.as_bytes());
        });
        writer.finish()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, BadState> {
        let mut reader = StateReader::new(bytes, VERSION)?;
        let entry = Self {
            name: reader.text()?.to_owned(),
            id: reader.option(|reader| reader.array().map(ContactId))?,
            is_verified: reader.bool()?,
            is_pending: reader.bool()?,
            introduced: reader.option(|reader| {
                Ok(IntroducedBy {
                    by: reader.text()?.to_owned(),
                    how: HowKnown::of_code(reader.u8()?),
                    day: reader.u32()?,
                    note: reader.text()?.to_owned(),
                })
            })?,
        };
        reader.finish()?;
        Ok(entry)
    }
}

fn row_id(key: ContactKey) -> [u8; 8] {
    key.0.to_be_bytes()
}

/// Checks a name that the user gives: it is typed in commands, and shown in lists.
///
/// # Errors
///
/// [`Refusal`] if the name is empty or long, if it could be an address or the digits of an id, or if it
/// contains other characters than letters, digits, `.`, `-` and `_`.
pub(super) fn check_name(name: &str) -> Result<(), Refusal> {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let cause = if name.is_empty() {
        "a name is empty".to_owned()
    } else if name.len() > MAX_NAME_BYTES {
        format!("a name has {} bytes", name.len())
    } else if !name.chars().all(is_plain) || name.starts_with(['-', '.']) {
        format!("the name {name:?} contains other characters")
    } else if name.starts_with("shh1") {
        format!("the name {name:?} could be an address")
    } else if name.len() >= MIN_ID_DIGITS && name.chars().all(|c| c.is_ascii_hexdigit()) {
        format!("the name {name:?} could be the digits of a conversation")
    } else {
        return Ok(());
    };
    Err(Refusal::usage(
        cause,
        format!("use 1 to {MAX_NAME_BYTES} letters, digits, `.`, `-` or `_`"),
    ))
}

/// Fewest digits that name a conversation in a command.
pub(super) const MIN_ID_DIGITS: usize = 6;
/// Longest name in bytes, as in introductions.
const MAX_NAME_BYTES: usize = 64;
/// Maximum number of contacts.
const MAX_CONTACTS: usize = 4096;
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, id: u8) -> ContactEntry {
        ContactEntry::named(name.to_owned(), ContactId([id; 32]))
    }

    #[test]
    fn contact_is_read_as_it_was_written() {
        let mut book = ContactBook::default();
        let mut desk = entry("desk", 1);
        desk.introduced = Some(IntroducedBy {
            by: "friend".to_owned(),
            how: HowKnown::InPerson,
            day: 20_000,
            note: "met in 2025".to_owned(),
        });
        let (key, change) = book.add(desk.clone()).unwrap();
        let StateChange::Put { table, id, value } = change else {
            panic!("a contact is written");
        };
        let mut again = ContactBook::default();
        again.restore(&StateRow { table, id, value }).unwrap();
        assert_eq!(again.get(key), Some(&desk));
        let (next, _) = again.add(entry("other", 2)).unwrap();
        assert!(next > key, "a number is not used twice");
    }

    #[test]
    fn name_or_id_in_use_is_refused() {
        let mut book = ContactBook::default();
        book.add(entry("desk", 1)).unwrap();
        assert!(book.add(entry("desk", 2)).is_err());
        assert!(book.add(entry("other", 1)).is_err());
        assert_eq!(book.free_name("desk"), "desk-2");
    }

    #[test]
    fn name_that_could_be_anything_else_is_refused() {
        for name in [
            "",
            "a b",
            "-x",
            "shh1q",
            "abcdef",
            "0123456789",
            "a\u{202e}b",
        ] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        for name in ["desk", "Zoë", "abc", "news.desk-2", "beefy_ham"] {
            assert!(check_name(name).is_ok(), "{name:?}");
        }
    }
}
