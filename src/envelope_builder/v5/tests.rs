use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::envelope::{EncryptionHint, Envelope, NotExpired, ProtocolVersion};
use crate::message::SymKey;
use crate::message::v5::{decrypt_asymmetric, decrypt_symmetric};
use crate::pow::{PowChecked, PowValues};

const NOW: UnixSecs = UnixSecs(1_700_000_000);

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn message<'a>(recipient: EncryptionKey<'a>, payload: &'a [u8]) -> OutgoingMessageV5<'a> {
    OutgoingMessageV5 {
        topic: Topic([1, 2, 3, 4]),
        recipient,
        signer: None,
        payload,
        padding: Padding::Align,
        ttl: Ttl(50),
        pow_target: 0.2,
        work_time: 5,
    }
}

/// Searches with at most `tries` attempts, as if the time were up then.
fn seal(draft: &EnvelopeDraftV5, tries: u32) -> Envelope {
    let mut search = draft.pow_job().unwrap().search(&mut rng(9));
    let nonce = search.step(tries).map_or_else(|| search.finish(), Ok);
    draft.unmined.with_nonce(nonce.unwrap())
}

#[test]
fn draft_seals_and_decrypts() {
    let (key, writer) = (
        SymKey::generate(&mut rng(1)),
        ClientSecret::generate(&mut rng(2)),
    );
    let message = OutgoingMessageV5 {
        signer: Some(&writer),
        ..message(EncryptionKey::Symmetric(&key), b"hello")
    };
    let envelope = seal(&draft(&mut rng(3), NOW, &message).unwrap(), 1 << 20);
    let read = Envelope::decode_as(ProtocolVersion::V5, envelope.as_rlp()).unwrap();
    let alive = NotExpired::check(read.expiry(), read.ttl(), NOW).unwrap();
    assert!(PowChecked::check(&read, alive, 0.2).is_ok());
    let Some(EncryptionHint::Symmetric(nonce)) = read.hint() else {
        panic!("not marked as under a shared key");
    };
    let opened = decrypt_symmetric(&key, nonce, read.data()).unwrap();
    assert_eq!(opened.payload.as_slice(), b"hello");
    assert_eq!(opened.signer, Some(writer.public()));
}

#[test]
fn asymmetric_message_decrypts_at_recipient() {
    let reader = ClientSecret::generate(&mut rng(1));
    let public = reader.public();
    let message = message(EncryptionKey::Asymmetric(&public), b"hello");
    let draft = draft(&mut rng(3), NOW, &message).unwrap();
    assert_eq!(draft.unmined.hint, EncryptionHint::Asymmetric);
    let opened = decrypt_asymmetric(&reader, &draft.unmined.data).unwrap();
    assert_eq!(opened.payload.as_slice(), b"hello");
}

#[test]
fn zero_target_works_all_the_time_and_starts_life_after_it() {
    let key = SymKey::generate(&mut rng(1));
    let message = OutgoingMessageV5 {
        pow_target: 0.0,
        work_time: 7,
        ttl: Ttl(0),
        ..message(EncryptionKey::Symmetric(&key), b"hello")
    };
    let draft = draft(&mut rng(3), NOW, &message).unwrap();
    assert_eq!(draft.goal, PowGoal::BestIn(Duration::from_secs(7)));
    assert_eq!(draft.unmined.expiry, NOW.after(50 + 7));
    assert_eq!(draft.unmined.ttl, Ttl(50));
    let (little, much) = (seal(&draft, 100), seal(&draft, 100_000));
    assert!(PowValues::of(&much).legacy > PowValues::of(&little).legacy);
}

#[test]
fn search_for_target_ends_at_work_time() {
    let key = SymKey::generate(&mut rng(1));
    let message = OutgoingMessageV5 {
        pow_target: 1e12,
        ..message(EncryptionKey::Symmetric(&key), b"hello")
    };
    let draft = draft(&mut rng(3), NOW, &message).unwrap();
    assert!(matches!(draft.goal, PowGoal::BitsWithin(_, time) if time.as_secs() == 5));
    assert_eq!(draft.unmined.expiry, NOW.after(50));
    let mut search = draft.pow_job().unwrap().search(&mut rng(9));
    assert_eq!(search.step(1_000), None);
    assert!(search.finish().is_err());
}
