//! Single attempts of other components, without a node.

use std::sync::Arc;
use std::time::Duration;

use circuits::arithmetic::Arithmetic;
use circuits::level::Level;
use zeroize::Zeroizing;

use super::*;
use crate::contact::chain::StepKey;
use crate::contact::outer::EnvelopeSealer;
use crate::envelope::{SizeClass, Topic};
use crate::envelope_builder::{SealedShape, prepared_len};
use crate::message::CopyTag;
use crate::node::action::Action;
use crate::node::command::{PreparedData, ReaderKind, Recipient, SealedRecipient, SendRequest};
use crate::node::effects::Effects;
use crate::node::event::{Event, MessageId, Stage};
use crate::node::fixture::{Fixture, START, envelope};
use crate::node::input::Connectivity;
use crate::node::output::Output;
use crate::node::send::message::{Departure, EchoWatch, SendState};
use crate::node::send::mixed::{MixedForm, MixedMessage};
use crate::node::send::{SendContext, Sender};

fn sealed(level: Level, len: usize) -> SendRequest {
    let step = StepKey::new(Zeroizing::new([7; 32]));
    request(
        level,
        Recipient::Sealed(SealedRecipient {
            sealer: Arc::new(EnvelopeSealer::Step(step)),
            resync: None,
        }),
        len,
    )
}

fn card(level: Level) -> SendRequest {
    let class = SizeClass::of(2_408).unwrap();
    let prepared = PreparedData {
        topic: Topic([5; 4]),
        data: vec![6; prepared_len(class)],
    };
    request(level, Recipient::Prepared(prepared), 0)
}

fn request(level: Level, to: Recipient, len: usize) -> SendRequest {
    SendRequest {
        to,
        sign_as: None,
        payload: Zeroizing::new(vec![1; len]),
        level: Some(level),
        life: Duration::from_secs(60),
        reader: ReaderKind::Whisht,
    }
}

fn sender(test: &Fixture) -> Sender {
    Sender::new(&test.config, Arithmetic::default(), START.mono)
}

/// The reports of single attempts among the requested actions.
fn reports(fx: &mut Effects) -> Vec<(MessageId, Option<AttemptEnd>)> {
    let actions = fx.take_actions().into_iter();
    let reports = actions.filter_map(|action| match action {
        Action::AttemptLeft(id) => Some((id, None)),
        Action::AttemptEnded(id, end) => Some((id, Some(end))),
        _ => None,
    });
    reports.collect()
}

/// An attempt at `normal` that awaits its echo until the start.
fn awaiting(sender: &mut Sender, fx: &mut Effects) -> MessageId {
    let tag = CopyTag::draw(fx.key_rng());
    let id = sender.add(fx, Level::Normal, Some(sealed(Level::Normal, 300)), tag);
    let watch = EchoWatch::new(envelope(1).hash(), None, Some(START.mono));
    let state = SendState::Confirming(watch, Departure::Cells(3));
    sender.enter(fx, id, state);
    id
}

#[test]
fn attempt_is_reported_when_it_left_and_when_it_ended_once_each() {
    let mut test = Fixture::new(|_| {});
    let mut sender = sender(&test);
    let (fx, context) = test.sending();
    for request in [sealed(Level::Open, 300), card(Level::Open)] {
        let id = sender.send(fx, START, request, context).unwrap();
        assert!(reports(fx).is_empty());
        sender.on_nonce(fx, START, id, Ok(1), context);
        assert_eq!(reports(fx), [(id, None)]);
        sender.enter(fx, id, SendState::Delivered);
        sender.enter(fx, id, SendState::Delivered);
        assert_eq!(
            reports(fx),
            [(
                id,
                Some(AttemptEnd::Seen {
                    first_gossip: false
                })
            )]
        );
        assert_eq!(sender.stage(id), Some(Stage::Delivered));
    }
    // Users see nothing of it: the component has its own events and listings.
    assert!(sender.views(START.mono).is_empty());
    let events = fx.take_outputs().into_iter();
    let mut events = events.filter(|output| matches!(output, Output::Notify(Event::Outgoing(..))));
    assert!(events.next().is_none());
}

#[test]
fn attempt_without_an_echo_fails_and_is_not_repeated() {
    let mut test = Fixture::new(|_| {});
    let mut sender = sender(&test);
    let (fx, context) = test.sending();
    let id = awaiting(&mut sender, fx);
    assert_eq!(reports(fx), [(id, None)]);
    sender.on_timer(fx, START, id, context);
    let reports = reports(fx);
    let [(failed, Some(AttemptEnd::Failed(reason)))] = &reports[..] else {
        panic!("{reports:?}");
    };
    assert!(*failed == id && reason.contains("no echo"), "{reason}");
    assert_eq!(sender.in_flight(), 0);
    let jobs = fx.take_outputs().into_iter();
    assert_eq!(
        jobs.filter(|output| matches!(output, Output::Work(..)))
            .count(),
        0
    );
}

#[test]
fn keys_of_an_attempt_are_erased_when_it_ends() {
    let mut test = Fixture::new(|_| {});
    let mut sender = sender(&test);
    let request = sealed(Level::Open, 300);
    let Recipient::Sealed(recipient) = &request.to else {
        panic!("not sealed");
    };
    let sealer = Arc::downgrade(&recipient.sealer);
    let (fx, context) = test.sending();
    let id = sender.send(fx, START, request, context).unwrap();
    assert!(sealer.upgrade().is_some());
    sender.cancel_attempt(fx, id);
    assert!(sealer.upgrade().is_none());
}

#[test]
fn user_cannot_cancel_or_renew_an_attempt_of_a_component() {
    let mut test = Fixture::new(|_| {});
    let mut sender = sender(&test);
    let (fx, context) = test.sending();
    let id = awaiting(&mut sender, fx);
    assert!(!sender.cancel(fx, id));
    assert!(sender.is_in_flight(id));
    sender.cancel_attempt(fx, id);
    assert!(!sender.is_in_flight(id));
    assert!(sender.renew(fx, START, id, context).is_err());
}

/// Two envelopes under one topic could be told to be one attempt.
#[test]
fn attempt_whose_cells_left_is_not_repeated_after_this_machine_was_offline() {
    let mut test = Fixture::new(|_| {});
    let mut sender = sender(&test);
    let (fx, _) = test.sending();
    let id = awaiting(&mut sender, fx);
    reports(fx);
    sender.on_connectivity(fx, START, Connectivity::down("no network"));
    assert!(matches!(reports(fx)[..], [(ended, Some(AttemptEnd::Failed(_)))] if ended == id));
}

#[test]
fn attempt_while_offline_waits_and_is_made_once_online() {
    let mut test = Fixture::new(|_| {});
    let mut sender = sender(&test);
    let (fx, context) = test.sending();
    sender.on_connectivity(fx, START, Connectivity::down("no network"));
    let request = sealed(Level::Open, 300);
    let id = sender.send(fx, START, request, context).unwrap();
    assert!(matches!(sender.stage(id), Some(Stage::Waiting { .. })));
    sender.on_connectivity(fx, START, Connectivity::Up);
    sender.resume(fx, START, context);
    assert!(matches!(sender.stage(id), Some(Stage::Sealing { .. })));
}

#[test]
fn attempt_is_not_stored_in_the_outbox() {
    let mut test = Fixture::new(|_| {});
    test.fx.open_state();
    let mut sender = sender(&test);
    let (fx, context) = test.sending();
    let id = sender
        .send(fx, START, sealed(Level::Open, 300), context)
        .unwrap();
    assert!(!sender.is_storing(id));
    let outputs = fx.take_outputs();
    assert!(
        !outputs
            .iter()
            .any(|output| matches!(output, Output::Store(..)))
    );
}

fn compose(request: &SendRequest, level: Level, context: SendContext<'_>) -> Option<MixedForm> {
    let mut rng = circuits::erasing_rng::ErasingRng::from_seed(&[4; 32]);
    let tag = CopyTag::draw(&mut rng);
    let mixed = MixedMessage::compose(&mut rng, START, request, level, tag, context);
    mixed.ok().map(|mixed| mixed.form())
}

#[test]
fn body_travels_whole_in_one_cell_and_is_scattered_above_but_a_card_converges() {
    let mut test = Fixture::new(|_| {});
    let (_, context) = test.sending();
    for level in [Level::Hush, Level::Dark] {
        let form = |len| compose(&sealed(level, len), level, context);
        assert_eq!(form(481), Some(MixedForm::Whole));
        assert_eq!(form(482), Some(MixedForm::Scatter));
        assert_eq!(form(40_000), None);
    }
    let form = compose(&card(Level::Bulletin), Level::Bulletin, context);
    assert_eq!(form, Some(MixedForm::Converge));
    assert_eq!(compose(&card(Level::Dark), Level::Dark, context), None);
}

#[test]
fn estimate_of_a_shape_is_that_of_the_body() {
    let mut test = Fixture::new(|_| {});
    let sender = sender(&test);
    let (_, context) = test.sending();
    for len in [100, 481, 482, 3_000] {
        let shape = SealedShape {
            body_len: len,
            is_resync: false,
        };
        let (level, life) = (Level::Open, Duration::from_secs(60));
        let shaped = sender.estimate_shape(START, shape, (level, life), context);
        let exact = sender.estimate(START, &sealed(level, len), context);
        let (shaped, exact) = (shaped.unwrap(), exact.unwrap());
        assert_eq!(shaped.envelope_bytes, exact.envelope_bytes);
        assert_eq!(shaped.flood_bytes, exact.flood_bytes);
    }
}
