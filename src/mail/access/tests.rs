use circuits::secret::Secret;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::bloom::Bloom;
use crate::envelope::{EncryptionHint, Topic, Ttl, UnminedEnvelope};
use crate::mail::request::Limit;
use crate::message::{ClientPublic, Padding, Plaintext, seal_asymmetric, seal_symmetric};

const NOW: UnixSecs = UnixSecs(1_600_000_000);
const FRIEND: RelayKey = RelayKey([1; 64]);
const STRANGER: RelayKey = RelayKey([2; 64]);

fn key(byte: u8) -> SymKey {
    SymKey::new(Secret::init_with(|bytes| bytes.fill(byte))).unwrap()
}

fn node() -> ClientSecret {
    ClientSecret::from_bytes(&Secret::init_with(|bytes| bytes.fill(3))).unwrap()
}

fn access(password: bool, friend: bool) -> AccessPolicy {
    AccessPolicy {
        password: password.then(|| key(5)),
        node: node(),
        allowed: friend.then_some(FRIEND).into_iter().collect(),
        min_pow: 0.0,
    }
}

fn request() -> MailRequest {
    MailRequest {
        lower: UnixSecs(10),
        upper: UnixSecs(20),
        bloom: Bloom::FULL,
        limit: Limit::Count(5),
        after: None,
        batch: true,
    }
}

enum To<'a> {
    Key(&'a SymKey),
    Node(ClientPublic),
}

fn sealed(to: &To<'_>, signed: bool) -> RequestPacket {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let signer = ClientSecret::generate(&mut rng);
    let signer = signed.then_some(&signer);
    let payload = request().to_list();
    let plaintext = Plaintext::build(&mut rng, &payload, Padding::Align, signer).unwrap();
    let data = match to {
        To::Key(key) => seal_symmetric(&mut rng, key, &plaintext),
        To::Node(key) => seal_asymmetric(&mut rng, key, &plaintext),
    };
    let unmined = UnminedEnvelope {
        expiry: NOW,
        ttl: Ttl(10),
        topic: Topic::default(),
        hint: EncryptionHint::Absent,
        data,
    };
    RequestPacket::Sealed(unmined.with_nonce(1 << 60))
}

fn plain() -> RequestPacket {
    RequestPacket::Plain(RequestId([8; 32]), Ok(request()))
}

/// The decision on a packet from a peer.
fn verdict(access: &AccessPolicy, peer: RelayKey, packet: RequestPacket) -> Result<(), Denied> {
    match access.admit(peer, packet, NOW) {
        Ok((_, read)) => {
            assert_eq!(read, request());
            Ok(())
        }
        Err((_, denied)) => Err(denied),
    }
}

#[test]
fn request_with_password_is_admitted() {
    let access = access(true, false);
    let by_password = || sealed(&To::Key(&key(5)), true);
    assert_eq!(verdict(&access, STRANGER, by_password()), Ok(()));
    assert_eq!(verdict(&access, FRIEND, by_password()), Ok(()));
}

#[test]
fn request_with_other_password_is_denied() {
    let packet = sealed(&To::Key(&key(6)), true);
    let denied = verdict(&access(true, true), FRIEND, packet);
    assert_eq!(denied, Err(Denied::WrongPassword));
}

#[test]
fn server_with_password_admits_only_named_peers_by_node_key() {
    let access = access(true, true);
    let to_node = || sealed(&To::Node(node().public()), true);
    assert_eq!(verdict(&access, FRIEND, to_node()), Ok(()));
    assert_eq!(verdict(&access, FRIEND, plain()), Ok(()));
    for packet in [to_node(), plain()] {
        assert_eq!(
            verdict(&access, STRANGER, packet),
            Err(Denied::PasswordWanted)
        );
    }
}

#[test]
fn server_without_password_admits_only_named_peers() {
    let access = access(false, true);
    for packet in [sealed(&To::Node(node().public()), true), plain()] {
        assert_eq!(verdict(&access, FRIEND, packet.clone()), Ok(()));
        assert_eq!(verdict(&access, STRANGER, packet), Err(Denied::NotInvited));
    }
}

#[test]
fn server_without_password_and_list_admits_all() {
    let access = access(false, false);
    let to_node = sealed(&To::Node(node().public()), true);
    assert_eq!(verdict(&access, STRANGER, to_node), Ok(()));
    assert_eq!(verdict(&access, STRANGER, plain()), Ok(()));
    let to_nobody = sealed(&To::Key(&key(5)), true);
    assert_eq!(verdict(&access, STRANGER, to_nobody), Err(Denied::NotForUs));
}

#[test]
fn unsigned_request_is_denied() {
    let packet = sealed(&To::Key(&key(5)), false);
    let denied = verdict(&access(true, false), STRANGER, packet);
    assert_eq!(denied, Err(Denied::Unsigned));
}

#[test]
fn request_without_minimum_pow_is_denied() {
    let access = AccessPolicy {
        min_pow: 1_000.0,
        ..access(true, false)
    };
    let packet = sealed(&To::Key(&key(5)), true);
    assert_eq!(verdict(&access, STRANGER, packet), Err(Denied::LowPow));
}

#[test]
fn request_with_zero_ttl_has_no_infinite_work() {
    let RequestPacket::Sealed(envelope) = sealed(&To::Key(&key(5)), true) else {
        panic!("it is sealed");
    };
    let endless = UnminedEnvelope {
        expiry: NOW,
        ttl: Ttl(0),
        topic: Topic::default(),
        hint: EncryptionHint::Absent,
        data: envelope.data().to_vec(),
    };
    let packet = RequestPacket::Sealed(endless.with_nonce(1));
    let denied = verdict(&access(true, false), STRANGER, packet);
    assert_eq!(denied, Err(Denied::LowPow));
}
