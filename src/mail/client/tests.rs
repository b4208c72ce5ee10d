use super::*;
use crate::envelope::{EncryptionHint, Topic, Ttl, UnminedEnvelope};
use crate::mail::cursor::Position;

const FIRST: EnvelopeHash = EnvelopeHash([1; 32]);

fn at(secs: u64) -> Instant {
    Instant::ZERO.after(Duration::from_secs(secs))
}

fn client(dialect: Dialect) -> MailClient {
    let query = MailQuery {
        lower: UnixSecs(1_000),
        upper: UnixSecs(2_000_000),
        bloom: Bloom::FULL,
    };
    MailClient::new(query, dialect)
}

fn envelope(sent: u32) -> Envelope {
    UnminedEnvelope {
        expiry: UnixSecs(sent + 60),
        ttl: Ttl(60),
        topic: Topic::default(),
        hint: EncryptionHint::Absent,
        data: vec![1; 40],
    }
    .with_nonce(7)
}

fn done(id: EnvelopeHash, cursor: Option<u32>) -> Vec<u8> {
    let position = |sent| Position {
        sent: UnixSecs(sent),
        hash: EnvelopeHash([9; 32]),
    };
    MailCompletion::Done {
        id: RequestId(id.0),
        last: None,
        cursor: cursor.map(|sent| position(sent).into()),
    }
    .encode()
}

fn failed(id: EnvelopeHash, reason: &str) -> Vec<u8> {
    MailCompletion::Failed {
        id: RequestId(id.0),
        reason: reason.to_owned(),
    }
    .encode()
}

#[test]
fn client_requests_pages_until_cursor_is_absent() {
    let mut client = client(Dialect::StatusIm);
    for page in 0..3_u8 {
        assert!(client.is_ready());
        let id = EnvelopeHash([page; 32]);
        client.on_sent(at(0), id);
        let new = client.on_messages(at(0), vec![envelope(2_000 + u32::from(page))]);
        assert_eq!(new.len(), 1);
        let cursor = (page < 2).then(|| 5_000 + u32::from(page));
        client.on_completion(at(0), &done(id, cursor)).unwrap();
    }
    assert_eq!(client.outcome(), Some(&FetchOutcome::Complete));
    assert_eq!((client.stats().pages, client.stats().envelopes), (3, 3));
}

#[test]
fn cursor_is_returned_unchanged() {
    let mut client = client(Dialect::StatusIm);
    client.on_sent(at(0), FIRST);
    let _ = client.on_messages(at(0), vec![envelope(2_000)]);
    client.on_completion(at(0), &done(FIRST, Some(77))).unwrap();
    let request = MailRequest::read(&client.next_request(), UnixSecs(0)).unwrap();
    assert_eq!(request.after.unwrap().position.sent, UnixSecs(77));
    assert_eq!(request.limit, Limit::Count(PAGE_LIMIT));
}

#[test]
fn unrequested_and_duplicate_envelopes_are_dropped() {
    let mut client = client(Dialect::StatusIm);
    client.on_sent(at(0), FIRST);
    let wanted = envelope(1_000);
    let sent = vec![
        envelope(999),
        wanted.clone(),
        wanted.clone(),
        envelope(2_000_001),
    ];
    assert_eq!(client.on_messages(at(0), sent), [wanted]);
    assert_eq!(client.stats().unasked, 2);
}

#[test]
fn response_flood_ends_exchange() {
    let mut client = client(Dialect::StatusIm);
    client.on_sent(at(0), FIRST);
    for round in 0..3_u32 {
        let flood = (0..PAGE_LIMIT).map(|number| envelope(2_000 + round * PAGE_LIMIT + number));
        let _ = client.on_messages(at(0), flood.collect());
    }
    assert_eq!(
        client.outcome(),
        Some(&FetchOutcome::Misbehaved(ServerMisbehaviour::Flood))
    );
    assert!(client.on_messages(at(0), vec![envelope(9_000)]).is_empty());
}

#[test]
fn envelopes_before_first_request_are_dropped() {
    let mut client = client(Dialect::StatusIm);
    assert!(client.on_messages(at(0), vec![envelope(2_000)]).is_empty());
    client.on_completion(at(0), &done(FIRST, None)).unwrap();
    assert!(client.is_ready());
}

#[test]
fn cursor_loop_ends_exchange() {
    let mut client = client(Dialect::StatusIm);
    for (round, cursor) in [10, 20, 10].into_iter().enumerate() {
        client.on_sent(at(0), FIRST);
        let _ = client.on_messages(at(0), vec![envelope(3_000 + u32::try_from(round).unwrap())]);
        client
            .on_completion(at(0), &done(FIRST, Some(cursor)))
            .unwrap();
    }
    assert_eq!(
        client.outcome(),
        Some(&FetchOutcome::Misbehaved(ServerMisbehaviour::Circle))
    );
}

#[test]
fn endless_empty_pages_end_exchange() {
    let mut client = client(Dialect::StatusIm);
    let mut pages = 0;
    while client.outcome().is_none() {
        client.on_sent(at(0), FIRST);
        client
            .on_completion(at(0), &done(FIRST, Some(10 + pages)))
            .unwrap();
        pages += 1;
    }
    assert_eq!(
        client.outcome(),
        Some(&FetchOutcome::Misbehaved(ServerMisbehaviour::Circle))
    );
    assert_eq!(pages, MAX_EMPTY_PAGES + 1);
}

#[test]
fn completion_of_other_request_is_ignored() {
    let mut client = client(Dialect::StatusIm);
    client.on_sent(at(0), FIRST);
    client
        .on_completion(at(0), &done(EnvelopeHash([2; 32]), None))
        .unwrap();
    assert_eq!(client.outcome(), None);
    assert_eq!(client.on_completion(at(0), &[0xc0]), Err(NotACompletion));
}

#[test]
fn refusal_reason_contains_no_control_characters() {
    let mut client = client(Dialect::StatusIm);
    client.on_sent(at(0), FIRST);
    client
        .on_completion(at(0), &failed(FIRST, "no\u{1b}[2J"))
        .unwrap();
    let refused = FetchOutcome::Refused("no?[2J".to_owned());
    assert_eq!(client.outcome(), Some(&refused));
}

#[test]
fn rate_limited_client_retries_a_few_times() {
    let mut client = client(Dialect::StatusIm);
    let mut clock = 0;
    for _ in 0..MAX_PAUSES {
        client.on_sent(at(clock), FIRST);
        client
            .on_completion(at(clock), &failed(FIRST, "rate limit exceeded"))
            .unwrap();
        assert!(!client.is_ready() && client.outcome().is_none());
        clock += 2;
        client.on_timeout(at(clock));
        assert!(client.is_ready());
    }
    client.on_sent(at(clock), FIRST);
    client
        .on_completion(at(clock), &failed(FIRST, "rate limit exceeded"))
        .unwrap();
    assert!(matches!(client.outcome(), Some(FetchOutcome::Refused(_))));
}

#[test]
fn silent_and_slow_servers_time_out() {
    let mut silent = client(Dialect::StatusIm);
    silent.on_sent(at(0), FIRST);
    silent.on_timeout(at(14));
    assert_eq!(silent.outcome(), None);
    silent.on_timeout(at(15));
    assert_eq!(silent.outcome(), Some(&FetchOutcome::NoResponse));

    let mut drip = client(Dialect::StatusIm);
    drip.on_sent(at(0), FIRST);
    for secs in 0..600 {
        let _ = drip.on_messages(at(secs), vec![envelope(5_000)]);
        drip.on_timeout(at(secs));
    }
    drip.on_timeout(at(600));
    assert_eq!(
        drip.outcome(),
        Some(&FetchOutcome::Misbehaved(ServerMisbehaviour::Stall))
    );
}

#[test]
fn geth_exchange_ends_after_quiet_timeout() {
    let mut client = client(Dialect::Geth);
    assert_eq!(client.next_request().len(), 72);
    client.on_sent(at(0), FIRST);
    let _ = client.on_messages(at(1), vec![envelope(2_000)]);
    client.on_timeout(at(5));
    assert_eq!(client.outcome(), None);
    client.on_timeout(at(6));
    assert_eq!(client.outcome(), Some(&FetchOutcome::Quiet));
}

#[test]
fn unknown_server_gets_status_im_then_geth_request() {
    let mut client = client(Dialect::Unknown);
    assert_ne!(client.next_request().len(), 72);
    client.on_sent(at(0), FIRST);
    client.on_timeout(at(15));
    assert!(client.is_ready());
    assert_eq!(client.next_request().len(), 72);
}

#[test]
fn client_name_selects_dialect() {
    for (name, dialect) in [
        ("Geth/v1.8.27-stable/linux", Dialect::Geth),
        ("wnode/v6.0/linux/go1.10", Dialect::Geth),
        ("whisht/v0.1.0", Dialect::StatusIm),
        ("StatusIM/v0.28.4/linux-amd64/go1.12", Dialect::StatusIm),
        ("Statusd/v0.30/linux", Dialect::StatusIm),
        ("nim-eth", Dialect::Unknown),
        ("", Dialect::Unknown),
    ] {
        assert_eq!(Dialect::from_client_name(name), dialect, "{name}");
    }
}

#[test]
fn closed_link_ends_exchange() {
    let mut client = client(Dialect::StatusIm);
    client.on_sent(at(0), FIRST);
    client.on_closed();
    assert_eq!(client.outcome(), Some(&FetchOutcome::NoResponse));
}
