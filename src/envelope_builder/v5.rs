//! Envelopes of `shh/5`, as go-ethereum 1.7 would have composed them (protocol sheet 9).
//!
//! For callers that write to old programs and accept what the outer fields reveal: lifetime,
//! length, work and time of sending are the caller's choice, so the rules of
//! [`envelope_builder`](super) do not apply. The node itself originates no such envelope. A
//! protocol with few remaining users has a small anonymity set, and only they receive its
//! envelopes.

use core::time::Duration;

use circuits::time::UnixSecs;
use rand_core::CryptoRng;

use super::EncryptionKey;
use crate::envelope::{Topic, Ttl, UnminedEnvelope};
use crate::message::v5::{PlaintextV5, seal_asymmetric, seal_symmetric};
use crate::message::{ClientSecret, Padding, PayloadTooLong};
use crate::pow::{Generations, PowGoal, PowJob, TooMuchWork, required_bits};

/// A message to send: its content, its recipient, and the limits of its proof of work.
#[derive(Clone, Copy, Debug)]
pub struct OutgoingMessageV5<'a> {
    /// The hint for its recipients.
    pub topic: Topic,
    /// The key that decrypts it.
    pub recipient: EncryptionKey<'a>,
    /// The signer, if it is signed. A recipient can show a signature to third parties.
    pub signer: Option<&'a ClientSecret>,
    /// The content.
    pub payload: &'a [u8],
    /// How its length is hidden; go-ethereum pads to a multiple of 256 bytes.
    pub padding: Padding<'a>,
    /// Its lifetime; zero means 50 seconds.
    pub ttl: Ttl,
    /// The minimum work. Zero means the most that `work_time` permits; then the lifetime begins
    /// after that time.
    pub pow_target: f64,
    /// Maximum time of the search, in seconds.
    pub work_time: u32,
}

/// An envelope without its proof of work.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EnvelopeDraftV5 {
    /// The envelope.
    pub unmined: UnminedEnvelope,
    /// The goal of its nonce search.
    pub goal: PowGoal,
}

impl EnvelopeDraftV5 {
    /// The proof-of-work job; [`UnminedEnvelope::with_nonce`] takes the nonce that it finds.
    ///
    /// # Errors
    ///
    /// Never fails: the search time is bounded.
    pub fn pow_job(&self) -> Result<PowJob, TooMuchWork> {
        PowJob::for_goal(&self.unmined, Generations::Legacy, self.goal)
    }
}

/// Drafts an envelope.
///
/// # Errors
///
/// [`PayloadTooLong`] if no message of that length exists.
pub fn draft(
    rng: &mut impl CryptoRng,
    now: UnixSecs,
    message: &OutgoingMessageV5<'_>,
) -> Result<EnvelopeDraftV5, PayloadTooLong> {
    let plaintext = PlaintextV5::build(rng, message.payload, message.padding, message.signer)?;
    let (hint, data) = match message.recipient {
        EncryptionKey::Asymmetric(key) => seal_asymmetric(rng, key, &plaintext),
        EncryptionKey::Symmetric(key) => seal_symmetric(rng, key, &plaintext),
    };
    let ttl = match message.ttl {
        Ttl(0) => DEFAULT_TTL,
        given => given,
    };
    let mut unmined = UnminedEnvelope {
        expiry: now.after(ttl.0),
        ttl,
        topic: message.topic,
        hint,
        data,
    };
    let work_time = Duration::from_secs(message.work_time.into());
    let goal = if message.pow_target > 0.0 {
        let bits = required_bits(message.pow_target, unmined.size(), ttl);
        PowGoal::BitsWithin(bits, work_time)
    } else {
        unmined.expiry = unmined.expiry.after(message.work_time);
        PowGoal::BestIn(work_time)
    };
    Ok(EnvelopeDraftV5 { unmined, goal })
}

/// The lifetime that go-ethereum uses if the request has zero.
const DEFAULT_TTL: Ttl = Ttl(50);

#[cfg(test)]
mod tests;
