//! Views of exchanges of letters.

use super::super::Contacts;
use super::super::views::{ConversationStateView, ConversationView};
use super::record::LetterDecision;
use crate::contact::conversation::ConversationId;
use crate::node::hex;

impl Contacts {
    /// An exchange of letters; `None` if there is none, if the user declined it, or if no letter has been
    /// written yet.
    pub(in crate::node::contacts) fn letters_view(
        &self,
        id: ConversationId,
    ) -> Option<ConversationView> {
        let record = self.letters.get(id)?;
        let state = match record.decision() {
            LetterDecision::Declined => return None,
            LetterDecision::Asked => ConversationStateView::Asked,
            LetterDecision::Accepted if record.incoming().is_empty() => {
                ConversationStateView::Opening
            }
            LetterDecision::Accepted => ConversationStateView::Open,
        };
        let (messages, unread, last) = self.history_counts(id, record.begun());
        if messages == 0 && record.reader().is_some() {
            return None;
        }
        let contact = record.contact().and_then(|key| self.book.get(key));
        let own = record.own();
        Some(ConversationView {
            id: hex(&id.0),
            contact: contact.map(|entry| entry.name.clone()),
            to: own
                .and_then(|own| self.own.addresses().find(|address| address.id() == own))
                .map(|address| address.name().to_owned()),
            state,
            letters: true,
            messages,
            unread,
            last: last.0.into(),
            epoch: 0,
            missing: Vec::new(),
            muted: record.marks().is_muted,
            starred: record.marks().is_starred,
            restored_day: None,
        })
    }
}
