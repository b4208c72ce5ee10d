use core::time::Duration;

use circuits::time::Instant;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use zeroize::Zeroizing;

use super::*;

fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

fn message(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

/// Passes shards to a fresh reassembly; returns the outcome of the last.
fn collect<'a>(shards: impl IntoIterator<Item = &'a ScatterShard>) -> Reassembled {
    let mut sets = Reassembly::new(ReassemblyLimits::default());
    let mut last = Reassembled::Ignored;
    for shard in shards {
        last = sets.accept(Instant::ZERO, &(), shard.clone());
    }
    last
}

fn complete(message: &[u8]) -> Reassembled {
    Reassembled::Complete(Zeroizing::new(message.to_vec()))
}

#[test]
fn table_has_the_capacities_of_the_specification() {
    let capacity = |k: u8, profile| ScatterClass::of_needed(k).unwrap().capacity(profile);
    // Spec F11 and F12: 472 k - 52.
    let rows = [(2, 892), (8, 3_724), (12, 5_612), (64, 30_156)];
    for (k, bytes) in rows {
        assert_eq!(capacity(k, ScatterProfile::Conversation), bytes);
    }
    assert_eq!(capacity(2, ScatterProfile::Asymmetric), 742);
    assert_eq!(capacity(2, ScatterProfile::Symmetric), 912);
    let shapes: Vec<_> = ScatterClass::ALL.iter().map(|c| (c.k(), c.n())).collect();
    let documented = [
        (2, 3),
        (3, 5),
        (4, 6),
        (6, 9),
        (8, 12),
        (12, 18),
        (16, 24),
        (24, 36),
        (32, 48),
        (48, 72),
        (64, 96),
    ];
    assert_eq!(shapes, documented);
}

#[test]
fn message_of_every_class_is_complete_after_any_k_shards() {
    for profile in ScatterProfile::ALL {
        for class in ScatterClass::ALL {
            let sent = message(class.capacity(profile));
            let shards = scatter(&mut rng(1), profile, &sent).unwrap();
            assert_eq!(shards.len(), usize::from(class.n()));
            assert!(shards.iter().all(|shard| shard.class == class));
            let k = usize::from(class.k());
            assert_eq!(collect(&shards[..k]), complete(&sent));
            assert_eq!(collect(&shards[shards.len() - k..]), complete(&sent));
            assert_eq!(collect(&shards[..k - 1]), Reassembled::Collected);
        }
    }
}

#[test]
fn message_above_the_largest_class_is_refused_with_the_maximum() {
    let max = ScatterClass::LARGEST.capacity(ScatterProfile::Symmetric);
    let refused = scatter(&mut rng(1), ScatterProfile::Symmetric, &message(max + 1));
    let expected = MessageTooLong { len: max + 1, max };
    assert_eq!(refused.unwrap_err(), expected);
    assert!(expected.to_string().contains(&max.to_string()));
}

#[test]
fn same_message_scattered_twice_shares_no_shard() {
    let sent = message(700);
    let one = scatter(&mut rng(1), ScatterProfile::Asymmetric, &sent).unwrap();
    let two = scatter(&mut rng(2), ScatterProfile::Asymmetric, &sent).unwrap();
    for shard in &one {
        assert!(two.iter().all(|other| other.bytes != shard.bytes));
        assert!(two.iter().all(|other| other.set != shard.set));
    }
}

#[test]
fn late_shards_of_a_complete_set_are_ignored() {
    let shards = scatter(&mut rng(1), ScatterProfile::Asymmetric, &message(9)).unwrap();
    let mut sets = Reassembly::new(ReassemblyLimits::default());
    let outcomes: Vec<_> = shards
        .iter()
        .map(|shard| sets.accept(Instant::ZERO, &(), shard.clone()))
        .collect();
    let expected = [
        Reassembled::Collected,
        complete(&message(9)),
        Reassembled::Ignored,
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(sets.open_sets(), 0);
}

#[test]
fn attack_with_a_contradicting_shard_ends_the_set_without_a_search() {
    let shards = scatter(&mut rng(1), ScatterProfile::Asymmetric, &message(1_000)).unwrap();
    let mut forged = shards[0].clone();
    forged.bytes[0] ^= 1;
    let mut sets = Reassembly::new(ReassemblyLimits::default());
    let mut accept = |shard: &ScatterShard| sets.accept(Instant::ZERO, &(), shard.clone());
    assert_eq!(accept(&shards[0]), Reassembled::Collected);
    assert_eq!(accept(&shards[0]), Reassembled::Ignored);
    assert_eq!(accept(&forged), Reassembled::Poisoned);
    // No later shard is decoded, although k honest ones would be there.
    for shard in &shards[1..] {
        assert_eq!(accept(shard), Reassembled::Ignored);
    }
}

#[test]
fn attack_with_a_forged_shard_yields_no_message() {
    let shards = scatter(&mut rng(1), ScatterProfile::Symmetric, &message(800)).unwrap();
    for bit in [0, 1_000, 3_855] {
        let mut forged = shards[1].clone();
        forged.bytes[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(collect([&shards[0], &forged]), Reassembled::Poisoned);
    }
}

#[test]
fn attack_with_a_wrong_class_does_not_occupy_the_set() {
    let sent = message(700);
    let shards = scatter(&mut rng(1), ScatterProfile::Asymmetric, &sent).unwrap();
    let wrong = ScatterShard {
        class: ScatterClass::LARGEST,
        ..shards[0].clone()
    };
    assert_eq!(
        collect([&wrong, &shards[0], &shards[1]]),
        complete(&sent),
        "a set is named by its class too"
    );
}

fn limits(bytes_per_key: usize, bytes: usize) -> ReassemblyLimits {
    ReassemblyLimits {
        bytes_per_key,
        bytes,
        timeout: Duration::from_secs(100),
    }
}

#[test]
fn attack_with_many_sets_does_not_displace_one_that_has_more_shards() {
    let mut sets = Reassembly::new(limits(16_000, 64_000));
    let sent = message(1_500);
    let honest = scatter(&mut rng(1), ScatterProfile::Asymmetric, &sent).unwrap();
    let (last, first) = honest[..4].split_last().unwrap();
    for shard in first {
        let _ = sets.accept(Instant::ZERO, &1, shard.clone());
    }
    for flood in 0..200 {
        let shards = scatter(&mut rng(flood), ScatterProfile::Asymmetric, b"flood").unwrap();
        let _ = sets.accept(Instant::ZERO, &1, shards[0].clone());
        assert!(sets.bytes() <= 16_000);
    }
    assert_eq!(
        sets.accept(Instant::ZERO, &1, last.clone()),
        complete(&sent)
    );
}

#[test]
fn attack_on_one_key_leaves_the_sets_of_another() {
    let mut sets = Reassembly::new(limits(40_000, 50_000));
    let sent = message(100);
    let honest = scatter(&mut rng(1), ScatterProfile::Asymmetric, &sent).unwrap();
    let _ = sets.accept(Instant::ZERO, &1, honest[0].clone());
    for flood in 0..=255 {
        let shards = scatter(&mut rng(flood), ScatterProfile::Asymmetric, b"flood").unwrap();
        let _ = sets.accept(Instant::ZERO, &2, shards[0].clone());
        assert!(sets.bytes() <= 50_000);
    }
    let done = sets.accept(Instant::ZERO, &1, honest[1].clone());
    assert_eq!(done, complete(&sent));
}

#[test]
fn set_is_dropped_after_its_timeout() {
    let mut sets = Reassembly::new(limits(16_000, 64_000));
    let shards = scatter(&mut rng(1), ScatterProfile::Asymmetric, &message(9)).unwrap();
    let _ = sets.accept(Instant::ZERO, &1, shards[0].clone());
    let later = Instant::ZERO.after(Duration::from_secs(100));
    let outcome = sets.accept(later, &1, shards[1].clone());
    assert_eq!(outcome, Reassembled::Collected, "the first shard is gone");
    sets.forget(&1);
    assert_eq!((sets.bytes(), sets.open_sets()), (0, 0));
}

#[test]
fn shard_body_is_read_as_it_was_written() {
    for profile in ScatterProfile::ALL {
        for shard in scatter(&mut rng(3), profile, &message(2_000)).unwrap() {
            let body = shard.encode();
            assert_eq!(body.len(), ScatterShard::encoded_len(profile));
            assert_eq!(ScatterShard::decode(profile, &body), Ok(shard));
        }
    }
}

#[test]
fn shard_body_that_breaks_a_rule_is_refused_with_the_rule() {
    let profile = ScatterProfile::Asymmetric;
    let body = scatter(&mut rng(3), profile, b"x").unwrap()[0].encode();
    let altered = |at: usize, byte: u8| {
        let mut body = body.to_vec();
        body[at] = byte;
        ScatterShard::decode(profile, &body).unwrap_err()
    };
    assert_eq!(altered(8, 5), ScatterShardError::UnknownClass);
    assert_eq!(altered(8, 1), ScatterShardError::UnknownClass);
    assert_eq!(altered(9, 3), ScatterShardError::IndexOutOfRange);
    for reserved in 10..13 {
        assert_eq!(altered(reserved, 1), ScatterShardError::Reserved);
    }
    let short = ScatterShard::decode(profile, &body[1..]);
    assert_eq!(short, Err(ScatterShardError::Length));
    let other = ScatterShard::decode(ScatterProfile::Symmetric, &body);
    assert_eq!(other, Err(ScatterShardError::Length));
}

proptest! {
    #[test]
    fn any_k_shards_in_any_order_yield_the_message(
        len in 0_usize..6_000,
        seed in any::<u8>(),
        order in any::<u64>(),
    ) {
        let sent = message(len);
        let profile = ScatterProfile::ALL[usize::from(seed) % 3];
        let mut shards = scatter(&mut rng(seed), profile, &sent).unwrap();
        let k = usize::from(shards[0].class.k());
        let mut shuffle = ChaCha20Rng::seed_from_u64(order);
        circuits::distributions::shuffle(&mut shuffle, &mut shards);
        prop_assert_eq!(collect(&shards[..k]), complete(&sent));
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_read_back(body in prop::collection::vec(any::<u8>(), 0..500)) {
        for profile in ScatterProfile::ALL {
            if let Ok(shard) = ScatterShard::decode(profile, &body) {
                let written = shard.encode();
                prop_assert_eq!(written.as_slice(), body.as_slice());
            }
        }
    }

    #[test]
    fn hostile_shards_never_exceed_the_bounds(
        script in prop::collection::vec((any::<u8>(), 0_usize..11, any::<u8>(), any::<u8>()), 1..200),
    ) {
        let mut sets = Reassembly::new(limits(8_000, 12_000));
        for (step, (set, row, index, fill)) in script.into_iter().enumerate() {
            let class = ScatterClass::ALL[row];
            let shard = ScatterShard {
                set: SetId([set % 8; 8]),
                class,
                index: index % class.n(),
                bytes: vec![fill; 397],
            };
            let now = Instant::ZERO.after(Duration::from_secs(u64::try_from(step).unwrap()));
            let outcome = sets.accept(now, &(set % 3), shard);
            prop_assert!(!matches!(outcome, Reassembled::Complete(_)));
            prop_assert!(sets.bytes() <= 12_000);
        }
    }
}

/// A generator that returns recorded bytes.
struct Scripted(Vec<u8>);

impl rand_core::TryRng for Scripted {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        out.copy_from_slice(&self.0[..out.len()]);
        self.0.drain(..out.len());
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Scripted {}

#[derive(serde::Deserialize)]
struct Vector {
    profile: String,
    message_len: usize,
    set: String,
    key: String,
    k: u8,
    n: u8,
    mark: String,
    first_body: String,
    bodies_sha256: String,
}

#[test]
fn shards_match_the_vectors_of_the_second_implementation() {
    use sha2::{Digest, Sha256};

    let vectors = include_str!("../../circuits/tests/vectors/scatter.json");
    let vectors: Vec<Vector> = serde_json::from_str(vectors).unwrap();
    assert_eq!(vectors.len(), 8);
    for vector in vectors {
        let profile = match vector.profile.as_str() {
            "asymmetric" => ScatterProfile::Asymmetric,
            "symmetric" => ScatterProfile::Symmetric,
            _ => ScatterProfile::Conversation,
        };
        let drawn = [vector.set.as_str(), vector.key.as_str()].concat();
        let mut rng = Scripted(hex::decode(drawn).unwrap());
        let shards = scatter(&mut rng, profile, &message(vector.message_len)).unwrap();
        assert_eq!(
            (shards[0].class.k(), shards[0].class.n()),
            (vector.k, vector.n)
        );
        assert_eq!(hex::encode(&*shards[0].encode()), vector.first_body);
        let mut digest = Sha256::new();
        for shard in &shards {
            digest.update(&*shard.encode());
        }
        assert_eq!(hex::encode(digest.finalize()), vector.bodies_sha256);
        let mark = crate::message::ShardMark::of_set(shards[0].set);
        assert_eq!(hex::encode(mark.as_bytes()), vector.mark);
    }
}
