use std::collections::BTreeSet;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::contact::x_wing::XWingSecret;

struct Reader {
    rng: ChaCha20Rng,
    id: ContactId,
    block: KeyBlock,
    outer: Key32,
}

impl Reader {
    fn new() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(15);
        let outer = OuterSecret::draw(&mut rng);
        let x_wing = XWingSecret::draw(&mut rng).public();
        let olm = *OuterSecret::draw(&mut rng).public();
        Self {
            id: ContactId([9; 32]),
            block: KeyBlock::new(1, *outer.public(), olm, olm, x_wing).unwrap(),
            outer: outer.to_bytes(),
            rng,
        }
    }

    fn opener(&self, id: ContactId) -> FirstOpener {
        FirstOpener::new(id, OuterSecret::from_bytes(&self.outer))
    }

    fn seal(&mut self, plaintext: &[u8]) -> SealedData {
        EnvelopeSealer::first(&self.id, &self.block).seal(&mut self.rng, 0, plaintext)
    }
}

fn open(opener: &FirstOpener, sealed: &SealedData) -> Option<Zeroizing<Vec<u8>>> {
    let point = EphemeralPoint::of(sealed.data.first_chunk()?);
    opener.open(&point, sealed.topic, &sealed.data)
}

#[test]
fn first_message_opens_for_its_reader() {
    let mut reader = Reader::new();
    let opener = reader.opener(reader.id);
    for len in [0, 1, 486, 4_791] {
        let plaintext = vec![5; len];
        let sealed = reader.seal(&plaintext);
        assert_eq!(sealed.data.len(), len + SEAL_OVERHEAD);
        assert_eq!(open(&opener, &sealed).unwrap().as_slice(), plaintext);
    }
}

/// Unknown key share: M publishes the keys of the reader under an id of its own. What is sent to M must not
/// open for the reader as if it were meant for it.
#[test]
fn unknown_key_share_message_does_not_open() {
    let mut reader = Reader::new();
    let sealed = reader.seal(&[1; 486]);
    let other = reader.opener(ContactId([8; 32]));
    assert!(open(&other, &sealed).is_none());
}

#[test]
fn every_envelope_has_topic_and_key_of_its_own() {
    let mut reader = Reader::new();
    let opener = reader.opener(reader.id);
    let sealed: Vec<_> = (0..40).map(|_| reader.seal(&[1; 64])).collect();
    let topics: BTreeSet<_> = sealed.iter().map(|one| one.topic.0).collect();
    assert_eq!(topics.len(), 40);
    let ends: BTreeSet<_> = sealed.iter().map(|one| one.data[32..].to_vec()).collect();
    assert_eq!(ends.len(), 40);
    // A topic of another envelope is not accepted, although the key would be right.
    let [first, second, ..] = sealed.as_slice() else {
        panic!("40 envelopes");
    };
    let swapped = SealedData {
        topic: second.topic,
        data: first.data.clone(),
    };
    assert!(open(&opener, &swapped).is_none());
}

/// Bytes of low order on the wire give every reader the same secret: the envelope must open for no one.
#[test]
fn low_order_ephemeral_key_is_refused() {
    let reader = Reader::new();
    let keys = FirstKeys::derive(
        &Zeroizing::new([0; 32]),
        &[0; 32],
        reader.block.outer(),
        &reader.id,
    );
    let forged = encrypt(&keys.key, keys.topic, &[0; 32], &[1; 486]);
    assert!(open(&reader.opener(reader.id), &forged).is_none());
}

#[test]
fn data_shorter_than_its_prefix_is_refused() {
    let reader = Reader::new();
    let opener = reader.opener(reader.id);
    let point = EphemeralPoint::of(&[1; 32]);
    for len in [0, 31, 32, 47] {
        assert!(opener.open(&point, Topic([0; 4]), &vec![1; len]).is_none());
        let key = StepKey::new(Zeroizing::new([1; 32]));
        assert!(open_step(&key, 0, Topic([0; 4]), &vec![1; len]).is_none());
    }
}

/// A state restored from a backup seals another text under the same step: key and stream must differ.
#[test]
fn restored_step_never_repeats_a_key() {
    let mut rng = ChaCha20Rng::seed_from_u64(16);
    let seal = |rng: &mut ChaCha20Rng, text: &[u8]| {
        let key = StepKey::new(Zeroizing::new([2; 32]));
        EnvelopeSealer::Step(key).seal(rng, 0, text)
    };
    let (one, two) = (seal(&mut rng, &[0; 200]), seal(&mut rng, &[0; 200]));
    assert_eq!(one.topic, two.topic);
    let pairs = one.data[32..].iter().zip(&two.data[32..]);
    let equal = pairs.filter(|(a, b)| a == b).count();
    assert!(equal < 12, "{equal} of 216 bytes are equal");
    let key = StepKey::new(Zeroizing::new([2; 32]));
    for sealed in [&one, &two] {
        let opened = open_step(&key, 0, sealed.topic, &sealed.data).unwrap();
        assert_eq!(opened.as_slice(), [0; 200]);
        assert!(open_step(&key, 1, sealed.topic, &sealed.data).is_none());
    }
}

/// What an observer can compute from the data of an envelope.
fn features(data: &[u8]) -> [f64; 4] {
    use curve25519_dalek::montgomery::MontgomeryPoint;
    let wire = *data.first_chunk::<32>().unwrap();
    let point = MontgomeryPoint(elligator2::from_representative(&wire)).to_edwards(0);
    let is_prime = point.is_some_and(|point| point.is_torsion_free());
    let is_on_curve = MontgomeryPoint(wire).to_edwards(0).is_some();
    let sum: u32 = wire.iter().map(|byte| byte.count_ones()).sum();
    let truth = |is: bool| if is { 1.0 } else { 0.0 };
    [
        truth(is_prime),
        truth(is_on_curve),
        f64::from(wire[31]),
        f64::from(sum),
    ]
}

/// The probability that a random one of `a` ranks above a random one of `b`: 0.5 if they are alike.
fn ranks_above(a: &[f64], b: &[f64]) -> f64 {
    let pairs = a.iter().flat_map(|a| b.iter().map(move |b| (a, b)));
    let wins: f64 = pairs
        .map(|(a, b)| match a.total_cmp(b) {
            core::cmp::Ordering::Greater => 1.0,
            core::cmp::Ordering::Equal => 0.5,
            core::cmp::Ordering::Less => 0.0,
        })
        .sum();
    wins / f64::from(u32::try_from(a.len() * b.len()).unwrap())
}

/// An observer without keys sorts first messages from steps by everything that an encoded key could show.
#[test]
fn observer_cannot_tell_first_messages_from_steps() {
    let number = 1_200;
    let mut reader = Reader::new();
    let mut rng = ChaCha20Rng::seed_from_u64(20);
    let first: Vec<_> = (0..number)
        .map(|_| features(&reader.seal(&[0; 64]).data))
        .collect();
    let steps = (0..number).map(|_| {
        let key = StepKey::new(Zeroizing::new([3; 32]));
        features(&EnvelopeSealer::Step(key).seal(&mut rng, 0, &[0; 64]).data)
    });
    let steps: Vec<_> = steps.collect();
    for feature in 0..4 {
        let column = |all: &[[f64; 4]]| all.iter().map(|one| one[feature]).collect::<Vec<_>>();
        let rate = ranks_above(&column(&first), &column(&steps));
        // The deviation of a rate between 1,200 and 1,200 is at most 0.012.
        assert!((0.46..0.54).contains(&rate), "feature {feature}: {rate}");
    }
}
