//! How many messages fit on a page: its size is bounded by bytes, not only by the number of messages.
//!
//! Fifty messages of 64 KB are three megabytes. A page takes the last messages that fit, and at least one.

use crate::node::{ConversationMessageView, MessagePartView};

/// Drops the earliest messages until the rest fit. Returns whether it dropped any.
pub(super) fn fit(messages: &mut Vec<ConversationMessageView>) -> bool {
    let mut left = MAX_BYTES;
    let fits = messages
        .iter()
        .rev()
        .take_while(|message| {
            let cost = cost(message);
            let has_room = left >= cost || left == MAX_BYTES;
            left = left.saturating_sub(cost);
            has_room
        })
        .count();
    let dropped = messages.len() - fits;
    messages.drain(..dropped);
    dropped > 0
}

/// Bytes of a message on the page.
fn cost(message: &ConversationMessageView) -> usize {
    let parts = message.parts.iter().map(|part| match part {
        MessagePartView::Text { text } => text.chars().map(escaped_len).sum(),
        MessagePartView::Introduction { name, note, .. } => 4 * (name.len() + note.len()),
        _ => 0,
    });
    MESSAGE_BYTES + parts.sum::<usize>()
}

/// Bytes of a character in HTML: those with a meaning become five at most.
const fn escaped_len(c: char) -> usize {
    match c {
        '&' | '<' | '>' | '"' | '\'' => 5,
        c => c.len_utf8(),
    }
}

/// Bytes of all messages of a page.
const MAX_BYTES: usize = 80_000;
/// Bytes of a message without its texts: its frame, its stage and the forms of it.
pub(super) const MESSAGE_BYTES: usize = 900;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::MessageDirection;

    fn messages(count: u64, text: &str) -> Vec<ConversationMessageView> {
        let message = |place| ConversationMessageView {
            conversation: "ab".repeat(16),
            contact: None,
            place,
            direction: MessageDirection::In,
            number: place,
            time: 1_800_000_000,
            parts: vec![MessagePartView::Text { text: text.into() }],
            stage: None,
            level: None,
            read: true,
            delivery: None,
        };
        (1..=count).map(message).collect()
    }

    #[test]
    fn page_of_short_messages_is_complete() {
        let mut page = messages(50, "a short text");
        assert!(!fit(&mut page));
        assert_eq!(page.len(), 50);
    }

    #[test]
    fn page_of_long_messages_has_the_last_ones_that_fit() {
        let mut page = messages(50, &"x".repeat(20_000));
        assert!(fit(&mut page));
        assert_eq!(
            page.iter().map(|m| m.place).collect::<Vec<_>>(),
            [48, 49, 50]
        );
    }

    #[test]
    fn message_that_fills_the_page_is_shown_alone() {
        let mut page = messages(3, &"<".repeat(60_000));
        assert!(fit(&mut page));
        assert_eq!(page.iter().map(|m| m.place).collect::<Vec<_>>(), [3]);
        assert!(!fit(&mut Vec::new()));
    }
}
