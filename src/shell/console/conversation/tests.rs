use circuits::ids::Profile;
use zeroize::Zeroizing;

use super::*;
use crate::node::{ContactStage, MessageDirection, MessagePartView};

/// A page with the last messages of a history, every message with all its forms.
fn page_with(mut messages: Vec<ConversationMessageView>) -> ConversationPage {
    let has_earlier = page_size::fit(&mut messages);
    let token = Zeroizing::new("ab".repeat(16));
    ConversationPage {
        layout: Layout::new(Nav::Inbox, token, Profile::Main),
        number: 1,
        with: "desk".into(),
        state: None,
        is_starred: false,
        is_selecting: false,
        is_request: false,
        is_closed: false,
        is_stale: false,
        is_letters: false,
        is_muted: false,
        words: Some(("one two three four five six".into(), false)),
        epoch: 3,
        missing: vec![7, 9],
        restored: None,
        earlier: has_earlier.then_some(1),
        unread_until: Some(1_000),
        last: 1_000,
        messages: rows(&messages),
        levels: LevelTable {
            rows: Vec::new(),
            sample: "For your text.".into(),
        },
        draft: Default::default(),
    }
}

/// The last messages of a history of this length, as the node gives them for a page.
fn last_of(history: u64, text: &str) -> Vec<ConversationMessageView> {
    let message = |place| ConversationMessageView {
        conversation: "ab".repeat(16),
        contact: Some("desk".into()),
        place,
        direction: MessageDirection::Out,
        number: place,
        time: 1_800_000_000,
        parts: vec![MessagePartView::Text { text: text.into() }],
        stage: Some(ContactStage::Unanswered { reason: None }),
        level: Some(Level::Normal),
        read: true,
        delivery: None,
    };
    let limit = u64::try_from(PAGE_LEN).unwrap();
    (history.saturating_sub(limit) + 1..=history)
        .map(message)
        .collect()
}

#[test]
fn page_of_a_thousand_messages_is_below_100_kilobytes() {
    for text in ["a short text", &"x".repeat(1_000), &"<&>\"'".repeat(300)] {
        let page = page_with(last_of(1_000, text)).render().unwrap();
        assert!(page.len() < 100_000, "{} bytes", page.len());
        assert!(page.contains("id=\"m1000\""), "the last message is on it");
    }
}

#[test]
fn message_frame_takes_what_the_page_size_assumes() {
    let len = |history| page_with(last_of(history, "")).render().unwrap().len();
    let frame = (len(50) - len(1)) / 49;
    assert!(
        (600..=page_size::MESSAGE_BYTES).contains(&frame),
        "{frame} bytes"
    );
}
