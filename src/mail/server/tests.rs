use core::time::Duration;

use circuits::directory::Subnet;
use circuits::secret::Secret;
use circuits::time::{Instant, UnixSecs};

use super::super::request::MAX_PLAIN_LIMIT;
use super::super::request_quota::{MAX_EXCESS, MAX_REQUESTS};
use super::*;
use crate::bloom::Bloom;
use crate::envelope::{EncryptionHint, Envelope, Topic, Ttl, UnminedEnvelope};
use crate::message::ClientSecret;

const PEER: RelayKey = RelayKey([1; 64]);
const LINK: LinkId = LinkId(1);

fn now(secs: u64) -> Now {
    Now {
        mono: Instant::ZERO.after(Duration::from_secs(secs)),
        unix: UnixSecs(1_600_000_000),
    }
}

/// A server that answers all peers.
fn server() -> MailServer {
    let node = Secret::init_with(|bytes| bytes.fill(3));
    MailServer::new(AccessPolicy {
        password: None,
        node: ClientSecret::from_bytes(&node).unwrap(),
        allowed: std::collections::BTreeSet::new(),
        min_pow: 0.0,
    })
}

fn request(limit: u32) -> MailRequest {
    MailRequest {
        lower: UnixSecs(0),
        upper: UnixSecs(u32::MAX),
        bloom: Bloom::FULL,
        limit: Limit::Count(limit),
        after: None,
        batch: true,
    }
}

fn plain(id: u8, limit: u32) -> Vec<u8> {
    request(limit).to_plain(RequestId([id; 32]))
}

fn envelopes(count: u32) -> Vec<Envelope> {
    let sealed = |number: u32| {
        UnminedEnvelope {
            expiry: UnixSecs(1_000 + number),
            ttl: Ttl(60),
            topic: Topic::default(),
            hint: EncryptionHint::Absent,
            data: vec![1; 40],
        }
        .with_nonce(number.into())
    };
    (0..count).map(sealed).collect()
}

fn page(envelopes: Vec<Envelope>, more: bool) -> Page {
    let last = envelopes.last().map(Position::of);
    Page {
        effort: envelopes.len(),
        more: last.filter(|_| more),
        envelopes,
    }
}

/// The single query that the server makes now.
fn asked(server: &mut MailServer) -> (QueryId, PageQuery) {
    let actions = server.find_next_pages(|_| true);
    match actions.as_slice() {
        [ServerAction::Find(id, query)] => (*id, *query),
        other => panic!("{other:?}"),
    }
}

fn completion(actions: &[ServerAction]) -> MailCompletion {
    match actions.last() {
        Some(ServerAction::Send(LINK, P2pKind::RequestComplete, payload)) => {
            MailCompletion::decode(payload).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

fn reason(actions: &[ServerAction]) -> String {
    match completion(actions) {
        MailCompletion::Failed { reason, .. } => reason,
        done @ MailCompletion::Done { .. } => panic!("{done:?}"),
    }
}

#[test]
fn answer_is_envelopes_followed_by_completion() {
    let mut server = server();
    assert!(server.on_request(now(0), CLIENT, &plain(9, 100)).is_empty());
    let (id, query) = asked(&mut server);
    assert_eq!(query.limit, 100);
    let found = envelopes(3);
    let actions = server.on_page(id, Ok(page(found.clone(), false)));
    assert_eq!(actions.len(), 2, "one packet and the completion");
    assert_eq!(
        completion(&actions),
        MailCompletion::Done {
            id: RequestId([9; 32]),
            last: Some(found[2].hash()),
            cursor: None,
        }
    );
    assert_eq!((server.answering(), server.sent()), (0, 3));
}

#[test]
fn next_page_is_queried_when_link_is_free() {
    let mut server = server();
    let _ = server.on_request(now(0), CLIENT, &plain(9, 100));
    let (id, _) = asked(&mut server);
    let first = envelopes(40);
    let actions = server.on_page(id, Ok(page(first.clone(), true)));
    assert!(matches!(actions.as_slice(), [ServerAction::Send(..)]));
    assert!(
        server.find_next_pages(|_| false).is_empty(),
        "the client does not read"
    );
    let (_, query) = asked(&mut server);
    assert_eq!(query.after, first.last().map(Position::of));
    assert_eq!(query.limit, 60, "forty of a hundred are sent");
    assert!(
        server.find_next_pages(|_| true).is_empty(),
        "one query at a time"
    );
}

#[test]
fn answer_at_limit_ends_with_cursor() {
    let mut server = server();
    let _ = server.on_request(now(0), CLIENT, &plain(9, 2));
    let (id, _) = asked(&mut server);
    let found = envelopes(2);
    let actions = server.on_page(id, Ok(page(found.clone(), true)));
    let MailCompletion::Done { cursor, .. } = completion(&actions) else {
        panic!("the answer has ended");
    };
    assert_eq!(
        cursor.map(|cursor| cursor.position),
        Some(Position::of(&found[1]))
    );
}

#[test]
fn effort_limit_bounds_amplification_and_returns_cursor() {
    let mut server = server();
    let _ = server.on_request(now(0), CLIENT, &plain(9, MAX_PLAIN_LIMIT));
    let position = Position::of(&envelopes(1)[0]);
    let mut effort = 0;
    loop {
        let (id, query) = asked(&mut server);
        effort += query.effort;
        // A filter that matches nothing, over an archive without an end.
        let barren = Page {
            envelopes: Vec::new(),
            more: Some(position),
            effort: query.effort,
        };
        let actions = server.on_page(id, Ok(barren));
        if let Some(ServerAction::Send(..)) = actions.last() {
            let MailCompletion::Done { cursor, last, .. } = completion(&actions) else {
                panic!("the answer has ended");
            };
            assert_eq!(cursor.map(|cursor| cursor.position), Some(position));
            assert_eq!(last, None);
            break;
        }
    }
    assert_eq!(effort, MAX_EFFORT);
}

#[test]
fn request_flood_is_refused_then_disconnected() {
    let mut server = server();
    let mut refused = 0;
    for asking in 0..MAX_REQUESTS + MAX_EXCESS {
        let actions = server.on_request(now(0), CLIENT, &plain(1, 1));
        if asking >= MAX_REQUESTS {
            assert_eq!(reason(&actions), "rate limit exceeded");
            refused += 1;
        }
    }
    assert_eq!(refused, MAX_EXCESS);
    let actions = server.on_request(now(0), CLIENT, &plain(1, 1));
    assert!(matches!(actions.as_slice(), [ServerAction::HangUp(LINK)]));
    // A new connection of the same peer has the same quota.
    let actions = server.on_request(
        now(0),
        MailPeer {
            link: LinkId(2),
            ..CLIENT
        },
        &plain(1, 1),
    );
    assert!(matches!(
        actions.as_slice(),
        [ServerAction::HangUp(LinkId(2))]
    ));
    // The peer is answered again after a pause.
    let later = server.on_request(now(60), CLIENT, &plain(1, 1));
    assert!(later.is_empty() || reason(&later) == "rate limit exceeded");
}

#[test]
fn queued_requests_are_answered_in_turn_and_excess_refused() {
    let mut server = server();
    for id in 0..4 {
        assert!(server.on_request(now(0), CLIENT, &plain(id, 5)).is_empty());
    }
    let fifth = server.on_request(now(0), CLIENT, &plain(4, 5));
    assert_eq!(reason(&fifth), "rate limit exceeded");
    for expected in 0..4 {
        let (id, _) = asked(&mut server);
        let actions = server.on_page(id, Ok(Page::default()));
        assert_eq!(completion(&actions).id(), RequestId([expected; 32]));
    }
}

#[test]
fn many_clients_cannot_exceed_concurrent_answers() {
    let mut server = server();
    for client in 0..100_u8 {
        let link = LinkId(u64::from(client) + 10);
        let actions = server.on_request(
            now(0),
            MailPeer {
                link,
                key: RelayKey([client; 64]),
                ..CLIENT
            },
            &plain(1, 5),
        );
        assert_eq!(actions.is_empty(), usize::from(client) < MAX_CLIENTS);
    }
    assert_eq!(server.answering(), MAX_CLIENTS);
}

#[test]
fn closed_link_releases_its_answers() {
    let mut server = server();
    let _ = server.on_request(now(0), CLIENT, &plain(9, 100));
    let (id, _) = asked(&mut server);
    let withdrawn = server.close(LINK);
    assert!(matches!(withdrawn[..], [ServerAction::Withdraw(query)] if query == id));
    assert_eq!(server.answering(), 0);
    assert!(server.on_page(id, Ok(page(envelopes(5), true))).is_empty());
    assert!(!server.is_waiting());
}

#[test]
fn clients_that_come_and_go_do_not_fill_the_queue_of_a_slow_archive() {
    let mut server = server();
    let mut queries = Vec::new();
    for number in 0..1_000_u16 {
        let client = client(number);
        let _ = server.on_request(now(0), client, &plain(9, 100));
        for action in server.find_next_pages(|_| true) {
            if let ServerAction::Find(id, _) = action {
                queries.push(id);
            }
        }
        let _ = server.close(client.link);
    }
    assert_eq!(queries.len(), MAX_QUERIES);
    // The archive answers each query, also a withdrawn one; then there is room again.
    for id in queries {
        assert!(server.on_page(id, Err(Unavailable)).is_empty());
    }
    let _ = server.on_request(now(0), CLIENT, &plain(9, 100));
    assert_eq!(server.find_next_pages(|_| true).len(), 1);
}

/// A client of its own network.
fn client(number: u16) -> MailPeer {
    let [high, low] = number.to_be_bytes();
    let mut key = [high; 64];
    key[1] = low;
    MailPeer {
        link: LinkId(u64::from(number)),
        key: RelayKey(key),
        subnet: Subnet::Ip4([high, low]),
    }
}

#[test]
fn clients_take_turns_at_an_archive_that_has_room_for_one_query() {
    let mut server = server();
    // The archive owes an answer to all queries but one, of clients that have gone.
    let gone = u16::try_from(MAX_QUERIES - 1).unwrap();
    for number in 0..gone {
        let _ = server.on_request(now(0), client(number), &plain(9, 100));
        assert_eq!(server.find_next_pages(|_| true).len(), 1);
        let _ = server.close(client(number).link);
    }
    for number in [1_000, 2_000, 3_000] {
        let _ = server.on_request(now(0), client(number), &plain(9, 100));
    }
    let mut served = Vec::new();
    for _ in 0..6 {
        let (id, _) = asked(&mut server);
        let answered = server.on_page(id, Ok(page(envelopes(10), true)));
        let Some(ServerAction::Send(link, ..)) = answered.first() else {
            panic!("{answered:?}")
        };
        served.push(link.0);
    }
    assert_eq!(served, [1_000, 2_000, 3_000, 1_000, 2_000, 3_000]);
}

#[test]
fn requests_under_many_keys_are_bounded_by_their_network() {
    let refused = |subnet: Subnet| {
        let mut server = server();
        let requests = (0..255_u8).map(|number| {
            let client = MailPeer {
                link: LinkId(u64::from(number)),
                key: RelayKey([number; 64]),
                subnet,
            };
            // Ten requests for each key, which alone are within its quota.
            let refused = (0..10).filter(|_| {
                let actions = server.on_request(now(0), client, &plain(9, 100));
                let _ = server.close(client.link);
                actions
                    .iter()
                    .any(|action| matches!(action, ServerAction::Send(..)))
            });
            refused.count()
        });
        requests.sum::<usize>()
    };
    assert_eq!(refused(Subnet::Ip4([192, 0])), 2_550 - 100);
    assert_eq!(refused(Subnet::Onion), 2_550 - 400);
}

#[test]
fn archive_failure_is_reported_to_client() {
    let mut server = server();
    let _ = server.on_request(now(0), CLIENT, &plain(9, 100));
    let (id, _) = asked(&mut server);
    let actions = server.on_page(id, Err(Unavailable));
    assert!(reason(&actions).contains("does not answer"));
    assert_eq!(server.answering(), 0);
}

#[test]
fn malformed_and_oversized_requests_disconnect() {
    let mut server = server();
    let actions = server.on_request(now(0), CLIENT, &[0xc0]);
    assert!(matches!(actions.as_slice(), [ServerAction::HangUp(LINK)]));
    let novel = vec![0; MAX_REQUEST + 1];
    assert!(server.on_request(now(0), CLIENT, &novel).is_empty());
}

#[test]
fn forged_cursor_stays_within_range() {
    let mut server = server();
    let forged = MailRequest {
        lower: UnixSecs(500),
        upper: UnixSecs(600),
        after: Some(Cursor {
            position: Position {
                sent: UnixSecs(3),
                hash: EnvelopeHash([0xff; 32]),
            },
            topic: None,
        }),
        ..request(5)
    };
    let payload = forged.to_plain(RequestId([1; 32]));
    let _ = server.on_request(now(0), CLIENT, &payload);
    let (_, query) = asked(&mut server);
    assert_eq!(query.start(), None, "the answer begins with the range");
    assert_eq!((query.lower, query.upper), (UnixSecs(500), UnixSecs(600)));
}

#[test]
fn sync_request_is_answered_with_sync_packets() {
    let mut server = server();
    let payload = sync::request(UnixSecs(0), UnixSecs(u32::MAX), &Bloom::FULL, None);
    assert!(server.on_sync_request(now(0), CLIENT, &payload).is_empty());
    let (id, _) = asked(&mut server);
    let found = envelopes(3);
    let actions = server.on_page(id, Ok(page(found.clone(), false)));
    let [ServerAction::Send(LINK, P2pKind::SyncResponse, packet)] = actions.as_slice() else {
        panic!("{actions:?}");
    };
    let read = sync::SyncResponse::decode(packet).unwrap();
    assert!(read.last && read.envelopes == found);
}

const CLIENT: MailPeer = MailPeer {
    link: LINK,
    key: PEER,
    subnet: Subnet::Ip4([192, 0]),
};
