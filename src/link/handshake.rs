//! The RLPx handshake: one packet each way, encrypted to the reader's static key.
//!
//! Each end authenticates its static key and contributes an ephemeral key and a nonce (protocol
//! sheet 1.3). Two formats exist: *plain* packets of fixed length, and those of EIP-8, which
//! announce their length, contain RLP and are padded at random. An initiator writes EIP-8; a
//! responder answers in the format of the auth packet.
//!
//! The functions neither wait nor buffer. A reader gets the bytes received so far and returns
//! either the result or the total number of bytes that it needs. Versions, extra elements and
//! padding are ignored, as EIP-8 requires. The signature over the static agreement authenticates
//! the initiator; the ability to decrypt the auth packet authenticates the responder.

use std::sync::Arc;

use circuits::arithmetic::Arithmetic;
use circuits::bytes::ByteReader;
use circuits::ids::{RelayKey, ShortId};
use rand_core::CryptoRng;
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, PublicKey, SecretKey};
use zeroize::Zeroizing;

use super::fault::{LocalFault, PeerFault};
use super::frame::{Opener, Sealer};
use super::key::{LinkKey, WipedKey, to_point, to_relay_key};
use super::secrets::{Half, SessionSecrets};
use crate::ecies;
use crate::rlp::{RlpError, RlpReader, RlpWriter};

/// The result of a complete handshake.
pub struct RlpxSession {
    /// The peer's key, authenticated.
    pub remote: RelayKey,
    /// The name of this link in the next-hop fields of cells.
    pub handle: ShortId,
    /// Writes frames to the peer.
    pub sealer: Sealer,
    /// Reads frames from the peer.
    pub opener: Opener,
}

/// The dialling end: it has sent an auth packet and expects an ack.
pub struct Initiator {
    key: Arc<LinkKey>,
    remote: RelayKey,
    ephemeral: WipedKey,
    nonce: [u8; 32],
    auth: Vec<u8>,
}

impl Initiator {
    /// Draws ephemeral key and nonce and writes an EIP-8 auth packet for `remote`.
    ///
    /// # Errors
    ///
    /// [`LocalFault::KeyNotOnCurve`] if `remote` is not a valid key.
    pub fn new(
        key: Arc<LinkKey>,
        remote: RelayKey,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, LocalFault> {
        let point = to_point(&remote).ok_or(LocalFault::KeyNotOnCurve)?;
        let ephemeral = WipedKey::generate(rng);
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);

        let digest = challenge(&point, key.expose(), &nonce);
        let signature = sign(ephemeral.expose(), *digest);
        let body = RlpWriter::only_list(|body| {
            body.bytes(&signature[..])
                .bytes(&key.public().0)
                .bytes(&nonce)
                .integer(VERSION);
        });
        let auth = seal_eip8(&point, &body, rng);
        Ok(Self {
            key,
            remote,
            ephemeral,
            nonce,
            auth,
        })
    }

    /// The packet to send.
    #[must_use]
    pub fn auth(&self) -> &[u8] {
        &self.auth
    }

    /// Reads the answer from the bytes received so far.
    ///
    /// # Errors
    ///
    /// The rule that the responder violated.
    pub fn read_ack(&self, bytes: &[u8]) -> Result<Reading<RlpxSession>, PeerFault> {
        let (ack, format) = match Ack::read(&self.key, bytes)? {
            Reading::Needs(total) => return Ok(Reading::Needs(total)),
            Reading::Done(ack, format) => (ack, format),
        };
        let theirs = to_point(&RelayKey(ack.ephemeral)).ok_or(PeerFault::HandshakeKey)?;
        let shared = ecies::agree(&theirs, self.ephemeral.expose());
        let secrets = SessionSecrets::derive(&shared, &self.nonce, &ack.nonce);
        let ours = Half {
            nonce: &self.nonce,
            packet: &self.auth,
        };
        let theirs = Half {
            nonce: &ack.nonce,
            packet: bytes,
        };
        let arithmetic = self.key.arithmetic();
        let session = RlpxSession::new(arithmetic, self.remote, &secrets, &ours, &theirs);
        Ok(Reading::Done(session, format))
    }
}

/// Answers an auth packet: returns the ack packet to send, and the session.
///
/// `packet` is the whole auth packet and `format` its format.
///
/// # Errors
///
/// The rule that the initiator violated.
pub fn respond(
    key: &LinkKey,
    auth: &Auth,
    format: Format,
    packet: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<(Vec<u8>, RlpxSession), PeerFault> {
    let remote = RelayKey(auth.initiator);
    let point = to_point(&remote).ok_or(PeerFault::HandshakeKey)?;
    let digest = challenge(&point, key.expose(), &auth.nonce);
    let theirs = recover(&auth.signature, *digest).ok_or(PeerFault::HandshakeSignature)?;

    let ephemeral = WipedKey::generate(rng);
    let mut nonce = [0; 32];
    rng.fill_bytes(&mut nonce);
    let ack = write_ack(&point, &ephemeral.public(), &nonce, format, rng);

    let shared = ecies::agree(&theirs, ephemeral.expose());
    let secrets = SessionSecrets::derive(&shared, &auth.nonce, &nonce);
    let ours = Half {
        nonce: &nonce,
        packet: &ack,
    };
    let theirs = Half {
        nonce: &auth.nonce,
        packet,
    };
    let session = RlpxSession::new(key.arithmetic(), remote, &secrets, &ours, &theirs);
    Ok((ack, session))
}

impl RlpxSession {
    fn new(
        arithmetic: Arithmetic,
        remote: RelayKey,
        secrets: &SessionSecrets,
        ours: &Half<'_>,
        theirs: &Half<'_>,
    ) -> Self {
        let (sealer, opener) = codecs(arithmetic, secrets, ours, theirs);
        Self {
            remote,
            handle: secrets.handle(),
            sealer,
            opener,
        }
    }
}

/// The frame codecs: without protection for a simulated node that computes with stand-ins.
fn codecs(
    arithmetic: Arithmetic,
    secrets: &SessionSecrets,
    ours: &Half<'_>,
    theirs: &Half<'_>,
) -> (Sealer, Opener) {
    #[cfg(feature = "sim")]
    if !arithmetic.is_real() {
        return (Sealer::stand_in(), Opener::stand_in());
    }
    debug_assert!(
        arithmetic.is_real(),
        "there is no other without the feature"
    );
    secrets.codecs(ours, theirs)
}

/// The layout of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// Length prefix, RLP, random padding.
    Eip8,
    /// Fields at fixed offsets, as before EIP-8.
    Plain,
}

/// The result of parsing the bytes received so far.
pub enum Reading<T> {
    /// One whole packet.
    Done(T, Format),
    /// Not yet a packet: it has this many bytes in all. The caller must not pass more.
    Needs(usize),
}

/// The content of an auth packet. Its keys and signature are not checked yet.
pub struct Auth {
    /// By the initiator's ephemeral key over the static agreement and nonce.
    pub signature: [u8; 65],
    /// The initiator's static key.
    pub initiator: [u8; 64],
    /// The initiator's nonce.
    pub nonce: [u8; 32],
}

impl Auth {
    /// Length of a plain auth packet, and the minimum of an EIP-8 one without its prefix.
    pub const LEN: usize = 65 + 32 + 64 + 32 + 1 + ecies::OVERHEAD;

    /// Reads an auth packet; give it [`Self::LEN`] bytes first.
    ///
    /// # Errors
    ///
    /// [`PeerFault`]: the packet is not for `key`, altered, malformed, or of a wrong length.
    pub fn read(key: &LinkKey, bytes: &[u8]) -> Result<Reading<Self>, PeerFault> {
        read(key, bytes, Self::LEN, Self::from_plain, Self::from_rlp)
    }

    fn from_plain(mut body: ByteReader<'_>) -> Option<Self> {
        let signature = body.array().ok()?;
        body.array::<32>().ok()?; // hash of the ephemeral key, which the signature yields anyway
        Some(Self {
            signature,
            initiator: body.array().ok()?,
            nonce: body.array().ok()?,
        })
    }

    fn from_rlp(mut body: RlpReader<'_>) -> Result<Self, RlpError> {
        let auth = Self {
            signature: body.array()?,
            initiator: body.array()?,
            nonce: body.array()?,
        };
        body.integer().map(|_version| auth)
    }
}

/// The content of an ack packet. Its key is not checked yet.
pub struct Ack {
    /// The responder's ephemeral key.
    pub ephemeral: [u8; 64],
    /// The responder's nonce.
    pub nonce: [u8; 32],
}

impl Ack {
    /// Length of a plain ack packet, and the minimum of an EIP-8 one without its prefix.
    pub const LEN: usize = 64 + 32 + 1 + ecies::OVERHEAD;

    /// Reads an ack packet; give it [`Self::LEN`] bytes first.
    ///
    /// # Errors
    ///
    /// [`PeerFault`]: the packet is not for `key`, altered, malformed, or of a wrong length.
    pub fn read(key: &LinkKey, bytes: &[u8]) -> Result<Reading<Self>, PeerFault> {
        read(key, bytes, Self::LEN, Self::from_plain, Self::from_rlp)
    }

    fn from_plain(mut body: ByteReader<'_>) -> Option<Self> {
        Some(Self {
            ephemeral: body.array().ok()?,
            nonce: body.array().ok()?,
        })
    }

    fn from_rlp(mut body: RlpReader<'_>) -> Result<Self, RlpError> {
        let ack = Self {
            ephemeral: body.array()?,
            nonce: body.array()?,
        };
        body.integer().map(|_version| ack)
    }
}

/// Tries the plain format on the first `least` bytes, then EIP-8 on the announced length.
fn read<T>(
    key: &LinkKey,
    bytes: &[u8],
    least: usize,
    from_plain: impl FnOnce(ByteReader<'_>) -> Option<T>,
    from_rlp: impl FnOnce(RlpReader<'_>) -> Result<T, RlpError>,
) -> Result<Reading<T>, PeerFault> {
    if bytes.len() < least {
        return Ok(Reading::Needs(least));
    }
    if bytes.len() == least
        && let Ok(body) = ecies::decrypt(key.expose(), &[], bytes)
    {
        let content = from_plain(ByteReader::new(&body)).ok_or(PeerFault::HandshakeMalformed)?;
        return Ok(Reading::Done(content, Format::Plain));
    }
    let (prefix, sealed) = bytes
        .split_first_chunk::<2>()
        .ok_or(PeerFault::HandshakeLength)?;
    let size = usize::from(u16::from_be_bytes(*prefix));
    if !(least..=MAX_SIZE).contains(&size) {
        return Err(PeerFault::HandshakeLength);
    }
    if sealed.len() < size {
        return Ok(Reading::Needs(size.saturating_add(prefix.len())));
    }
    let body =
        ecies::decrypt(key.expose(), prefix, sealed).map_err(|_| PeerFault::HandshakeCiphertext)?;
    RlpReader::new(&body)
        .list()
        .and_then(from_rlp)
        .map(|content| Reading::Done(content, Format::Eip8))
        .map_err(|RlpError| PeerFault::HandshakeMalformed)
}

fn write_ack(
    recipient: &PublicKey,
    ephemeral: &PublicKey,
    nonce: &[u8; 32],
    format: Format,
    rng: &mut impl CryptoRng,
) -> Vec<u8> {
    let ephemeral = to_relay_key(ephemeral);
    match format {
        Format::Plain => {
            let body = [&ephemeral.0[..], nonce, &[0]].concat();
            ecies::encrypt(rng, recipient, &[], &body)
        }
        Format::Eip8 => {
            let body = RlpWriter::only_list(|body| {
                body.bytes(&ephemeral.0).bytes(nonce).integer(VERSION);
            });
            seal_eip8(recipient, &body, rng)
        }
    }
}

/// Pads and encrypts an EIP-8 body and prefixes its length. The padding is as long as geth's.
fn seal_eip8(recipient: &PublicKey, body: &[u8], rng: &mut impl CryptoRng) -> Vec<u8> {
    let padding = 100_u32.saturating_add(rng.next_u32() % 200);
    let mut padded = body.to_vec();
    padded.extend((0..padding).map(|_| 0));
    // A body of at most 169 bytes: the sum stays below 600.
    let size = u16::try_from(padded.len().saturating_add(ecies::OVERHEAD)).unwrap_or(u16::MAX);
    let prefix = size.to_be_bytes();
    let mut packet = prefix.to_vec();
    packet.extend(ecies::encrypt(rng, recipient, &prefix, &padded));
    packet
}

/// The text that the initiator signs: the static agreement masked with its nonce.
fn challenge(theirs: &PublicKey, ours: &SecretKey, nonce: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    let mut token = ecies::agree(theirs, ours);
    for (to, from) in token.iter_mut().zip(nonce) {
        *to ^= from;
    }
    token
}

fn sign(key: &SecretKey, digest: [u8; 32]) -> [u8; 65] {
    let message = Message::from_digest(digest);
    let (id, compact) =
        RecoverableSignature::sign_ecdsa_recoverable(message, key).serialize_compact();
    let mut signature = [id.to_u8(); 65];
    let [rs @ .., _] = &mut signature;
    *rs = compact;
    signature
}

fn recover(signature: &[u8; 65], digest: [u8; 32]) -> Option<PublicKey> {
    let [rs @ .., id] = signature;
    if *id > 3 {
        return None;
    }
    RecoverableSignature::from_compact(rs, RecoveryId::from_u8_masked(*id))
        .ok()?
        .recover_ecdsa(Message::from_digest(digest))
        .ok()
}

/// The version that we announce; peers must ignore it.
const VERSION: u8 = 4;
/// Longest EIP-8 packet without its prefix: four times the maximum that geth sends.
const MAX_SIZE: usize = 2048;

#[cfg(test)]
mod tests;
