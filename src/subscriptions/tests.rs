use circuits::time::UnixSecs;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::envelope::{AesNonce, EncryptionHint, ProtocolVersion, Ttl, UnminedEnvelope};
use crate::message::{Padding, Plaintext, seal_asymmetric, seal_symmetric, v5};

const TOPIC: Topic = Topic([0xaa, 0xbb, 0xcc, 0xdd]);
const GOSSIP: DeliveryPath = DeliveryPath::Gossip { pow: 0.5 };

struct FilterWorld {
    rng: ChaCha20Rng,
    shared: Arc<SymKey>,
    reader: Arc<ClientSecret>,
    writer: ClientSecret,
    sent: u64,
}

impl FilterWorld {
    fn new() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(11);
        Self {
            shared: Arc::new(SymKey::generate(&mut rng)),
            reader: Arc::new(ClientSecret::generate(&mut rng)),
            writer: ClientSecret::generate(&mut rng),
            rng,
            sent: 0,
        }
    }

    fn symmetric(&self) -> Filter {
        Filter {
            key: FilterKey::Symmetric(Arc::clone(&self.shared)),
            topics: Vec::new(),
            source: None,
            minimum_pow: 0.0,
            allow_p2p: false,
        }
    }

    fn asymmetric(&self) -> Filter {
        Filter {
            key: FilterKey::Asymmetric(Arc::clone(&self.reader)),
            ..self.symmetric()
        }
    }

    fn envelope(&mut self, data: Vec<u8>) -> Envelope {
        self.sent += 1;
        Envelope::build(UnixSecs(1_700_000_000), Ttl(50), TOPIC, data, self.sent)
    }

    fn envelope_v5(&mut self, (hint, data): (EncryptionHint, Vec<u8>)) -> Envelope {
        self.sent += 1;
        let unmined = UnminedEnvelope {
            expiry: UnixSecs(1_700_000_000),
            ttl: Ttl(50),
            topic: TOPIC,
            hint,
            data,
        };
        unmined.with_nonce(self.sent)
    }

    fn plaintext_v5(&mut self, text: &[u8]) -> v5::PlaintextV5 {
        v5::PlaintextV5::build(&mut self.rng, text, Padding::Align, Some(&self.writer)).unwrap()
    }

    fn seal_shared(&mut self, text: &[u8], signed: bool) -> Envelope {
        let signer = signed.then_some(&self.writer);
        let plaintext = Plaintext::build(&mut self.rng, text, Padding::Align, signer).unwrap();
        let data = seal_symmetric(&mut self.rng, &self.shared, &plaintext);
        self.envelope(data)
    }

    fn seal_for_reader(&mut self, text: &[u8]) -> Envelope {
        let plaintext = Plaintext::build(&mut self.rng, text, Padding::Align, None).unwrap();
        let data = seal_asymmetric(&mut self.rng, &self.reader.public(), &plaintext);
        self.envelope(data)
    }
}

fn texts(filters: &mut Filters, id: FilterId) -> Vec<Vec<u8>> {
    let messages = filters.drain(id).unwrap();
    messages
        .iter()
        .map(|received| received.opened.payload.to_vec())
        .collect()
}

#[test]
fn key_decrypts_its_own_messages() {
    let mut world = FilterWorld::new();
    let mut filters = Filters::new();
    let shared = filters.install(world.symmetric());
    let person = filters.install(world.asymmetric());
    filters.offer(&world.seal_shared(b"to all", false), GOSSIP);
    filters.offer(&world.seal_for_reader(b"to one"), GOSSIP);
    assert_eq!(texts(&mut filters, shared), [b"to all"]);
    assert_eq!(texts(&mut filters, person), [b"to one"]);
}

#[test]
fn keys_decrypt_messages_of_shh5() {
    let mut world = FilterWorld::new();
    let mut filters = Filters::new();
    let shared = filters.install(world.symmetric());
    let person = filters.install(world.asymmetric());
    let (to_all, to_one) = (world.plaintext_v5(b"to all"), world.plaintext_v5(b"to one"));
    let to_all = v5::seal_symmetric(&mut world.rng, &world.shared, &to_all);
    let to_one = v5::seal_asymmetric(&mut world.rng, &world.reader.public(), &to_one);
    filters.offer(&world.envelope_v5(to_all), GOSSIP);
    filters.offer(&world.envelope_v5(to_one), GOSSIP);
    let messages = filters.drain(shared).unwrap();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].opened.payload.as_slice(), b"to all");
    assert_eq!(messages[0].opened.signer, Some(world.writer.public()));
    assert_eq!(texts(&mut filters, person), [b"to one"]);
}

#[test]
fn shh5_envelope_is_tried_by_its_hint_only() {
    let mut world = FilterWorld::new();
    let mut filters = Filters::new();
    filters.install(world.symmetric());
    filters.install(world.asymmetric());
    let text = world.plaintext_v5(b"x");
    let (hint, shared) = v5::seal_symmetric(&mut world.rng, &world.shared, &text);
    let (_, person) = v5::seal_asymmetric(&mut world.rng, &world.reader.public(), &text);
    let other = EncryptionHint::Symmetric(AesNonce([0; 12]));
    for mismatch in [
        (EncryptionHint::Asymmetric, shared.clone()),
        (other, shared.clone()),
        (hint, person),
        (EncryptionHint::Absent, shared.clone()),
    ] {
        let envelope = world.envelope_v5(mismatch);
        assert!(filters.offer(&envelope, GOSSIP).is_empty());
    }
    // The same bytes under a version that does not exist yet.
    let right = world.envelope_v5((hint, shared));
    let later: Vec<u8> = right
        .as_rlp()
        .iter()
        .enumerate()
        .map(|(at, &byte)| if at == 3 { 1 } else { byte })
        .collect();
    let later = Envelope::decode_as(ProtocolVersion::V5, &later).unwrap();
    assert!(filters.offer(&later, GOSSIP).is_empty());
    assert_eq!(filters.offer(&right, GOSSIP).len(), 1);
}

#[test]
fn drain_empties_inbox() {
    let mut world = FilterWorld::new();
    let mut filters = Filters::new();
    let id = filters.install(world.symmetric());
    filters.offer(&world.seal_shared(b"once", false), GOSSIP);
    assert_eq!(texts(&mut filters, id).len(), 1);
    assert!(texts(&mut filters, id).is_empty());
}

#[test]
fn duplicate_envelope_is_delivered_once() {
    let mut world = FilterWorld::new();
    let mut filters = Filters::new();
    let id = filters.install(world.symmetric());
    let envelope = world.seal_shared(b"once", false);
    filters.offer(&envelope, GOSSIP);
    filters.offer(&envelope, GOSSIP);
    assert_eq!(texts(&mut filters, id).len(), 1);
}

#[test]
fn topics_match_by_prefix() {
    let mut world = FilterWorld::new();
    let envelope = world.seal_shared(b"x", false);
    for (prefix, expected) in [
        (&[0xaa][..], 1),
        (&[0xaa, 0xbb], 1),
        (&[0xaa, 0xbb, 0xcc, 0xdd], 1),
        (&[0xab], 0),
        (&[0xaa, 0xbb, 0xcc, 0xde], 0),
    ] {
        let mut filters = Filters::new();
        let topics = vec![TopicPrefix::new(prefix).unwrap()];
        filters.install(Filter {
            topics,
            ..world.symmetric()
        });
        assert_eq!(
            filters.offer(&envelope, GOSSIP).len(),
            expected,
            "{prefix:02x?}"
        );
    }
}

#[test]
fn topic_prefix_has_one_to_four_bytes() {
    assert_eq!(TopicPrefix::new(&[]), Err(TopicLength));
    assert_eq!(TopicPrefix::new(&[0; 5]), Err(TopicLength));
    assert!(TopicPrefix::from(TOPIC).matches(TOPIC));
}

#[test]
fn filter_with_source_accepts_that_signer_only() {
    let mut world = FilterWorld::new();
    let mut filters = Filters::new();
    let source = Some(world.writer.public());
    filters.install(Filter {
        source,
        ..world.symmetric()
    });
    assert_eq!(
        filters
            .offer(&world.seal_shared(b"signed", true), GOSSIP)
            .len(),
        1
    );
    assert!(
        filters
            .offer(&world.seal_shared(b"unsigned", false), GOSSIP)
            .is_empty()
    );

    let mut filters = Filters::new();
    let source = Some(world.reader.public());
    filters.install(Filter {
        source,
        ..world.symmetric()
    });
    assert!(
        filters
            .offer(&world.seal_shared(b"signed", true), GOSSIP)
            .is_empty()
    );
}

#[test]
fn filter_accepts_minimum_pow_only() {
    let mut world = FilterWorld::new();
    let mut filters = Filters::new();
    filters.install(Filter {
        minimum_pow: 0.5,
        ..world.symmetric()
    });
    let envelope = world.seal_shared(b"x", false);
    assert!(
        filters
            .offer(&envelope, DeliveryPath::Gossip { pow: 0.49 })
            .is_empty()
    );
    assert_eq!(
        filters
            .offer(&envelope, DeliveryPath::Gossip { pow: 0.5 })
            .len(),
        1
    );
}

#[test]
fn direct_message_reaches_permitting_filters_only() {
    let mut world = FilterWorld::new();
    let mut filters = Filters::new();
    filters.install(world.symmetric());
    let open = filters.install(Filter {
        allow_p2p: true,
        ..world.symmetric()
    });
    filters.install(Filter {
        allow_p2p: true,
        minimum_pow: 0.1,
        ..world.symmetric()
    });
    let taken = filters.offer(&world.seal_shared(b"x", false), DeliveryPath::Direct);
    assert_eq!(taken.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [open]);
}

#[test]
fn filters_share_trial_of_common_key() {
    let mut world = FilterWorld::new();
    let mut filters = Filters::new();
    let one = filters.install(world.symmetric());
    let two = filters.install(world.symmetric());
    assert_eq!(filters.keys.len(), 1);
    assert!(filters.remove(one));
    assert!(!filters.remove(one));
    assert_eq!(filters.drain(one), None);
    assert_eq!(
        filters.offer(&world.seal_shared(b"x", false), GOSSIP).len(),
        1
    );
    assert!(filters.remove(two));
    assert!(filters.keys.is_empty() && filters.is_empty());
}

#[test]
fn inbox_flood_keeps_newest_messages_and_counts_the_others() {
    let mut world = FilterWorld::new();
    let mut filters = Filters::new();
    let id = filters.install(world.symmetric());
    let data = world.seal_shared(&[b'x'; 50_000], false).data().to_vec();
    let offered = 600;
    for _ in 0..offered {
        let envelope = world.envelope(data.clone());
        filters.offer(&envelope, GOSSIP);
    }
    let messages = filters.drain(id).unwrap();
    let held: usize = messages.iter().map(|message| cost(message)).sum();
    assert!(held <= MAX_BYTES && held > MAX_BYTES - 200_000);
    assert_eq!(messages.last().unwrap().envelope.nonce(), world.sent);
    // The count outlives the poll that did not ask for it, and is told once.
    let dropped = offered - u64::try_from(messages.len()).unwrap();
    assert!(dropped > 0);
    assert_eq!(filters.take_lost(id), dropped);
    assert_eq!(filters.take_lost(id), 0);
    assert_eq!(filters.take_lost(FilterId(99)), 0);
}

#[test]
fn inbox_keeps_five_thousand_short_messages() {
    let mut world = FilterWorld::new();
    let mut filters = Filters::new();
    let id = filters.install(world.symmetric());
    let data = world.seal_shared(b"x", false).data().to_vec();
    for _ in 0..5_000 {
        let envelope = world.envelope(data.clone());
        filters.offer(&envelope, GOSSIP);
    }
    assert_eq!(filters.drain(id).unwrap().len(), 5_000);
    assert_eq!(filters.take_lost(id), 0);
}

#[test]
fn bloom_is_narrow_only_for_whole_topics() {
    let world = FilterWorld::new();
    let mut filters = Filters::new();
    assert_eq!(filters.bloom(), Bloom::EMPTY);
    filters.install(Filter {
        topics: vec![TOPIC.into()],
        ..world.symmetric()
    });
    assert_eq!(filters.bloom(), Bloom::merged(TOPIC));
    let prefix = TopicPrefix::new(&[1]).unwrap();
    filters.install(Filter {
        topics: vec![prefix],
        ..world.symmetric()
    });
    assert!(filters.bloom().is_full());
}

#[test]
fn filter_is_redacted_in_debug() {
    let world = FilterWorld::new();
    let filter = Filter {
        topics: vec![TOPIC.into()],
        source: Some(world.writer.public()),
        ..world.asymmetric()
    };
    assert_eq!(
        format!("{filter:?}"),
        "Filter { key: Asymmetric(ClientSecret(..)), topics: [TopicPrefix(4 bytes)], \
         source: Some(ClientPublic([redacted])), minimum_pow: 0.0, allow_p2p: false }"
    );
}
