//! Messages at levels with cover traffic, without a node.

use circuits::level::Level;
use circuits::secret::Secret;
use zeroize::Zeroizing;

use super::*;
use crate::envelope::Topic;
use crate::message::{ClientSecret, CopyTag};
use crate::node::command::{ReaderKind, Recipient, Refusal, SendRequest};
use crate::node::fixture::{Fixture, START, envelope};

fn compose(level: Level, reader: ReaderKind, len: usize) -> Result<MixedMessage, Refusal> {
    let secret = ClientSecret::from_bytes(&Secret::init_with(|key| key.fill(9))).unwrap();
    let request = SendRequest {
        to: Recipient::Public(secret.public(), Topic([2; 4])),
        sign_as: None,
        payload: Zeroizing::new(vec![1; len]),
        level: Some(level),
        life: Duration::from_secs(60),
        reader,
    };
    let mut test = Fixture::new(|_| {});
    let (fx, context) = test.sending();
    let tag = CopyTag::draw(fx.key_rng());
    MixedMessage::compose(fx.key_rng(), START, &request, level, tag, context)
}

#[test]
fn form_of_a_message_follows_from_its_length_level_and_reader() {
    let form = |level, reader, len| compose(level, reader, len).unwrap().form;
    let (whisht, any) = (ReaderKind::Whisht, ReaderKind::AnyClient);
    for level in [Level::Hush, Level::Dark, Level::Bulletin] {
        assert_eq!(form(level, whisht, 402), MixedForm::Whole);
        assert_eq!(form(level, any, 402), MixedForm::Whole);
    }
    assert_eq!(form(Level::Hush, whisht, 403), MixedForm::Scatter);
    assert_eq!(form(Level::Hush, any, 403), MixedForm::Converge);
    assert_eq!(form(Level::Dark, whisht, 403), MixedForm::Scatter);
    assert_eq!(form(Level::Bulletin, whisht, 403), MixedForm::Converge);
}

#[test]
fn long_dark_message_for_any_client_is_refused() {
    let refused = compose(Level::Dark, ReaderKind::AnyClient, 403)
        .err()
        .unwrap();
    assert!(refused.cause.contains("dark") && refused.cause.contains("whisht"));
}

#[test]
fn message_above_the_largest_class_is_refused_with_the_maximum() {
    let refused = compose(Level::Dark, ReaderKind::Whisht, 30_000)
        .err()
        .unwrap();
    assert!(refused.cause.contains("maximum"), "{}", refused.cause);
}

/// A scattered message of 12 of 18 shards that have all left; the first `seen` came back.
fn departed(seen: usize) -> MixedMessage {
    let mut mixed = compose(Level::Dark, ReaderKind::Whisht, 4_500).unwrap();
    assert_eq!((mixed.parts.len(), mixed.needed), (18, 12));
    for (number, part) in mixed.parts.iter_mut().enumerate() {
        part.state = PartState::Left;
        part.left = 1;
        part.seen = number < seen;
        part.peers = usize::from(number < seen);
    }
    mixed
}

#[test]
fn retry_sends_the_missing_shards_with_the_margin_of_the_table() {
    for (seen, again) in [(0, 18), (6, 9), (10, 3), (11, 2)] {
        let mut mixed = departed(seen);
        mixed.restart_missing();
        let waits = |part: &&MixedPart| matches!(part.state, PartState::Waiting);
        assert_eq!(mixed.parts.iter().filter(waits).count(), again, "{seen}");
        assert!(
            mixed
                .parts
                .iter()
                .all(|part| !(part.seen && part.left == 0))
        );
    }
}

#[test]
fn stage_counts_cells_until_all_have_left() {
    let mut mixed = departed(0);
    assert_eq!(mixed.stage(), Stage::Dispatched { cells: 18, of: 18 });
    if let Some(part) = mixed.parts.first_mut() {
        part.state = PartState::Queued(envelope(1));
        part.left = 0;
    }
    let departing = Stage::Departing {
        sealed: 18,
        envelopes: 18,
        left: 17,
        cells: 18,
        wait_seconds: 0,
    };
    assert_eq!(mixed.stage(), departing);
    assert_eq!(mixed.shards_underway(), 1);
    let seen = Stage::SeenShards {
        shards: 5,
        needed: 12,
        of: 18,
        first_gossip: false,
    };
    assert_eq!(departed(5).stage(), seen);
}
