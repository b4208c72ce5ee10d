//! Numbers of conversations in URLs.
//!
//! A browser keeps the URLs that it has shown. A conversation is therefore named by a number of this run,
//! and not by its id or by a contact.

use std::collections::BTreeMap;

/// The conversations that have a number in this run.
#[derive(Debug, Default)]
pub(super) struct ConversationNumbers {
    by_id: BTreeMap<String, u32>,
    by_number: BTreeMap<u32, String>,
}

impl ConversationNumbers {
    /// The number of a conversation, from 1 on in the order of asking.
    pub(super) fn of(&mut self, id: &str) -> u32 {
        if let Some(number) = self.by_id.get(id) {
            return *number;
        }
        let number = self.by_number.last_key_value().map_or(0, |(last, _)| *last);
        let number = number.saturating_add(1);
        self.by_id.insert(id.to_owned(), number);
        self.by_number.insert(number, id.to_owned());
        number
    }

    /// The id of a conversation, hexadecimal.
    pub(super) fn id(&self, number: u32) -> Option<&str> {
        self.by_number.get(&number).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversation_keeps_its_number() {
        let mut numbers = ConversationNumbers::default();
        assert_eq!((numbers.of("aa"), numbers.of("bb")), (1, 2));
        assert_eq!(numbers.of("aa"), 1);
        assert_eq!((numbers.id(2), numbers.id(3)), (Some("bb"), None));
    }
}
