use circuits::level::Level;
use circuits::mixing::DelayClass;
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::envelope::{Envelope, NotExpired};
use crate::message::{decrypt_asymmetric, decrypt_symmetric};
use crate::pow::{Generation, PowChecked};

mod observer;

const NOW: UnixSecs = UnixSecs(1_700_000_123);
const TOPIC: Topic = Topic([1, 2, 3, 4]);
const LOCAL_POW: f64 = 0.002;

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn message<'a>(recipient: EncryptionKey<'a>, payload: &'a [u8]) -> OutgoingMessage<'a> {
    OutgoingMessage {
        topic: TOPIC,
        recipient,
        signer: None,
        payload,
        life: Life::at_least(Duration::from_secs(600)),
        tag: CopyTag::draw(&mut rng(5)),
        pow_minimum: LOCAL_POW,
    }
}

fn seal(draft: &EnvelopeDraft, generations: Generations) -> Envelope {
    let job = draft.pow_job(generations).unwrap();
    let mut search = job.search(&mut rng(9));
    loop {
        if let Some(nonce) = search.step(1 << 16) {
            return draft.unmined.with_nonce(nonce);
        }
    }
}

#[test]
fn draft_seals_and_decrypts() {
    let key = SymKey::generate(&mut rng(1));
    let draft = draft(
        &mut rng(2),
        NOW,
        &message(EncryptionKey::Symmetric(&key), b"hello"),
    )
    .unwrap();
    let envelope = seal(&draft, Generations::Modern);

    assert_eq!(envelope.as_rlp().len(), SizeClass::SMALLEST.len());
    let alive = NotExpired::check(envelope.expiry(), envelope.ttl(), NOW).unwrap();
    assert_eq!(alive.skew(), 0);
    let checked = PowChecked::check(&envelope, alive, LOCAL_POW).unwrap();
    assert!(checked.value(Generation::Modern) >= LOCAL_POW);
    let opened = decrypt_symmetric(&key, envelope.data()).unwrap();
    assert_eq!(opened.payload.as_slice(), b"hello");
    let tag = CopyTag::of_padding(&opened.padding);
    assert_eq!(tag, Some(CopyTag::draw(&mut rng(5))));
}

#[test]
fn longest_life_is_possible_at_every_moment() {
    let life = Life::at_least(MAX_LIFE).over(Level::Normal.rules(), DelayClass::LONGEST);
    // More than two steps of the longest lattice, which has half a day.
    for step in 0..1_500 {
        let now = NOW.after(step * 61);
        assert!(life.draw(&mut rng(step.into()), now).is_ok(), "{step}");
    }
}

#[test]
fn legacy_pow_of_every_lifetime_is_accepted_by_legacy_peers() {
    for wanted in [0, 2_000, 10_000, 50_000, 200_000] {
        let life = Life::at_least(Duration::from_secs(wanted));
        let mut draft = dummy(&mut rng(wanted), NOW, life, LOCAL_POW).unwrap();
        // Half a percent of the work, so that the test is fast; the test concerns the arithmetic.
        draft.bits = class_bits(LOCAL_POW / 200.0, draft.size, draft.life);
        let envelope = seal(&draft, Generations::Legacy);
        let alive = NotExpired::check(envelope.expiry(), envelope.ttl(), NOW).unwrap();
        let checked = PowChecked::check(&envelope, alive, LOCAL_POW / 200.0).unwrap();
        assert!(checked.value(Generation::Legacy) >= LOCAL_POW / 200.0);
    }
}

#[test]
fn signed_message_decrypts_at_recipient() {
    let (reader, writer) = (
        ClientSecret::generate(&mut rng(1)),
        ClientSecret::generate(&mut rng(2)),
    );
    let public = reader.public();
    let message = OutgoingMessage {
        signer: Some(&writer),
        ..message(EncryptionKey::Asymmetric(&public), &[7; 1_000])
    };
    let draft = draft(&mut rng(3), NOW, &message).unwrap();
    let opened = decrypt_asymmetric(&reader, &draft.unmined.data).unwrap();
    assert_eq!(opened.payload.as_slice(), [7; 1_000]);
    assert_eq!(opened.signer, Some(writer.public()));
    assert_eq!(draft.unmined.with_nonce(u64::MAX).as_rlp().len(), 2_408);
}

#[test]
fn smallest_class_has_specified_capacity() {
    let capacity = |kind| payload_capacity(kind, SizeClass::SMALLEST, TtlClass::SixHours, false);
    assert_eq!(capacity(EncryptionKind::Symmetric), 488);
    assert_eq!(capacity(EncryptionKind::Asymmetric), 403);
}

#[test]
fn payload_capacity_is_exact() {
    let key = SymKey::generate(&mut rng(1));
    let reader = ClientSecret::generate(&mut rng(2)).public();
    for recipient in [
        EncryptionKey::Symmetric(&key),
        EncryptionKey::Asymmetric(&reader),
    ] {
        for size in SizeClass::ALL {
            let max = payload_capacity(recipient.kind(), size, TtlClass::HalfHour, false);
            let payload = vec![1; max + 1];
            let life = Life::at_least(Duration::ZERO);
            let fits = OutgoingMessage {
                life,
                ..message(recipient, &payload[..max])
            };
            assert_eq!(draft(&mut rng(3), NOW, &fits).unwrap().size, size);
            let bursts = OutgoingMessage {
                payload: &payload,
                ..fits
            };
            let next = draft(&mut rng(3), NOW, &bursts);
            assert!(next.is_err() || next.unwrap().size > size);
        }
    }
}

#[test]
fn payload_over_maximum_is_refused_with_maximum() {
    let key = SymKey::generate(&mut rng(1));
    let recipient = EncryptionKey::Symmetric(&key);
    assert!(draft(&mut rng(2), NOW, &message(recipient, &[1; 48 << 10])).is_ok());
    let refused = draft(&mut rng(2), NOW, &message(recipient, &[1; 70_000])).unwrap_err();
    let EnvelopeBuildError::PayloadTooLong { len: 70_000, max } = refused else {
        panic!("{refused}");
    };
    assert!(draft(&mut rng(2), NOW, &message(recipient, &vec![1; max])).is_ok());
    assert!(refused.to_string().contains(&max.to_string()));
}

#[test]
fn lifetime_over_maximum_is_refused_with_maximum() {
    let life = Life::at_least(Duration::from_secs(72 * 3_600));
    let EnvelopeBuildError::LifeTooLong { max } = life.draw(&mut rng(1), NOW).unwrap_err() else {
        panic!("refused for another reason");
    };
    assert!(max >= Duration::from_secs(59 * 3_600));
    assert!(Life::at_least(max).draw(&mut rng(1), NOW).is_ok());
}

#[test]
fn any_long_enough_lifetime_is_drawn() {
    let life = Life {
        choice: LifeChoice::Any,
        ..Life::at_least(Duration::from_secs(3_600))
    };
    let mut seen: Vec<_> = (0..100)
        .map(|seed| life.draw(&mut rng(seed), NOW).unwrap().1)
        .collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(
        seen,
        [TtlClass::SixHours, TtlClass::Day, TtlClass::ThreeDays]
    );
}

#[test]
fn lifetime_class_follows_from_the_wanted_lifetime_alone() {
    let minutes = [
        (1, 1_800),
        (7, 1_800),
        (8, 3_600),
        (30, 3_600),
        (60, 21_600),
        (600, 86_400),
    ];
    for (wanted, ttl) in minutes {
        for level in [Level::Open, Level::Normal, Level::Dark] {
            let life = Life::at_least(Duration::from_secs(wanted * 60))
                .over(level.rules(), DelayClass::LONGEST);
            for seed in 0..50 {
                let (_, class) = life.draw(&mut rng(seed), NOW.after(29)).unwrap();
                assert_eq!(class.ttl().0, ttl, "{wanted} minutes at {level}");
            }
        }
    }
}

proptest! {
    #[test]
    fn starts_are_lattice_points_at_least_a_minute_old(
        now in 1_500_000_000_u32..4_000_000_000,
        wanted in 0_u64..200_000,
        level in proptest::sample::select(&Level::ALL[..]),
        seed: u64,
    ) {
        let life = Life {
            choice: LifeChoice::Any,
            ..Life::at_least(Duration::from_secs(wanted)).over(level.rules(), DelayClass::LONGEST)
        };
        let (expiry, class) = life.draw(&mut rng(seed), UnixSecs(now)).unwrap();
        let start = expiry.before(class.ttl().0);
        prop_assert_eq!(start.0 % (class.ttl().0 / 6), 0);
        prop_assert!(start.0 <= now - 60);
        let left = u64::from(expiry.0 - now);
        // A lag of seven minutes is longer than all but one in a million.
        prop_assert!(left >= wanted + 600);
    }

    #[test]
    fn clear_fields_do_not_depend_on_payload(
        short in 0_usize..400, long in 0_usize..400, seed: u64,
    ) {
        let (one, other) = (SymKey::generate(&mut rng(1)), SymKey::generate(&mut rng(2)));
        let (short, long) = (vec![1; short], vec![2; long]);
        let a = draft(&mut rng(seed), NOW, &message(EncryptionKey::Symmetric(&one), &short)).unwrap();
        let b = draft(&mut rng(seed), NOW, &message(EncryptionKey::Symmetric(&other), &long)).unwrap();
        prop_assert_eq!(a.unmined.data.len(), b.unmined.data.len());
        prop_assert_eq!((a.unmined.expiry, a.unmined.ttl), (b.unmined.expiry, b.unmined.ttl));
        prop_assert_eq!((a.size, a.life, a.bits), (b.size, b.life, b.bits));
    }
}
