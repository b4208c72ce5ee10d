//! Envelopes of `shh/5`, as go-ethereum 1.7 would have composed them (protocol sheet 9).
//!
//! For callers who write to old programs, and who know what they show: lifetime, length, work and
//! the moment of sending are theirs to choose, so none of the hygiene next door holds here. Nothing
//! that this node says by itself takes this form. A protocol that only a few still speak hides
//! nobody, and what is sent in it reaches nobody else.

use core::time::Duration;

use circuits::time::UnixSecs;
use rand_core::CryptoRng;

use super::EncryptionKey;
use crate::envelope::{Topic, Ttl, UnminedEnvelope};
use crate::message::v5::{PlaintextV5, seal_asymmetric, seal_symmetric};
use crate::message::{ClientSecret, Padding, PayloadTooLong};
use crate::pow::{Generations, PowGoal, PowJob, TooMuchWork, required_bits};

/// What is to be said, to whom, and what it may cost.
#[derive(Clone, Copy, Debug)]
pub struct OutgoingMessageV5<'a> {
    /// The hint for its readers.
    pub topic: Topic,
    /// Who can open it.
    pub recipient: EncryptionKey<'a>,
    /// Who signs it, if anybody. A signature can be shown to others.
    pub signer: Option<&'a ClientSecret>,
    /// What is said.
    pub payload: &'a [u8],
    /// How its length is hidden; go-ethereum aligns it.
    pub padding: Padding<'a>,
    /// How long it is to live; zero means 50 seconds.
    pub ttl: Ttl,
    /// The least work it is to have. Zero means as much as `work_time` allows: then the life begins
    /// only after that time.
    pub pow_target: f64,
    /// How long the search may take, in seconds.
    pub work_time: u32,
}

/// An envelope that lacks only its proof of work.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EnvelopeDraftV5 {
    /// The envelope.
    pub unmined: UnminedEnvelope,
    /// What the search for its nonce is to bring.
    pub goal: PowGoal,
}

impl EnvelopeDraftV5 {
    /// The work that closes it: [`UnminedEnvelope::with_nonce`] takes the nonce that the search finds.
    ///
    /// # Errors
    ///
    /// [`TooMuchWork`] never, since the search has a time.
    pub fn pow_job(&self) -> Result<PowJob, TooMuchWork> {
        PowJob::for_goal(&self.unmined, Generations::Legacy, self.goal)
    }
}

/// Drafts an envelope.
///
/// # Errors
///
/// [`PayloadTooLong`] if there is no message of that length.
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
    let patience = Duration::from_secs(message.work_time.into());
    let goal = if message.pow_target > 0.0 {
        let bits = required_bits(message.pow_target, unmined.size(), ttl);
        PowGoal::BitsWithin(bits, patience)
    } else {
        unmined.expiry = unmined.expiry.after(message.work_time);
        PowGoal::BestIn(patience)
    };
    Ok(EnvelopeDraftV5 { unmined, goal })
}

/// What go-ethereum takes for a life of zero.
const DEFAULT_TTL: Ttl = Ttl(50);

#[cfg(test)]
mod tests;
