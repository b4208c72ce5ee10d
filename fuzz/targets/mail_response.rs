//! The packets of a mail server, one after another: a byte for the kind, two for the length, and
//! the payload.
//!
//! A client during an exchange receives them. It must accept neither unrequested envelopes nor
//! duplicates, and the exchange must end.

use core::time::Duration;
use std::collections::BTreeSet;

use circuits::time::{Instant, UnixSecs};
use whisht::bloom::Bloom;
use whisht::envelope::{Envelope, EnvelopeHash};
use whisht::gossip::packet::Envelopes;
use whisht::mail::MAX_PACKET;
use whisht::mail::client::{Dialect, MailClient, MailQuery};
use whisht::mail::response::{MailCompletion, messages};
use whisht::mail::sync::SyncResponse;

/// Passes a server's packets to a client. Panics if a rule is broken.
pub fn mail_response(data: &[u8]) {
    let query = MailQuery {
        lower: UnixSecs(NOW - 86_400),
        upper: UnixSecs(NOW),
        bloom: Bloom::FULL,
    };
    let mut client = MailClient::new(query, Dialect::StatusIm);
    let mut now = Instant::ZERO;
    let mut seen = BTreeSet::new();
    let mut rest = data;
    while let Some(packet) = next(rest) {
        rest = packet.left;
        if client.is_ready() {
            // The server knows the id of every request.
            client.on_sent(now, EnvelopeHash([1; 32]));
        }
        now = now.after(Duration::from_secs(1));
        let kept_link = match packet.kind % 3 {
            0 => on_messages(&mut client, now, &query, packet.payload, &mut seen),
            1 => on_completion(&mut client, now, packet.payload),
            _ => {
                if let Ok(response) = SyncResponse::decode(packet.payload) {
                    assert!(response.envelopes.len() <= packet.payload.len());
                }
                true
            }
        };
        if !kept_link {
            return;
        }
        client.on_timeout(now);
        let stats = client.stats();
        assert_eq!(usize::try_from(stats.envelopes), Ok(seen.len()));
    }
    assert_exchange_ends(client, now);
}

/// Handles a P2P message; returns whether the client keeps the link.
fn on_messages(
    client: &mut MailClient,
    now: Instant,
    query: &MailQuery,
    payload: &[u8],
    seen: &mut BTreeSet<EnvelopeHash>,
) -> bool {
    let Ok(envelopes) = Envelopes::p2p(payload) else {
        return true;
    };
    let Ok(envelopes) = envelopes.collect::<Result<Vec<Envelope>, _>>() else {
        return false;
    };
    for envelope in client.on_messages(now, envelopes) {
        let sent = envelope.sent();
        assert!(
            (query.lower..=query.upper).contains(&sent),
            "it was not requested"
        );
        assert!(seen.insert(envelope.hash()), "it is a duplicate");
        assert!(messages(&[envelope], true)[0].len() <= MAX_PACKET);
    }
    true
}

/// Handles a completion; returns whether the client keeps the link.
fn on_completion(client: &mut MailClient, now: Instant, payload: &[u8]) -> bool {
    if let Ok(completion) = MailCompletion::decode(payload) {
        assert_eq!(MailCompletion::decode(&completion.encode()), Ok(completion));
    }
    client.on_completion(now, payload).is_ok()
}

/// Asserts that the client does not wait for a silent server without a limit.
fn assert_exchange_ends(mut client: MailClient, mut now: Instant) {
    for _ in 0..8 {
        if client.is_ready() {
            client.on_sent(now, EnvelopeHash([1; 32]));
        }
        match client.next_due() {
            Some(due) => {
                now = now.max(due);
                client.on_timeout(now);
            }
            None => break,
        }
    }
    assert!(client.outcome().is_some(), "the exchange does not end");
}

/// One packet, and the rest of the input.
struct ServerPacket<'a> {
    kind: u8,
    payload: &'a [u8],
    left: &'a [u8],
}

/// Splits the first packet off.
fn next(data: &[u8]) -> Option<ServerPacket<'_>> {
    let (&[kind, high, low], rest) = data.split_first_chunk()?;
    let len = usize::from(u16::from_be_bytes([high, low])).min(rest.len());
    let (payload, left) = rest.split_at(len);
    Some(ServerPacket {
        kind,
        payload,
        left,
    })
}

const NOW: u32 = 1_600_000_000;
