//! Fetching missed envelopes: from an honest server, and from hostile ones.

use std::time::Duration;

use circuits::ids::LinkId;
use circuits::time::UnixSecs;
use whisht::bloom::Bloom;
use whisht::envelope::{EncryptionHint, Envelope, EnvelopeHash, Topic, Ttl, UnminedEnvelope};
use whisht::gossip::packet::code;
use whisht::link::Capability;
use whisht::mail::RequestId;
use whisht::mail::cursor::Position;
use whisht::mail::request::RequestPacket;
use whisht::mail::response::{MailCompletion, messages};
use whisht::message::{self, Padding, Plaintext, seal_asymmetric};
use whisht::node::{FetchEnd, FetchRequest, FetchStage, MailSource};

use crate::fixture::{
    SERVER, TOPIC, WRITER, a_day, begin, desk, ended, fetch, forget, inbox, key, reader, world,
    world_with, write,
};
use crate::sim::World;
use crate::sim::scripted_peer::PeerBehaviour;

#[test]
fn fetch_delivers_missed_message_without_regossip() {
    let mut world = world();
    write(&mut world, "the hedge, at nine");
    forget(&mut world);
    let third = world.add(false, &[SERVER]);
    let reader = reader(&mut world);
    let day = a_day(&world);
    let (end, envelopes, messages) = fetch(&mut world, reader, day);
    assert_eq!((end, envelopes, messages), (FetchEnd::Complete, 1, 1));
    let inbox = inbox(&mut world, reader);
    assert_eq!(inbox[0].payload, hex::encode("the hedge, at nine"));
    // The envelope has expired: it is not pooled, and goes to no other node.
    world.run(Duration::from_secs(10));
    for node in [SERVER, WRITER, third, reader] {
        assert_eq!(world.status(node).pool_envelopes, 0);
    }
    assert_eq!(
        world.status(reader).peers,
        0,
        "the server was not a peer before"
    );
}

#[test]
fn second_fetch_delivers_no_duplicate() {
    let mut world = world();
    write(&mut world, "once");
    forget(&mut world);
    let reader = reader(&mut world);
    for expected in [1, 0] {
        let day = a_day(&world);
        let (_, envelopes, messages) = fetch(&mut world, reader, day);
        assert_eq!((envelopes, messages), (1, expected));
    }
    assert_eq!(inbox(&mut world, reader).len(), 1);
}

#[test]
fn fetch_requires_server_password() {
    let mut world = world_with(Some([9; 32]));
    write(&mut world, "under the password");
    forget(&mut world);
    let reader = reader(&mut world);
    let wrong = FetchRequest {
        password: Some(key([8; 32])),
        ..a_day(&world)
    };
    assert_eq!(fetch(&mut world, reader, wrong).0, FetchEnd::Refused);
    let none = FetchRequest {
        password: None,
        ..a_day(&world)
    };
    assert_eq!(fetch(&mut world, reader, none).0, FetchEnd::Refused);
    let Some(FetchStage::Ended { reason, .. }) = ended(&world, reader) else {
        panic!("the exchange has not ended");
    };
    assert!(reason.unwrap().contains("requires its password"));
    let right = a_day(&world);
    let (end, _, messages) = fetch(&mut world, reader, right);
    assert_eq!((end, messages), (FetchEnd::Complete, 1));
}

#[test]
fn topic_fetch_is_padded_to_quarter_of_topics() {
    let mut world = world();
    write(&mut world, "one");
    forget(&mut world);
    let reader = reader(&mut world);
    let request = |world: &World, narrow| FetchRequest {
        topics: vec![TOPIC],
        narrow,
        ..a_day(world)
    };
    let cloaked = request(&world, false);
    let view = begin(&mut world, reader, cloaked).unwrap();
    assert!((0.25..0.5).contains(&view.share), "{}", view.share);
    assert_eq!((view.since % 3_600, view.until % 3_600), (0, 0));
    world.run(Duration::from_secs(30));
    let narrow = request(&world, true);
    let view = begin(&mut world, reader, narrow).unwrap();
    assert!(view.share < 0.001, "{}", view.share);
    world.run(Duration::from_secs(30));
    assert_eq!(inbox(&mut world, reader).len(), 1);
}

#[test]
fn invalid_fetch_requests_are_refused_at_once() {
    let mut world = world();
    let reader = reader(&mut world);
    let now = world.clock().unix;
    let own = world.addr(reader);
    let day = || a_day(&world);
    let bad = [
        FetchRequest {
            from: None,
            ..day()
        },
        FetchRequest {
            from: Some(MailSource::At(own)),
            ..day()
        },
        FetchRequest {
            since: UnixSecs(now.0 + 100),
            ..day()
        },
        FetchRequest {
            narrow: true,
            ..day()
        },
        FetchRequest {
            topics: vec![Topic::default(); 65],
            ..day()
        },
    ];
    for request in bad {
        assert!(begin(&mut world, reader, request).is_err());
    }
    let first = a_day(&world);
    begin(&mut world, reader, first).unwrap();
    let second = a_day(&world);
    assert!(begin(&mut world, reader, second).is_err(), "one at a time");
}

#[test]
fn fetch_from_offline_server_ends_unreachable() {
    let mut world = world();
    let reader = reader(&mut world);
    world.kill(SERVER);
    let day = a_day(&world);
    assert_eq!(fetch(&mut world, reader, day).0, FetchEnd::Unreachable);
}

#[test]
fn fetch_from_node_without_mail_ends_silent() {
    let mut world = world();
    let reader = reader(&mut world);
    let request = FetchRequest {
        from: Some(MailSource::At(world.addr(WRITER))),
        ..a_day(&world)
    };
    assert_eq!(fetch(&mut world, reader, request).0, FetchEnd::Silent);
}

/// A reader, and a scripted mail server.
struct ScriptedServer {
    world: World,
    reader: usize,
    attacker: usize,
}

impl ScriptedServer {
    fn new(client: &'static str) -> Self {
        let mut world = world();
        let reader = reader(&mut world);
        let attacker = world.add_scripted_peer(PeerBehaviour {
            client,
            ..PeerBehaviour::relay()
        });
        Self {
            world,
            reader,
            attacker,
        }
    }

    /// The reader starts to fetch from the server.
    fn begin(&mut self) {
        let request = FetchRequest {
            from: Some(MailSource::At(self.world.addr(self.attacker))),
            password: Some(key([5; 32])),
            ..a_day(&self.world)
        };
        begin(&mut self.world, self.reader, request).unwrap();
        self.world.run(Duration::from_secs(3));
    }

    /// The link that the reader opened.
    fn link(&self) -> LinkId {
        LinkId(1)
    }

    /// The hashes of the requests that arrived.
    fn requests(&self) -> Vec<EnvelopeHash> {
        let received = &self
            .world
            .scripted(self.attacker)
            .session(self.link())
            .received;
        received
            .iter()
            .filter(|received| received.capability == Capability::SHH_6)
            .filter(|received| received.code == u16::from(code::P2P_REQUEST))
            .map(|received| match RequestPacket::decode(&received.payload) {
                Ok(RequestPacket::Sealed(envelope)) => envelope.hash(),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn say(&mut self, code: u8, payload: Vec<u8>) {
        let link = self.link();
        self.world.act(self.attacker, |attacker, now| {
            let what = (Capability::SHH_6, u16::from(code));
            ((), attacker.send_raw(now, link, what, payload))
        });
        self.world.run(Duration::from_secs(2));
    }

    fn hand_over(&mut self, envelopes: &[Envelope]) {
        for packet in messages(envelopes, true) {
            self.say(code::P2P_MESSAGE, packet);
        }
    }

    fn complete(&mut self, cursor: Option<u32>) {
        let request = self.requests().last().copied().unwrap();
        let position = |sent| Position {
            sent: UnixSecs(sent),
            hash: EnvelopeHash([3; 32]),
        };
        let completion = MailCompletion::Done {
            id: RequestId(request.0),
            last: None,
            cursor: cursor.map(|sent| position(sent).into()),
        };
        self.say(code::P2P_REQUEST_COMPLETE, completion.encode());
    }

    /// An envelope for the identity `desk`, made an hour ago, without work.
    fn missed_envelope(&mut self, number: u32) -> Envelope {
        let sent = self.world.clock().unix.0 - 3_600;
        self.world.act(self.attacker, |attacker, _| {
            let text = format!("message {number}");
            let plaintext =
                Plaintext::build(&mut attacker.rng, text.as_bytes(), Padding::Align, None).unwrap();
            let data = seal_asymmetric(&mut attacker.rng, &desk().public(), &plaintext);
            let unmined = UnminedEnvelope {
                expiry: UnixSecs(sent + 60),
                ttl: Ttl(60),
                topic: TOPIC,
                hint: EncryptionHint::Absent,
                data,
            };
            (unmined.with_nonce(number.into()), Vec::new())
        })
    }

    fn end(&self) -> Option<FetchEnd> {
        match ended(&self.world, self.reader)? {
            FetchStage::Ended { end, .. } => Some(end),
            _ => None,
        }
    }
}

#[test]
fn cursor_loop_ends_fetch_as_misbehaviour() {
    let mut server = ScriptedServer::new("whisht/v0.1.0");
    server.begin();
    for (round, cursor) in [5, 6, 5].into_iter().enumerate() {
        assert_eq!(server.requests().len(), round + 1);
        let envelope = server.missed_envelope(u32::try_from(round).unwrap());
        server.hand_over(&[envelope]);
        server.complete(Some(cursor));
    }
    assert_eq!(server.end(), Some(FetchEnd::Lied));
    let received = inbox(&mut server.world, server.reader);
    assert_eq!(received.len(), 3, "the received envelopes are kept");
}

#[test]
fn responses_from_untrusted_peer_are_ignored() {
    let mut server = ScriptedServer::new("whisht/v0.1.0");
    let (attacker, reader) = (server.attacker, server.reader);
    let link = server.world.connect_scripted(attacker, reader);
    assert_eq!(link, server.link());
    let envelope = server.missed_envelope(1);
    for _ in 0..50 {
        server.hand_over(core::slice::from_ref(&envelope));
        server.say(code::P2P_MESSAGE, vec![0xff; 1_000]);
        server.say(code::P2P_REQUEST_COMPLETE, vec![0xff; 1_000]);
    }
    assert!(server.world.scripted(attacker).session(link).is_open());
    assert!(inbox(&mut server.world, reader).is_empty());
    assert_eq!(server.world.status(reader).pool_envelopes, 0);
}

#[test]
fn server_trust_ends_with_fetch() {
    let mut server = ScriptedServer::new("whisht/v0.1.0");
    let (attacker, reader) = (server.attacker, server.reader);
    server.world.connect_scripted(attacker, reader);
    server.begin();
    let envelope = server.missed_envelope(1);
    server.hand_over(&[envelope]);
    server.complete(None);
    assert_eq!(server.end(), Some(FetchEnd::Complete));
    let late = server.missed_envelope(2);
    server.hand_over(&[late]);
    assert_eq!(inbox(&mut server.world, reader).len(), 1);
    // The server was a peer before, and remains one.
    assert_eq!(server.world.status(reader).peers, 1);
}

#[test]
fn geth_server_is_queried_in_its_own_format() {
    let mut server = ScriptedServer::new("Geth/v1.8.27-stable/linux-amd64/go1.10");
    server.begin();
    let asked = server
        .world
        .scripted(server.attacker)
        .session(server.link())
        .received
        .iter();
    let request = asked
        .filter(|received| received.code == u16::from(code::P2P_REQUEST))
        .find_map(|received| Envelope::decode(&received.payload).ok())
        .unwrap();
    let opened = message::decrypt_symmetric(&key([5; 32]), request.data()).unwrap();
    assert_eq!(opened.payload.len(), 72);
    assert!(opened.payload.ends_with(&Bloom::FULL.0));
    for number in 0..3 {
        let envelope = server.missed_envelope(number);
        server.hand_over(&[envelope]);
    }
    server.world.run(Duration::from_secs(6));
    assert_eq!(server.end(), Some(FetchEnd::Quiet));
    assert_eq!(inbox(&mut server.world, server.reader).len(), 3);
}

#[test]
fn unrequested_envelope_is_not_decrypted() {
    let mut server = ScriptedServer::new("whisht/v0.1.0");
    server.begin();
    let old = server.missed_envelope(1);
    let older = UnminedEnvelope {
        expiry: UnixSecs(old.expiry().0 - 10 * 86_400),
        ttl: Ttl(60),
        topic: old.topic(),
        hint: EncryptionHint::Absent,
        data: old.data().to_vec(),
    };
    server.hand_over(&[older.with_nonce(1)]);
    server.complete(None);
    let Some(FetchStage::Ended {
        unasked, messages, ..
    }) = ended(&server.world, server.reader)
    else {
        panic!("the exchange has not ended");
    };
    assert_eq!((unasked, messages), (1, 0));
    assert!(inbox(&mut server.world, server.reader).is_empty());
}
