//! The request of a mail client: the first byte selects the form, the rest is the request.
//!
//! A parsed request must survive encoding and parsing, and a server that handles it must keep to
//! its bounds, for all results of its archive.

use std::collections::BTreeSet;

use circuits::directory::Subnet;
use circuits::ids::{LinkId, RelayKey};
use circuits::secret::Secret;
use circuits::time::{Instant, Now, UnixSecs};
use whisht::mail::access::AccessPolicy;
use whisht::mail::archive::Page;
use whisht::mail::request::{MAX_UNPAGED_LIMIT, MailRequest, RequestPacket};
use whisht::mail::server::{MailPeer, MailServer, PAGE_BYTES, PAGE_EFFORT, ServerAction};
use whisht::mail::{MAX_PACKET, sync};
use whisht::message::ClientSecret;

/// Parses one request, and passes it to a server. Panics if a rule is broken.
pub fn mail_request(data: &[u8]) {
    let Some((&form, payload)) = data.split_first() else {
        return;
    };
    let now = Now {
        mono: Instant::ZERO,
        unix: UnixSecs(NOW),
    };
    match form % 3 {
        0 => {
            if let Ok(RequestPacket::Plain(id, Ok(request))) = RequestPacket::decode(payload) {
                let again = RequestPacket::decode(&request.to_plain(id));
                assert!(matches!(again, Ok(RequestPacket::Plain(same, Ok(read)))
                    if same == id && read == request));
            }
            serve(|server| server.on_request(now, CLIENT, payload));
        }
        1 => {
            if let Ok(request) = MailRequest::read(payload, now.unix) {
                assert!(request.limit.granted() <= MAX_UNPAGED_LIMIT);
                // Packed bytes may end before they begin, as in go-ethereum.
                if request.lower <= request.upper && request.upper != UnixSecs(0) {
                    assert_eq!(
                        MailRequest::read(&request.to_list(), now.unix),
                        Ok(keep(&request))
                    );
                }
            }
        }
        _ => {
            if let Ok(request) = sync::read_request(payload) {
                let (lower, upper) = (request.lower, request.upper);
                let again = sync::request(lower, upper, &request.bloom, request.after);
                let read = sync::read_request(&again).expect("an encoded request parses");
                assert_eq!((read.lower, read.upper), (lower, upper));
                assert_eq!((read.bloom, read.after), (request.bloom, request.after));
            }
            serve(|server| server.on_sync_request(now, CLIENT, payload));
        }
    }
}

/// The request in the form of a list, which cannot express `All`.
fn keep(request: &MailRequest) -> MailRequest {
    use whisht::mail::request::Limit;
    let limit = match request.limit {
        Limit::All => Limit::Unspecified,
        limit => limit,
    };
    MailRequest {
        limit,
        ..request.clone()
    }
}

/// A server that answers all peers, from an archive that is empty and never ends.
fn serve(ask: impl FnOnce(&mut MailServer) -> Vec<ServerAction>) {
    let mut server = MailServer::new(AccessPolicy {
        password: None,
        node: ClientSecret::from_bytes(&Secret::init_with(|key| key.fill(7))).expect("a key"),
        allowed: BTreeSet::new(),
        min_pow: 0.0,
    });
    let mut actions = ask(&mut server);
    for _ in 0..1_000 {
        for action in core::mem::take(&mut actions) {
            match action {
                ServerAction::Send(link, _, packet) => {
                    assert!(link == LINK && packet.len() <= MAX_PACKET);
                }
                ServerAction::HangUp(link) => {
                    assert_eq!(link, LINK);
                    let _ = server.close(link);
                }
                ServerAction::Withdraw(_) => {}
                ServerAction::Find(id, query) => {
                    assert!(query.bytes <= PAGE_BYTES && query.effort <= PAGE_EFFORT);
                    let barren = Page {
                        envelopes: Vec::new(),
                        more: query.after,
                        effort: query.effort,
                    };
                    actions.extend(server.on_page(id, Ok(barren)));
                }
            }
        }
        actions.extend(server.find_next_pages(|_| true));
        if actions.is_empty() {
            assert_eq!(server.answering(), 0, "an answer is stuck");
            return;
        }
    }
    panic!("one request keeps the server busy without an end");
}

const LINK: LinkId = LinkId(1);
const CLIENT: MailPeer = MailPeer {
    link: LINK,
    key: RelayKey([1; 64]),
    subnet: Subnet::Onion,
};
const NOW: u32 = 1_600_000_000;
