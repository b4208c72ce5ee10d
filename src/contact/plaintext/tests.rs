use core::time::Duration;

use circuits::time::Instant;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::scatter::{Reassembled, Reassembly, ReassemblyLimits};

fn body(len: usize, resync: Option<u32>) -> SealedBody {
    let body = Zeroizing::new(vec![0xb0; len]);
    SealedBody { resync, body }
}

#[test]
fn body_fills_every_class_to_the_byte() {
    for ttl in TtlClass::ALL {
        for class in SizeClass::ALL {
            for resync in [None, Some(9)] {
                let len = plaintext_len(class, ttl);
                let whole = body(len - SealedBody::encoded_len(0, resync.is_some()), resync);
                let encoded = whole.encode();
                assert_eq!(encoded.len(), len);
                assert_eq!(class_of_encoded(len, ttl), Some(class));
                let filled = fill(&encoded, class, ttl).unwrap();
                assert_eq!(
                    OuterPlaintext::decode(&filled),
                    Ok(OuterPlaintext::Body(whole))
                );
                let longer = [&encoded[..], &[0]].concat();
                assert_eq!(fill(&longer, class, ttl), Err(BadPlaintext::Length));
            }
        }
    }
    let largest = plaintext_len(SizeClass::LARGEST, TtlClass::ThreeDays);
    assert_eq!(class_of_encoded(largest + 1, TtlClass::ThreeDays), None);
}

#[test]
fn empty_body_is_decoded() {
    let empty = body(0, Some(7));
    let filled = fill(&empty.encode(), SizeClass::SMALLEST, TtlClass::Day).unwrap();
    assert_eq!(
        OuterPlaintext::decode(&filled),
        Ok(OuterPlaintext::Body(empty))
    );
}

#[test]
fn altered_filling_is_refused() {
    let filled = fill(&body(20, None).encode(), SizeClass::SMALLEST, TtlClass::Day).unwrap();
    for at in [25, 100, filled.len() - 1] {
        let mut altered = filled.clone();
        altered[at] = 1;
        assert_eq!(
            OuterPlaintext::decode(&altered),
            Err(BadPlaintext::Zeros),
            "{at}"
        );
    }
    let mut altered = filled.clone();
    altered[0] = 4;
    assert_eq!(OuterPlaintext::decode(&altered), Err(BadPlaintext::Type));
    let mut altered = filled;
    altered[1] = 0xff;
    assert_eq!(OuterPlaintext::decode(&altered), Err(BadPlaintext::Length));
    assert_eq!(OuterPlaintext::decode(&[]), Err(BadPlaintext::Length));
}

/// The capacities of sets (spec F12, less the five bytes of type and length).
#[test]
fn shards_of_a_body_fit_the_smallest_class_and_rebuild_it() {
    let mut rng = ChaCha20Rng::seed_from_u64(14);
    for ttl in TtlClass::ALL {
        for (len, n) in [
            (887, 3),
            (888, 5),
            (1_359, 5),
            (1_360, 6),
            (1_831, 6),
            (30_151, 96),
        ] {
            let whole = body(len, None);
            let shards = scatter_encoded(&mut rng, &whole.encode()).unwrap();
            assert_eq!(shards.len(), n, "{len}");
            let mut sets = Reassembly::new(ReassemblyLimits {
                timeout: Duration::from_secs(1),
                ..ReassemblyLimits::default()
            });
            let mut rebuilt = None;
            for shard in shards.into_iter().rev() {
                let plaintext = shard_plaintext(&shard, ttl);
                assert_eq!(plaintext.len(), plaintext_len(SizeClass::SMALLEST, ttl));
                let decoded = OuterPlaintext::decode(&plaintext).unwrap();
                let OuterPlaintext::Shard(shard) = decoded else {
                    panic!("not a shard");
                };
                if let Reassembled::Complete(bytes) = sets.accept(Instant::ZERO, &0, shard) {
                    rebuilt = Some(SealedBody::decode_exact(&bytes).unwrap());
                }
            }
            assert_eq!(rebuilt, Some(whole));
        }
        let too_long = body(30_152, None).encode();
        assert!(scatter_encoded(&mut rng, &too_long).is_err());
    }
}

#[test]
fn message_of_shards_has_no_filling() {
    let encoded = body(9, Some(1)).encode();
    assert_eq!(SealedBody::decode_exact(&encoded), Ok(body(9, Some(1))));
    let longer = [&encoded[..], &[0]].concat();
    assert_eq!(SealedBody::decode_exact(&longer), Err(BadPlaintext::Length));
    assert_eq!(SealedBody::decode_exact(&[1; 40]), Err(BadPlaintext::Type));
}

proptest! {
    #[test]
    fn any_bytes_decode_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        for kind in 0..5 {
            let mut bytes = bytes.clone();
            if let Some(first) = bytes.first_mut() {
                *first = kind;
            }
            if let Ok(OuterPlaintext::Body(body)) = OuterPlaintext::decode(&bytes) {
                prop_assert!(bytes.starts_with(&body.encode()));
            }
            let _outcome = SealedBody::decode_exact(&bytes);
        }
    }
}
