//! Sending without a node.

use circuits::ids::{LinkId, ShortId};
use circuits::secret::Secret;
use rand_core::Rng;

use super::fixture::{request, send_open, sender, stages};
use super::*;
use crate::bloom::Bloom;
use crate::gossip::packet::{MinPow, code, outgoing};
use crate::message::ClientSecret;
use crate::node::fixture::{Fixture, START, envelope};
use crate::node::gossip::NewPeer;
use crate::node::output::Output;

fn taken(fx: &mut Effects) -> Vec<Stage> {
    stages(&fx.take_outputs())
}

#[test]
fn unavailable_level_is_refused_and_nothing_starts() {
    let mut test = Fixture::new(|_| {});
    let mut sender = sender(&test);
    for level in [Level::Swift, Level::Normal, Level::Hush, Level::Dark] {
        let (fx, context) = test.sending();
        assert!(sender.send(fx, START, request(level), context).is_err());
        assert!(fx.take_outputs().is_empty() && fx.take_actions().is_empty());
    }
    assert_eq!(sender.in_flight(), 0);
}

#[test]
fn open_message_is_mined_then_diffused() {
    let mut test = Fixture::new(|_| {});
    let mut sender = sender(&test);
    let (fx, context) = test.sending();
    let id = send_open(&mut sender, fx, context);
    assert!(matches!(taken(fx)[..], [Stage::Sealing { attempt: 1, .. }]));
    sender.on_progress(fx, id, 10);
    sender.on_nonce(fx, START, id, Ok(1), context);
    assert!(matches!(
        taken(fx)[..],
        [
            Stage::Searching { tried: 10, .. },
            Stage::Sealed { .. },
            Stage::Waiting { .. }
        ]
    ));
    assert!(matches!(fx.take_actions()[..], [Action::Diffuse(_)]));
    assert_eq!(sender.in_flight(), 1);
}

#[test]
fn open_message_without_a_peer_says_that_it_waits_for_one() {
    let mut test = Fixture::new(|_| {});
    let mut sender = sender(&test);
    let (fx, context) = test.sending();
    let open = &context.level_views(START)[0];
    assert!(open.missing.as_ref().unwrap().contains("none is connected"));
    let id = send_open(&mut sender, fx, context);
    sender.on_nonce(fx, START, id, Ok(1), context);
    let Some(Stage::Waiting { reason }) = taken(fx).pop() else {
        panic!("the message does not wait");
    };
    assert!(reason.contains("none is connected") && reason.contains("whisht peers"));
    sender.confirm_gossiped(fx, context);
    assert!(taken(fx).is_empty());
    let later = Now {
        mono: START.mono.after(GOSSIP_TIMEOUT),
        unix: START.unix.after(60),
    };
    sender.on_timer(fx, later, id, context);
    let Some(Stage::Failed { reason }) = taken(fx).pop() else {
        panic!("the message is not given up");
    };
    assert!(reason.contains("no peer has taken it"), "{reason}");
}

#[test]
fn cancelled_message_stops_its_job_and_stays_in_the_list() {
    let mut test = Fixture::new(|_| {});
    let mut sender = sender(&test);
    let (fx, context) = test.sending();
    let id = send_open(&mut sender, fx, context);
    fx.take_outputs();
    assert!(sender.cancel(fx, id));
    assert!(!sender.cancel(fx, id));
    assert!(matches!(
        fx.take_outputs()[..],
        [
            Output::CancelWork(_),
            Output::Notify(Event::Outgoing(_, Stage::Failed { .. }))
        ]
    ));
    assert!(matches!(
        sender.views(START.mono)[0].stage,
        Stage::Failed { .. }
    ));
    sender.on_nonce(fx, START, id, Ok(1), context);
    assert!(fx.take_actions().is_empty());
}

#[test]
fn message_while_offline_is_queued_and_resumed() {
    let mut test = Fixture::new(|_| {});
    let mut sender = sender(&test);
    let (fx, context) = test.sending();
    let down = Connectivity::down("Tor is not ready");
    assert!(!sender.on_connectivity(fx, START, down));
    send_open(&mut sender, fx, context);
    assert!(matches!(&taken(fx)[..], [Stage::Waiting { reason }] if reason.contains("Tor")));
    sender.resume(fx, START, context);
    assert!(taken(fx).is_empty());
    assert!(sender.on_connectivity(fx, START, Connectivity::Up));
    sender.resume(fx, START, context);
    assert!(matches!(taken(fx)[..], [Stage::Sealing { attempt: 1, .. }]));
}

#[test]
fn message_while_connectivity_is_unknown_is_tried() {
    let mut test = Fixture::new(|_| {});
    let mut sender = sender(&test);
    let (fx, context) = test.sending();
    sender.on_connectivity(fx, START, Connectivity::unverified("no link yet"));
    send_open(&mut sender, fx, context);
    assert!(matches!(taken(fx)[..], [Stage::Sealing { .. }]));
}

#[test]
fn message_without_an_echo_fails_after_its_deadline() {
    let mut test = Fixture::new(|_| {});
    let mut sender = sender(&test);
    let (fx, context) = test.sending();
    let id = send_open(&mut sender, fx, context);
    sender.on_nonce(fx, START, id, Ok(1), context);
    taken(fx);
    let later = Now {
        mono: START.mono.after(GOSSIP_TIMEOUT),
        unix: START.unix.after(60),
    };
    let last = Some(TimerId::Embargo);
    assert_eq!(fx.pop_due(later.mono, last), Some(TimerId::Message(id)));
    sender.on_timer(fx, later, id, context);
    assert!(matches!(taken(fx)[..], [Stage::Failed { .. }]));
}

#[test]
fn number_of_messages_in_flight_is_bounded() {
    let mut test = Fixture::new(|_| {});
    let mut sender = sender(&test);
    let (fx, context) = test.sending();
    for _ in 0..MAX_IN_FLIGHT {
        send_open(&mut sender, fx, context);
    }
    let refused = sender.send(fx, START, request(Level::Open), context);
    assert!(refused.unwrap_err().remedy.contains("whisht outbox"));
}

#[test]
fn estimate_draws_nothing_from_the_generator() {
    let mut test = Fixture::new(|_| {});
    let mut untouched = Fixture::new(|_| {});
    let sender = sender(&test);
    let (fx, context) = test.sending();
    sender
        .estimate(START, &request(Level::Open), context)
        .unwrap();
    assert_eq!(fx.rng().next_u64(), untouched.fx.rng().next_u64());
}

const GUARD: ShortId = ShortId([7; 16]);

/// A message at `normal` that awaits the echo of an envelope, as its first attempt.
fn awaiting(sender: &mut Sender, fx: &mut Effects, hash: EnvelopeHash) -> MessageId {
    let tag = CopyTag::draw(fx.key_rng());
    let id = sender.add(fx, Level::Normal, Some(request(Level::Normal)), tag);
    let watch = EchoWatch::new(hash, Some(GUARD), Some(START.mono));
    let state = SendState::Confirming(watch, Departure::Cells(3));
    sender.enter(fx, id, state);
    taken(fx);
    id
}

/// Peers show an envelope by gossip, and the sender hears of each.
fn echo(test: &mut Fixture, sender: &mut Sender, number: u8, peers: &[u64]) -> Vec<Stage> {
    let shown = envelope(number);
    let proofs = test.gossip.validate(START, &shown).unwrap();
    let fx = &mut test.fx;
    test.gossip.insert(fx, START, &shown, proofs, None);
    for peer in peers {
        let peer = NewPeer {
            link: LinkId(*peer),
            protocol: crate::envelope::ProtocolVersion::V6,
            client: "whisht",
            speaks_onion: true,
            trusted: false,
        };
        test.gossip.add_peer(&mut test.fx, START, &peer);
        let status = outgoing::status(MinPow::DEFAULT, &Bloom::FULL, false);
        let fx = &mut test.fx;
        let outcome = test
            .gossip
            .receive(fx, START, peer.link, code::STATUS, &status);
        assert!(outcome.is_ok());
        test.gossip.decide_delivery(fx, peer.link, true);
        let hashes = vec![shown.hash()];
        let known = test.gossip.on_announced(fx, START, peer.link, hashes);
        assert_eq!(known, [shown.hash()]);
        let (fx, context) = test.sending();
        sender.on_echo(fx, shown.hash(), context);
    }
    taken(&mut test.fx)
}

#[test]
fn late_echo_of_an_earlier_attempt_delivers_the_message() {
    let mut test = Fixture::new(|_| {});
    let mut sender = sender(&test);
    let (fx, context) = test.sending();
    let id = awaiting(&mut sender, fx, envelope(1).hash());
    sender.retry(fx, START, id, context);
    assert!(matches!(
        taken(fx)[..],
        [
            Stage::Retrying { attempt: 2 },
            Stage::Sealing { attempt: 2, .. }
        ]
    ));
    let stages = echo(&mut test, &mut sender, 1, &[1]);
    assert!(
        matches!(stages[..], [Stage::Seen { peers: 1, .. }, Stage::Delivered]),
        "{stages:?}"
    );
    assert!(sender.by_hash.is_empty());
}

#[test]
fn delivered_message_is_reported_once() {
    let mut test = Fixture::new(|_| {});
    let mut sender = sender(&test);
    awaiting(&mut sender, &mut test.fx, envelope(1).hash());
    let stages = echo(&mut test, &mut sender, 1, &[1, 2, 3, 4]);
    let delivered = stages.iter().filter(|stage| **stage == Stage::Delivered);
    assert_eq!(delivered.count(), 1);
    assert_eq!(stages.last(), Some(&Stage::Delivered), "{stages:?}");
}

#[test]
fn cancelled_message_stays_cancelled_when_its_echo_arrives() {
    let mut test = Fixture::new(|_| {});
    let mut sender = sender(&test);
    let (fx, context) = test.sending();
    let id = awaiting(&mut sender, fx, envelope(1).hash());
    sender.retry(fx, START, id, context);
    assert!(sender.cancel(fx, id));
    assert!(sender.by_hash.is_empty());
    taken(fx);
    assert!(echo(&mut test, &mut sender, 1, &[1, 2]).is_empty());
    assert!(matches!(
        sender.views(START.mono)[0].stage,
        Stage::Failed { .. }
    ));
}

#[test]
fn attempts_of_one_message_have_one_tag_and_differ_otherwise() {
    let mut test = Fixture::new(|_| {});
    let (fx, context) = test.sending();
    let secret = ClientSecret::from_bytes(&Secret::init_with(|key| key.fill(9))).unwrap();
    let (tag, level) = (CopyTag::draw(fx.key_rng()), Level::Normal);
    let mut attempt = || {
        let rng = fx.key_rng();
        let (draft, _) = compose(rng, START, &request(level), level, tag, context).unwrap();
        crate::message::decrypt_asymmetric(&secret, &draft.unmined.data).unwrap()
    };
    let (one, other) = (attempt(), attempt());
    assert_eq!(one.padding[..CopyTag::LEN], other.padding[..CopyTag::LEN]);
    assert_eq!(CopyTag::of_padding(&one.padding), Some(tag));
    assert_ne!(one.padding[CopyTag::LEN..], other.padding[CopyTag::LEN..]);
}
