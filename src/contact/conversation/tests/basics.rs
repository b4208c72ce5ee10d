//! The states of a conversation, epochs, numbers, lengths, and what is refused.

use super::super::*;
use super::fixture::*;

#[test]
fn conversation_reaches_epoch_1_with_its_second_exchange() {
    let mut rng = rng(1);
    let (mut a, mut b) = open_pair(&mut rng);
    let epochs = |end: &End| {
        (
            end.conversation.newest_epoch(),
            end.conversation.send_epoch(),
        )
    };
    assert_eq!(
        epochs(&a),
        (1, 0),
        "the offer is accepted, and not yet used"
    );
    assert_eq!(epochs(&b), (0, 0));
    assert!(b.conversation.first_box().is_some());
    for round in 0..3 {
        let there = a.write(&mut rng, START, &format!("there {round}"));
        let arrived = b.read(&mut rng, START, &there).unwrap();
        assert_eq!(text_of(&arrived).1, format!("there {round}"));
        let back = b.write(&mut rng, START, &format!("back {round}"));
        let arrived = a.read(&mut rng, START, &back).unwrap();
        assert_eq!(text_of(&arrived).1, format!("back {round}"));
        a.restart();
        b.restart();
        assert_eq!((epochs(&a), epochs(&b)), ((1, 1), (1, 1)));
    }
    assert!(b.conversation.first_box().is_none(), "epoch 1 is in use");
    assert_eq!(a.conversation.id(), b.conversation.id());
}

#[test]
fn old_epoch_is_erased_when_its_envelopes_have_expired() {
    let mut rng = rng(2);
    let (mut a, mut b) = open_pair(&mut rng);
    let late = a.write(&mut rng, START, "late");
    let there = a.write(&mut rng, START, "there");
    b.read(&mut rng, START, &there).unwrap();
    let back = b.write(&mut rng, START, "back");
    a.read(&mut rng, START, &back).unwrap();
    let again = a.write(&mut rng, START, "in epoch 1");
    b.read(&mut rng, START, &again).unwrap();
    assert!(b.open(&late).is_some(), "within the life of envelopes");
    let two_epochs = b.awaited();
    b.tick(START.after(80 * HOUR - 1));
    assert!(b.open(&late).is_some());
    b.tick(START.after(80 * HOUR));
    assert!(b.open(&late).is_none());
    assert!(b.awaited() < two_epochs * 2 / 3, "{}", b.awaited());
}

#[test]
fn initiator_repeats_its_first_form_until_an_answer_comes() {
    let mut rng = rng(3);
    let mut reader = Reader::new(&mut rng);
    let mut a = start(&mut rng, &reader);
    let mut one = a.compose(&mut rng, START, "one");
    let envelopes: Vec<_> = (0..2)
        .map(|_| a.seal(&mut rng, START, &mut one).unwrap())
        .collect();
    let two = a.write(&mut rng, START, "two");
    assert_ne!(envelopes[0].topic, envelopes[1].topic);
    a.restart();
    let (mut b, arrived) = accept(&mut rng, &mut reader, &two);
    assert_eq!(text_of(&arrived), (2, "two".to_owned()));
    assert_eq!(b.conversation.missing(), [1]);
    for (envelope, is_new) in envelopes.iter().zip([true, false]) {
        let body = reader.open(envelope).unwrap();
        let content = b.conversation.first_box().unwrap().unwrap_body(&body.body);
        let content = content.unwrap().content;
        let id = Conversation::id_of_first(b.conversation.tau(), &content);
        assert_eq!(id, Ok(b.conversation.id()));
        let arrived = b.conversation.arrived_first(&mut rng, START, &content);
        assert_eq!(
            matches!(arrived.outcome, ArrivalOutcome::Message { number: 1, .. }),
            is_new
        );
        assert_eq!(arrived.outcome == ArrivalOutcome::Duplicate, !is_new);
    }
    assert_eq!(b.conversation.missing(), [0_u64; 0]);
}

#[test]
fn message_composed_before_the_answer_is_sent_as_a_step_after_it() {
    let mut rng = rng(4);
    let mut reader = Reader::new(&mut rng);
    let mut a = start(&mut rng, &reader);
    let first = a.write(&mut rng, START, "first");
    let mut waiting = a.compose(&mut rng, START, "waiting");
    let (mut b, _) = accept(&mut rng, &mut reader, &first);
    b.accept_request();
    let answer = b.write(&mut rng, START, "answer");
    a.read(&mut rng, START, &answer).unwrap();
    let step = a.seal(&mut rng, START, &mut waiting).unwrap();
    assert!(reader.open(&step).is_none());
    let arrived = b.read(&mut rng, START, &step).unwrap();
    assert_eq!(text_of(&arrived), (2, "waiting".to_owned()));
}

#[test]
fn request_that_is_not_accepted_watches_and_sends_nothing() {
    let mut rng = rng(5);
    let mut reader = Reader::new(&mut rng);
    let mut a = start(&mut rng, &reader);
    let first = a.write(&mut rng, START, "first");
    let (mut b, _) = accept(&mut rng, &mut reader, &first);
    assert_eq!(b.conversation.state(), ConversationState::Asked);
    assert_eq!(b.awaited(), 0);
    let refused = b.conversation.compose(&mut rng, START, &[Part::Goodbye]);
    assert_eq!(refused.err(), Some(ComposeError::NotAccepted));
    b.accept_request();
    assert_eq!(b.awaited(), 3 * 64 + 3 * 8 * 6);
}

#[test]
fn refusals_of_compose_name_their_reason() {
    let mut rng = rng(6);
    let reader = Reader::new(&mut rng);
    let mut a = start(&mut rng, &reader);
    let mut refused = |parts: &[Part]| a.conversation.compose(&mut rng, START, parts).err();
    assert_eq!(refused(&[Part::GivenUp(2)]), Some(ComposeError::Reserved));
    assert_eq!(
        refused(&vec![Part::Goodbye; 61]),
        Some(ComposeError::TooManyParts(61))
    );
    let long = Part::Text("x".repeat(65_333));
    assert!(matches!(refused(&[long]), Some(ComposeError::TooLong(_))));
    for _ in 0..MAX_OPENING_MESSAGES {
        assert_eq!(refused(&[Part::Goodbye]), None);
    }
    let full = refused(&[Part::Goodbye]);
    assert_eq!(full, Some(ComposeError::TooManyUnanswered(32)));
    a.conversation.close(START);
    let closed = a.conversation.compose(&mut rng, START, &[Part::Goodbye]);
    assert_eq!(closed.err(), Some(ComposeError::Closed));
}

#[test]
fn goodbye_closes_both_ends_and_their_keys_are_erased_later() {
    let mut rng = rng(7);
    let (mut a, mut b) = open_pair(&mut rng);
    let mut message = a
        .conversation
        .compose(&mut rng, START, &[Part::Goodbye])
        .unwrap();
    a.conversation.close(START);
    let envelope = a.seal(&mut rng, START, &mut message).unwrap();
    let arrived = b.read(&mut rng, START, &envelope).unwrap();
    let parts = vec![Part::Goodbye];
    assert_eq!(
        arrived.outcome,
        ArrivalOutcome::Message { number: 2, parts }
    );
    assert_eq!(b.conversation.state(), ConversationState::Closed);
    for end in [&mut a, &mut b] {
        end.restart();
        end.tick(START.after(80 * HOUR - 1));
        assert!(end.awaited() > 0);
        end.tick(START.after(80 * HOUR));
        assert_eq!(end.awaited(), 0);
    }
}

/// Bytes of the data of an envelope that the outer layer and the head of the body take.
const AROUND_BODY: usize = 48 + 5;

fn foretold(end: &End, text: usize) -> usize {
    end.conversation.body_len(START, 5 + text)
}

/// Composes a text of `text` bytes, the longest that fits into the data of a class.
fn fill(rng: &mut rand_chacha::ChaCha20Rng, end: &mut End, text: usize, data: usize) -> Attempt {
    assert!(foretold(end, text + 1) + AROUND_BODY > data, "{text}");
    let expected = foretold(end, text);
    let parts = [Part::Text("x".repeat(text))];
    let mut message = end.conversation.compose(rng, START, &parts).unwrap();
    let attempt = end.conversation.attempt(rng, START, &mut message).unwrap();
    assert_eq!(attempt.body.len(), expected, "{text}");
    assert!(expected + AROUND_BODY <= data, "{text}");
    attempt
}

/// The capacities that the specification measured, to the byte.
#[test]
fn body_len_foretells_the_length_of_each_body() {
    let mut rng = rng(8);
    let mut reader = Reader::new(&mut rng);
    for (text, data) in [(3_380, 4_839), (8_308, 9_759), (18_148, 19_599)] {
        let mut a = start(&mut rng, &reader);
        fill(&mut rng, &mut a, text, data);
    }
    let mut a = start(&mut rng, &reader);
    let attempt = fill(&mut rng, &mut a, 916, 2_379);
    let first = seal(&mut rng, attempt);
    let (mut b, _) = accept(&mut rng, &mut reader, &first);
    b.accept_request();
    let with_offer = fill(&mut rng, &mut b, 941, 2_379);
    let answer = seal(&mut rng, with_offer);
    for (text, data) in [(356, 534), (980, 1_149), (2_196, 2_379)] {
        fill(&mut rng, &mut b, text, data);
    }
    a.read(&mut rng, START, &answer).unwrap();
    fill(&mut rng, &mut a, 1_037, 2_379);
}

#[test]
fn preferred_conversation_is_the_same_for_both_ends() {
    let (a, b) = (ConversationId([1; 32]), ConversationId([2; 32]));
    assert_eq!(preferred(a, b), preferred(b, a));
}

#[test]
fn next_tick_is_tomorrow_or_the_first_expiry() {
    let mut rng = rng(9);
    let (mut a, mut b) = open_pair(&mut rng);
    let at = UnixSecs(START.0 / DAY * DAY);
    assert_eq!(a.conversation.next_tick(at), at.after(DAY));
    let _skipped = b.write(&mut rng, at, "skipped");
    let there = b.write(&mut rng, at, "there");
    a.read(&mut rng, at.before(70 * HOUR), &there).unwrap();
    assert_eq!(a.conversation.next_tick(at), at.after(10 * HOUR));
}
