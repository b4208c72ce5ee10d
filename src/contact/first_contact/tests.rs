use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::contact::elligator::OuterSecret;
use crate::contact::plaintext::{SealedBody, class_of_encoded, plaintext_len, scatter_encoded};
use crate::contact::ratchet::{PreKeys, Ratchet};
use crate::envelope::{SizeClass, TtlClass};
use crate::scatter::{ScatterClass, ScatterProfile};

struct Reader {
    id: ContactId,
    block: KeyBlock,
    x_wing: XWingSecret,
    rng: ChaCha20Rng,
}

impl Reader {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let x_wing = XWingSecret::draw(&mut rng);
        let mut key = || *OuterSecret::draw(&mut rng).public();
        let [outer, identity, fallback] = [key(), key(), key()];
        Self {
            id: ContactId([9; 32]),
            block: KeyBlock::new(3, outer, identity, fallback, x_wing.public()).unwrap(),
            x_wing,
            rng,
        }
    }

    fn open(&self, body: &[u8]) -> Result<(FirstBox, FirstContent), FirstError> {
        FirstBox::open(&self.x_wing, &self.id, &self.block.kappa(), body)
    }
}

#[test]
fn both_ends_have_the_epoch_secret_of_one_transcript() {
    let mut reader = Reader::new(1);
    let mut source = FirstBox::create(&mut reader.rng, &reader.id, &reader.block).unwrap();
    let mode = FirstMode::Conversation;
    let one = source.wrap(&mut reader.rng, FirstTicket::default(), mode, b"one");
    let two = source.wrap(&mut reader.rng, FirstTicket::default(), mode, b"two");
    assert_ne!(one[X_WING_CIPHERTEXT_LEN..], two[X_WING_CIPHERTEXT_LEN..]);
    assert_eq!(one.len(), first_body_len(3));
    // The second message may arrive first. The other opens with the stored box.
    let (opened, content) = reader.open(&two).unwrap();
    assert_eq!(
        (content.mode, content.content.as_slice()),
        (mode, &b"two"[..])
    );
    let mut stored = FirstBox::from_bytes(&opened.to_bytes()).unwrap();
    let kappa = reader.block.kappa();
    assert_eq!(
        FirstBox::tau_of(&reader.id, &kappa, &one),
        Ok(*stored.tau())
    );
    let content = stored.unwrap_body(&one).unwrap();
    assert_eq!(content.content.as_slice(), b"one");
    let secret = stored.take_epoch_secret();
    assert!(secret.is_some() && secret == source.take_epoch_secret());
    assert!(stored.take_epoch_secret().is_none());
    assert!(
        FirstBox::from_bytes(&stored.to_bytes())
            .unwrap()
            .epoch
            .is_none()
    );
    assert!(FirstBox::from_bytes(&opened.to_bytes()[1..]).is_err());
}

/// Unknown key share: M publishes the reader's keys in a card of its own. The transcripts differ by the id, so
/// a box for M does not open for the reader, even if M passes it on under a fresh outer layer.
#[test]
fn unknown_key_share_box_does_not_open() {
    let mut reader = Reader::new(2);
    let mallory = ContactId([8; 32]);
    let source = FirstBox::create(&mut reader.rng, &mallory, &reader.block).unwrap();
    let body = source.wrap(
        &mut reader.rng,
        FirstTicket::default(),
        FirstMode::Conversation,
        b"to M",
    );
    assert_eq!(reader.open(&body).unwrap_err(), FirstError::Box);
}

/// One key of the block is exchanged for another, and the X-Wing key is the reader's: nothing opens.
#[test]
fn box_for_a_block_with_another_olm_key_does_not_open() {
    let mut reader = Reader::new(3);
    let other = *OuterSecret::draw(&mut reader.rng).public();
    let block = &reader.block;
    let keys = [
        (other, *block.olm_identity(), *block.olm_fallback()),
        (*block.outer(), other, *block.olm_fallback()),
        (*block.outer(), *block.olm_identity(), other),
    ];
    for (outer, identity, fallback) in keys {
        let x_wing = reader.x_wing.public();
        let swapped = KeyBlock::new(3, outer, identity, fallback, x_wing).unwrap();
        let source = FirstBox::create(&mut reader.rng, &reader.id, &swapped).unwrap();
        let ticket = FirstTicket::default();
        let body = source.wrap(&mut reader.rng, ticket, FirstMode::Conversation, b"x");
        assert_eq!(reader.open(&body).unwrap_err(), FirstError::Box);
    }
}

/// The ciphertext of one first contact in front of the box of another.
#[test]
fn swapped_x_wing_ciphertext_is_refused() {
    let mut reader = Reader::new(4);
    let mut bodies = (0..2).map(|_| {
        let source = FirstBox::create(&mut reader.rng, &reader.id, &reader.block).unwrap();
        let ticket = FirstTicket::default();
        source.wrap(&mut reader.rng, ticket, FirstMode::Conversation, b"x")
    });
    let (one, two) = (bodies.next().unwrap(), bodies.next().unwrap());
    drop(bodies);
    let (ciphertext, _) = one.split_at(X_WING_CIPHERTEXT_LEN);
    let (_, rest) = two.split_at(X_WING_CIPHERTEXT_LEN);
    let swapped = [ciphertext, rest].concat();
    assert_eq!(reader.open(&swapped).unwrap_err(), FirstError::Box);
    let (opened, _) = reader.open(&one).unwrap();
    let further = opened.unwrap_body(&two).unwrap_err();
    assert_eq!(further, FirstError::Ciphertext);
}

#[test]
fn short_and_foreign_contents_are_refused() {
    let mut reader = Reader::new(5);
    let source = FirstBox::create(&mut reader.rng, &reader.id, &reader.block).unwrap();
    let body = source.wrap(
        &mut reader.rng,
        FirstTicket::default(),
        FirstMode::LetterToReader,
        b"",
    );
    for len in [0, 1_119, 1_120, 1_143] {
        assert_eq!(reader.open(&body[..len]).unwrap_err(), FirstError::Length);
    }
    assert_eq!(reader.open(&body[..1_160]).unwrap_err(), FirstError::Box);
    let read = |bytes: &[u8]| FirstContent::decode(source.tau(), bytes).unwrap_err();
    assert_eq!(read(&[2, 1]), FirstError::Version);
    assert_eq!(read(&[1, 5]), FirstError::Mode);
    assert_eq!(read(&[1, 1, 0, 0, 0]), FirstError::Length);
    let mut longer = vec![1, 1];
    longer.extend([0; 12]);
    longer.push(7);
    assert_eq!(read(&longer), FirstError::Length);
}

/// The longest texts of a first message, by spec: 43 bytes stand before the text inside Olm.
#[test]
fn first_text_fills_every_class_to_the_byte() {
    let mut pre_keys = PreKeys::create();
    let encoded_len = |text: usize| {
        let start = Ratchet::start(&pre_keys.identity_key(), &pre_keys.fallback_key());
        let (mut ratchet, _) = start.unwrap();
        let (message, _) = ratchet.encrypt(&vec![0; 43 + text]).unwrap();
        SealedBody::encoded_len(first_body_len(message.len()), false)
    };
    let ttl = TtlClass::ThreeDays;
    for (class, text) in [
        (2_408, 916),
        (4_868, 3_380),
        (9_788, 8_308),
        (19_628, 18_148),
        (65_536, 64_052),
    ] {
        let class = SizeClass::of(class).unwrap();
        assert_eq!(class_of_encoded(encoded_len(text), ttl), Some(class));
        assert!(encoded_len(text + 1) > plaintext_len(class, ttl));
    }
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    for (k, text) in [(4, 420), (6, 1_364), (8, 2_308), (12, 4_196), (64, 28_740)] {
        let class = ScatterClass::of_needed(k).unwrap();
        let len = encoded_len(text);
        let shards = scatter_encoded(&mut rng, &vec![0; len]).unwrap();
        assert_eq!(shards.len(), usize::from(class.n()));
        assert!(encoded_len(text + 1) > class.capacity(ScatterProfile::Conversation));
    }
    assert!(pre_keys.accept(b"").is_err());
}

#[test]
fn ticket_search_reaches_its_bits_for_one_transcript() {
    let mut rng = ChaCha20Rng::seed_from_u64(7);
    let tau = Tau([3; 32]);
    let mut search = FirstTicketSearch::new(&mut rng, &tau, 12);
    assert_eq!(search.expected_hashes(), 4_096);
    let ticket = (0..1_000).find_map(|_| search.step(256)).unwrap();
    assert!(ticket.bits(&tau) >= 12);
    assert!(ticket.bits(&Tau([4; 32])) < 12, "work for another contact");
    let mut none = FirstTicketSearch::new(&mut rng, &tau, 0);
    assert!(none.step(1).is_some());
    let most = FirstTicketSearch::new(&mut rng, &tau, 200);
    assert_eq!(most.expected_hashes(), 1 << MAX_FIRST_TICKET_BITS);
}

#[test]
fn opened_content_states_the_work_of_its_ticket() {
    let mut reader = Reader::new(8);
    let source = FirstBox::create(&mut reader.rng, &reader.id, &reader.block).unwrap();
    let mut search = FirstTicketSearch::new(&mut reader.rng, source.tau(), 9);
    let ticket = (0..1_000).find_map(|_| search.step(64)).unwrap();
    let mode = FirstMode::Conversation;
    let body = source.wrap(&mut reader.rng, ticket, mode, b"x");
    let (_, content) = reader.open(&body).unwrap();
    assert!(content.ticket_bits >= 9);
    assert_eq!(content.ticket_bits, ticket.bits(source.tau()));
}

#[test]
fn replayed_ephemeral_key_is_noticed() {
    let mut seen = SeenKeys::default();
    assert_eq!(seen.note(&[1; 32]), SeenOutcome::New { forgotten: None });
    assert_eq!(seen.note(&[1; 32]), SeenOutcome::Replayed);
    let restored: SeenKeys = seen.iter().copied().collect();
    assert!(restored.contains(&[1; 32]) && restored.len() == 1);
}

#[test]
fn flood_of_first_messages_keeps_seen_keys_bounded() {
    let mut seen = SeenKeys::default();
    let key = |number: u32| {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        key
    };
    let max = u32::try_from(SeenKeys::MAX).unwrap();
    for number in 0..max {
        assert_eq!(
            seen.note(&key(number)),
            SeenOutcome::New { forgotten: None }
        );
    }
    for number in max..max + 10 {
        let forgotten = Some(key(number - max));
        assert_eq!(seen.note(&key(number)), SeenOutcome::New { forgotten });
    }
    assert_eq!(seen.len(), SeenKeys::MAX);
    assert!(!seen.contains(&key(0)) && seen.contains(&key(10)) && !seen.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_body_opens_or_is_refused(tail in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut reader = Reader::new(9);
        let source = FirstBox::create(&mut reader.rng, &reader.id, &reader.block).unwrap();
        let body = [source.ciphertext.as_slice(), &tail].concat();
        prop_assert!(source.unwrap_body(&body).is_err());
        let _outcome = FirstContent::decode(source.tau(), &tail);
    }
}
