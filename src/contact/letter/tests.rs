use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::contact::elligator::EphemeralPoint;
use crate::contact::first_contact::{FirstMode, FirstTicket, first_body_len};
use crate::contact::outer::{EnvelopeSealer, FirstOpener};
use crate::contact::plaintext::{
    OuterPlaintext, SealedBody, class_of_encoded, fill, plaintext_len,
};
use crate::envelope::{SizeClass, TtlClass};

const READER: ContactId = ContactId([9; 32]);

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(17)
}

fn source(reader: ContactId) -> LetterSource {
    LetterRoot::from_seed(&[1; 64]).for_reader(&reader).unwrap()
}

fn letter(text: &[u8], seen: &[LetterNumber]) -> Letter {
    Letter {
        number: LetterNumber::draw(&mut rng()),
        seen: seen.to_vec(),
        text: Zeroizing::new(text.to_vec()),
    }
}

#[test]
fn words_give_the_same_keys_after_a_restart_and_others_for_each_reader() {
    let root = LetterRoot::from_seed(&[1; 64]);
    let again = LetterRoot::from_seed(&[1; 64]);
    assert_eq!(root.guard_seed(), again.guard_seed());
    assert_eq!(source(READER).address().id(), source(READER).address().id());
    let (one, two) = (source(READER), source(ContactId([8; 32])));
    assert_ne!(one.address().id(), two.address().id());
    assert_ne!(one.address().reply_id(), two.address().reply_id());
    assert_ne!(one.address().block().outer(), two.address().block().outer());
    assert_ne!(
        one.address().block().x_wing(),
        two.address().block().x_wing()
    );
    let other = LetterRoot::from_seed(&[2; 64]).for_reader(&READER).unwrap();
    assert_ne!(one.address().id(), other.address().id());
}

/// A letter with keys to the reader, and the answer to a source that has nothing but its words.
#[test]
fn reply_reaches_a_source_that_kept_only_its_words() {
    let mut rng = rng();
    let first = letter(b"how can I send you papers?", &[]);
    let content = first.encode_with_keys(source(READER).address());
    // The reader.
    let (address, received) = Letter::decode_with_keys(&content).unwrap();
    assert_eq!(received, first);
    let address = LetterAddress::from_bytes(&address.to_bytes()).unwrap();
    let answer = letter(b"like this", &[received.number]);
    let within = FirstBox::create(&mut rng, address.reply_id(), address.block()).unwrap();
    let content = answer
        .encode(&address, LetterWay::ToSource, &within)
        .unwrap();
    let mode = FirstMode::LetterToSource;
    let body = Zeroizing::new(within.wrap(&mut rng, FirstTicket::default(), mode, &content));
    let encoded = SealedBody { resync: None, body }.encode();
    let ttl = TtlClass::ThreeDays;
    let class = class_of_encoded(encoded.len(), ttl).unwrap();
    let plaintext = fill(&encoded, class, ttl).unwrap();
    let sealer = EnvelopeSealer::first(address.reply_id(), address.block());
    let sealed = sealer.seal(&mut rng, 0, &plaintext);
    // The source, after a restart.
    let own = source(READER);
    let outer = own.outer.to_bytes();
    let opener = FirstOpener::new(own.address().reply_id, OuterSecret::from_bytes(&outer));
    let point = EphemeralPoint::of(sealed.data.first_chunk().unwrap());
    let opened = opener.open(&point, sealed.topic, &sealed.data).unwrap();
    let Ok(OuterPlaintext::Body(SealedBody { body, .. })) = OuterPlaintext::decode(&opened) else {
        panic!("not a whole body");
    };
    let address = LetterAddress::from_bytes(&own.address().to_bytes()).unwrap();
    let (within, content) = own.recipient().open_box(&body).unwrap();
    assert_eq!(content.mode, mode);
    let way = LetterWay::ToSource;
    let received = Letter::decode(&content.content, &address, way, within.tau()).unwrap();
    assert_eq!(received, answer);
}

/// A reader's colleague saw a letter of the source and knows the public keys, not the authentication key.
#[test]
fn forged_letter_is_refused() {
    let mut rng = rng();
    let own = source(READER);
    let known = own.address();
    let guess = LetterAddress::new(
        *known.block().outer(),
        known.block().x_wing().clone(),
        Zeroizing::new([0; 32]),
    )
    .unwrap();
    let within = FirstBox::create(&mut rng, known.reply_id(), known.block()).unwrap();
    let way = LetterWay::ToSource;
    let forged = letter(b"come to the bridge", &[]);
    let mut content = forged.encode(&guess, way, &within).unwrap();
    let decode = |content: &[u8], tau| Letter::decode(content, known, way, tau);
    assert_eq!(
        decode(&content, within.tau()),
        Err(LetterError::OtherSource)
    );
    content[..16].copy_from_slice(&known.id().0);
    assert_eq!(decode(&content, within.tau()), Err(LetterError::Forged));
}

/// A letter is sent back to its writer, or put into another box.
#[test]
fn reflected_or_moved_letter_is_refused() {
    let mut rng = rng();
    let own = source(READER);
    let address = own.address();
    let mut within = || FirstBox::create(&mut rng, address.reply_id(), address.block()).unwrap();
    let (one, two) = (within(), within());
    let content = letter(b"x", &[])
        .encode(address, LetterWay::ToSource, &one)
        .unwrap();
    let decode = |way, tau| Letter::decode(&content, address, way, tau);
    assert!(decode(LetterWay::ToSource, one.tau()).is_ok());
    assert_eq!(
        decode(LetterWay::ToReader, one.tau()),
        Err(LetterError::Forged)
    );
    assert_eq!(
        decode(LetterWay::ToSource, two.tau()),
        Err(LetterError::Forged)
    );
}

#[test]
fn letters_fill_their_classes_to_the_byte() {
    let ttl = TtlClass::ThreeDays;
    let own = source(READER);
    let seen = [LetterNumber([1; 8])];
    let within = FirstBox::create(&mut rng(), &READER, own.address().block()).unwrap();
    let whole = |content: usize| SealedBody::encoded_len(first_body_len(content), false);
    let with_keys = |text: usize| {
        let content = letter(&vec![0; text], &[]).encode_with_keys(own.address());
        assert_eq!(content.len(), text + LETTER_WITH_KEYS_OVERHEAD);
        whole(content.len())
    };
    let plain = |text: usize| {
        let way = LetterWay::ToReader;
        let content = letter(&vec![0; text], &seen).encode(own.address(), way, &within);
        let content = content.unwrap();
        assert_eq!(content.len(), text + LETTER_OVERHEAD + 8);
        whole(content.len())
    };
    let len = |class| plaintext_len(SizeClass::of(class).unwrap(), ttl);
    assert_eq!(with_keys(2_323), len(4_868));
    assert_eq!(plain(1_087), len(2_408));
    assert_eq!(plain(3_547), len(4_868));
}

#[test]
fn letter_states_the_newest_255_seen_numbers() {
    let numbers: Vec<_> = (0..300_u16)
        .map(|at| LetterNumber(u64::from(at).to_be_bytes()))
        .collect();
    let content = letter(b"x", &numbers).encode_with_keys(source(READER).address());
    let (_, decoded) = Letter::decode_with_keys(&content).unwrap();
    assert_eq!(decoded.seen, numbers[45..]);
    assert_eq!(decoded.text.as_slice(), b"x");
}

#[test]
fn source_of_letters_with_weak_keys_is_refused() {
    let content = letter(b"x", &[]).encode_with_keys(source(READER).address());
    for at in [0, 32] {
        let mut altered = content.clone();
        altered[at..at + 32].fill(if at == 0 { 0 } else { 0xff });
        let decoded = Letter::decode_with_keys(&altered).unwrap_err();
        assert_eq!(decoded, LetterError::Keys);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_content_is_a_letter_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let own = source(READER);
        let way = LetterWay::ToReader;
        prop_assert!(Letter::decode(&bytes, own.address(), way, &Tau([0; 32])).is_err());
        let keys = letter(b"", &[]).encode_with_keys(own.address());
        let keys = keys.strip_suffix(&[0]).unwrap_or_default();
        let content = [keys, &bytes].concat();
        let count = bytes.first().map(|count| usize::from(*count));
        let is_whole = count.is_some_and(|count| bytes.len() > count * 8);
        prop_assert_eq!(Letter::decode_with_keys(&content).is_ok(), is_whole);
    }
}
