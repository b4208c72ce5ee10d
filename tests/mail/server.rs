//! The archive of a mail server, its acknowledgements, and attacks by unknown peers.

use std::time::Duration;

use circuits::ids::LinkId;
use whisht::bloom::Bloom;
use whisht::gossip::packet::{Envelopes, code, outgoing};
use whisht::link::Capability;
use whisht::mail::RequestId;
use whisht::mail::request::{Limit, MailRequest};
use whisht::mail::response::MailCompletion;
use whisht::onion_wire::OnionMessage;

use crate::fixture::{SERVER, a_day, fetch, forget, reader, world, write};
use crate::sim::World;
use crate::sim::scripted_peer::PeerBehaviour;

fn say(world: &mut World, attacker: usize, link: LinkId, code: u8, payload: Vec<u8>) {
    world.act(attacker, |attacker, now| {
        let what = (Capability::SHH_6, u16::from(code));
        ((), attacker.send_raw(now, link, what, payload))
    });
    world.run(Duration::from_secs(1));
}

/// The payloads of a code that an attacker received.
fn received(world: &World, attacker: usize, link: LinkId, code: u8) -> Vec<Vec<u8>> {
    let received = world.scripted(attacker).session(link).received.iter();
    received
        .filter(|received| {
            received.capability == Capability::SHH_6 && received.code == u16::from(code)
        })
        .map(|received| received.payload.clone())
        .collect()
}

fn request(limit: u32) -> Vec<u8> {
    MailRequest {
        lower: circuits::time::UnixSecs(0),
        upper: circuits::time::UnixSecs(u32::MAX),
        bloom: Bloom::FULL,
        limit: Limit::Count(limit),
        after: None,
        batch: true,
    }
    .to_plain(RequestId([7; 32]))
}

#[test]
fn gossiped_envelopes_are_archived_across_restart() {
    let mut world = world();
    write(&mut world, "one");
    write(&mut world, "two");
    assert_eq!(world.archive(SERVER).envelopes().count(), 2);
    let mail = world.status(SERVER).mail.unwrap();
    assert_eq!((mail.kept, mail.waiting), (2, 0));
    forget(&mut world);
    world.kill(SERVER);
    world.restart(SERVER);
    let reader = reader(&mut world);
    let day = a_day(&world);
    let (_, envelopes, messages) = fetch(&mut world, reader, day);
    assert_eq!((envelopes, messages), (2, 2));
}

#[test]
fn stem_envelope_is_archived_only_when_public() {
    let mut world = world();
    let attacker = world.add_scripted_peer(PeerBehaviour::relay());
    let link = world.connect_scripted(attacker, SERVER);
    let envelope = world.mined_envelope(attacker, 600);
    let stem = OnionMessage::Stem(envelope);
    world.act(attacker, |attacker, now| {
        ((), attacker.send_onion(now, link, &stem))
    });
    let mut hidden = 0;
    loop {
        world.run(Duration::from_millis(200));
        let public = world.status(SERVER).pool_envelopes;
        let kept = world.archive(SERVER).envelopes().count();
        assert!(kept <= public, "it was kept before it was public");
        if kept == 1 {
            break;
        }
        hidden += 1;
        assert!(hidden < 3_000, "it never became public");
    }
}

#[test]
fn batch_is_acknowledged_only_when_durable() {
    let mut world = world();
    let attacker = world.add_scripted_peer(PeerBehaviour {
        wants_confirmations: true,
        client: "StatusIM/v0.28",
        ..PeerBehaviour::relay()
    });
    let link = world.connect_scripted(attacker, SERVER);
    world.archive(SERVER).hang();
    let first = world.mined_envelope(attacker, 600);
    let batch = outgoing::messages(&[first]);
    say(&mut world, attacker, link, code::MESSAGES, batch.clone());
    // A repetition is not durable earlier than the first copy.
    say(&mut world, attacker, link, code::MESSAGES, batch);
    assert_eq!(world.status(SERVER).pool_envelopes, 1);
    assert!(received(&world, attacker, link, code::BATCH_ACKNOWLEDGED).is_empty());
    world.release_archive(SERVER);
    world.run(Duration::from_secs(1));
    assert_eq!(
        received(&world, attacker, link, code::BATCH_ACKNOWLEDGED).len(),
        2
    );
    // With nothing to wait for the answer is immediate.
    say(&mut world, attacker, link, code::MESSAGES, vec![0xc0]);
    assert_eq!(
        received(&world, attacker, link, code::BATCH_ACKNOWLEDGED).len(),
        3
    );
}

#[test]
fn request_flood_ends_only_flooding_link() {
    let mut world = world();
    write(&mut world, "one");
    let attacker = world.add_scripted_peer(PeerBehaviour::relay());
    let link = world.connect_scripted(attacker, SERVER);
    for _ in 0..100 {
        world.act(attacker, |attacker, now| {
            let what = (Capability::SHH_6, u16::from(code::P2P_REQUEST));
            ((), attacker.send_raw(now, link, what, request(1)))
        });
    }
    world.run(Duration::from_secs(2));
    assert!(!world.scripted(attacker).session(link).is_open());
    forget(&mut world);
    let reader = reader(&mut world);
    let day = a_day(&world);
    let (_, _, messages) = fetch(&mut world, reader, day);
    assert_eq!(messages, 1);
}

#[test]
fn plain_request_is_answered_with_list_and_cursor() {
    let mut world = world();
    for text in ["one", "two", "three"] {
        write(&mut world, text);
    }
    let attacker = world.add_scripted_peer(PeerBehaviour::relay());
    let link = world.connect_scripted(attacker, SERVER);
    say(&mut world, attacker, link, code::P2P_REQUEST, request(2));
    let messages = received(&world, attacker, link, code::P2P_MESSAGE);
    assert_eq!(Envelopes::p2p(&messages[0]).unwrap().count(), 2);
    let ends = received(&world, attacker, link, code::P2P_REQUEST_COMPLETE);
    let MailCompletion::Done { id, cursor, .. } = MailCompletion::decode(&ends[0]).unwrap() else {
        panic!("the answer has ended");
    };
    assert_eq!(id, RequestId([7; 32]));
    assert!(cursor.is_some(), "a third one is left");
}

#[test]
fn archive_failure_is_reported_to_client() {
    let mut world = world();
    write(&mut world, "one");
    world.archive(SERVER).fail_queries();
    let attacker = world.add_scripted_peer(PeerBehaviour::relay());
    let link = world.connect_scripted(attacker, SERVER);
    say(&mut world, attacker, link, code::P2P_REQUEST, request(2));
    let ends = received(&world, attacker, link, code::P2P_REQUEST_COMPLETE);
    let end = MailCompletion::decode(&ends[0]).unwrap();
    assert!(matches!(end, MailCompletion::Failed { .. }), "{end:?}");
}

#[test]
fn node_without_mail_ignores_requests() {
    let mut world = world();
    let attacker = world.add_scripted_peer(PeerBehaviour::relay());
    let link = world.connect_scripted(attacker, crate::fixture::WRITER);
    for payload in [request(2), vec![0xff; 40]] {
        say(
            &mut world,
            attacker,
            link,
            code::P2P_REQUEST,
            payload.clone(),
        );
        say(&mut world, attacker, link, code::P2P_SYNC_REQUEST, payload);
    }
    assert!(world.scripted(attacker).session(link).is_open());
    assert!(received(&world, attacker, link, code::P2P_REQUEST_COMPLETE).is_empty());
    // A mail server disconnects for it, as go-ethereum's does.
    let link = world.connect_scripted(attacker, SERVER);
    say(
        &mut world,
        attacker,
        link,
        code::P2P_REQUEST,
        vec![0xff; 40],
    );
    assert!(!world.scripted(attacker).session(link).is_open());
}
