//! Builds outgoing envelopes whose outer fields do not distinguish their senders.
//!
//! All fields but the data are in clear, and any freely chosen value is a fingerprint. So nothing
//! is left to choose: sizes and lifetimes come from [classes](crate::envelope::SizeClass), the work
//! is a function of both, the start of the lifetime is a lattice point drawn from one distribution
//! for all privacy levels, and the nonce search begins at random (anonymity notes 1.4 and 3.9; spec
//! M5, M23, F15).
//!
//! The start of a lifetime is public (`expiry - ttl`), and so, at the first hop, is the lag between
//! start and insertion. Each draft sets the start back by what the waits of its path lack to the latency
//! of `dark` in this epoch ([`sample_lag`]). The class of a lifetime follows from the wanted lifetime alone: a class
//! that depended on the lag would show how much of it the path has used.
//!
//! All of this is `shh/6`. For callers that write to old programs there is [`v5`], which leaves all
//! fields to the caller.
//!
//! A draft has everything but its proof of work. This module sends and stores nothing.

use core::fmt;
use core::time::Duration;

use circuits::distributions;
use circuits::level::{Level, LevelRules, mean_lag, sample_lag};
use circuits::mixing::DelayClass;
use circuits::time::UnixSecs;
use rand_core::CryptoRng;
use thiserror::Error;

use crate::envelope::{EncryptionHint, SizeClass, Topic, TtlClass, UnminedEnvelope};
use crate::message::{
    self, ASYMMETRIC_OVERHEAD, ClientPublic, ClientSecret, CopyTag, Padding, Plaintext,
    SYMMETRIC_OVERHEAD, SymKey,
};
use crate::pow::{Generations, PowJob, TooMuchWork, class_bits};

mod prepared;
mod scattered;
mod sealed;
pub mod v5;

pub use self::prepared::{PREPARED_TTL, draft_prepared, prepared_len};
pub use self::scattered::{draft_shard, fits_smallest, longest_scattered, scatter_message};
pub use self::sealed::{
    SealedMessage, SealedShape, ShapedMessage, draft_sealed, draft_sealed_shard, draft_shaped,
    longest_scattered_body, scatter_sealed,
};

/// A message to send: its content, its recipient, and its lifetime.
#[derive(Clone, Copy, Debug)]
pub struct OutgoingMessage<'a> {
    /// The hint for its recipients.
    pub topic: Topic,
    /// The key that decrypts it.
    pub recipient: EncryptionKey<'a>,
    /// The signer, if it is signed. A recipient can show a signature to third parties.
    pub signer: Option<&'a ClientSecret>,
    /// The content.
    pub payload: &'a [u8],
    /// The lifetime.
    pub life: Life,
    /// The tag of the message, the same in all envelopes that are made of it.
    pub tag: CopyTag,
    /// The minimum proof of work of the network: 0.2 on the main network.
    pub pow_minimum: f64,
}

/// The recipient of a message.
#[derive(Clone, Copy, Debug)]
pub enum EncryptionKey<'a> {
    /// One client identity.
    Asymmetric(&'a ClientPublic),
    /// All holders of a symmetric key.
    Symmetric(&'a SymKey),
}

impl EncryptionKey<'_> {
    /// The kind of encryption for this recipient.
    #[must_use]
    pub const fn kind(&self) -> EncryptionKind {
        match self {
            Self::Asymmetric(_) => EncryptionKind::Asymmetric,
            Self::Symmetric(_) => EncryptionKind::Symmetric,
        }
    }
}

/// The kinds of encryption, which leave different amounts of space for the payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EncryptionKind {
    /// To a public key.
    Asymmetric,
    /// Under a shared key.
    Symmetric,
}

/// The lifetime of an envelope, counted from its insertion.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Life {
    /// The minimum; a quarter of an hour is added for propagation.
    pub wanted: Duration,
    /// The rules of the path to the place of insertion.
    pub path: &'static LevelRules,
    /// The delay class of the epoch, which the lag completes at every level.
    pub delays: DelayClass,
    /// How to choose among the classes that are long enough.
    pub choice: LifeChoice,
}

/// How to choose among the lifetime classes that are long enough.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LifeChoice {
    /// Any of them: envelopes of one message must not look alike (spec M3).
    Any,
    /// The shortest, which needs the least work.
    #[default]
    Shortest,
}

impl Life {
    /// At least `wanted`, for an envelope that the node inserts itself.
    #[must_use]
    pub const fn at_least(wanted: Duration) -> Self {
        Self {
            wanted,
            path: Level::Open.rules(),
            delays: DelayClass::LONGEST,
            choice: LifeChoice::Shortest,
        }
    }

    /// The same for an envelope that takes a path with these rules, in an epoch of this class.
    #[must_use]
    pub const fn over(self, path: &'static LevelRules, delays: DelayClass) -> Self {
        Self {
            path,
            delays,
            ..self
        }
    }

    /// The classes that are long enough, shortest first. They do not depend on the time or on chance,
    /// so a user can know them in advance, and an observer learns nothing from them but the wanted
    /// lifetime.
    ///
    /// # Errors
    ///
    /// [`EnvelopeBuildError::LifeTooLong`] if the longest class does not leave the wanted lifetime.
    pub fn classes(self) -> Result<Vec<TtlClass>, EnvelopeBuildError> {
        let fits = |class: &TtlClass| class_capacity(*class) >= self.wanted;
        let fitting: Vec<_> = TtlClass::ALL.into_iter().filter(fits).collect();
        if fitting.is_empty() {
            return Err(EnvelopeBuildError::LifeTooLong {
                max: class_capacity(TtlClass::ThreeDays),
            });
        }
        Ok(fitting)
    }

    /// Draws the two time fields of an envelope made at `now`.
    ///
    /// The start is the latest point of the class's lattice that is at least a minute and a random lag
    /// before `now`: peers punish starts in the future, some from two seconds on.
    ///
    /// # Errors
    ///
    /// Those of [`classes`](Self::classes).
    pub fn draw(
        self,
        rng: &mut impl CryptoRng,
        now: UnixSecs,
    ) -> Result<(UnixSecs, TtlClass), EnvelopeBuildError> {
        let fitting = self.classes()?;
        let class = match self.choice {
            LifeChoice::Shortest => fitting.first(),
            LifeChoice::Any => distributions::pick(rng, &fitting),
        };
        let class = class.copied().unwrap_or(TtlClass::ThreeDays);
        let lag = seconds(sample_lag(rng, self.path, self.delays));
        let start = class.lattice_floor(now.before(lag).before(MIN_AGE_SECS));
        Ok((start.after(class.ttl().0), class))
    }
}

/// The longest lifetime that an envelope of this class is certain to leave after its insertion, but for
/// a lag above the longest mean, which the reserve covers.
fn class_capacity(class: TtlClass) -> Duration {
    let ttl = class.ttl().0;
    let used = class.lattice_step().saturating_add(MIN_AGE_SECS);
    Duration::from_secs(ttl.saturating_sub(used).into())
        .saturating_sub(mean_lag(DelayClass::LONGEST))
        .saturating_sub(TTL_RESERVE)
}

/// An envelope without its proof of work.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EnvelopeDraft {
    /// The envelope.
    pub unmined: UnminedEnvelope,
    /// Its size class.
    pub size: SizeClass,
    /// Its lifetime class.
    pub life: TtlClass,
    /// The zero bits that its proof of work needs.
    pub bits: u32,
}

impl EnvelopeDraft {
    /// The proof-of-work job; [`UnminedEnvelope::with_nonce`] takes the nonce that it finds.
    ///
    /// # Errors
    ///
    /// [`TooMuchWork`] if no computer could finish it.
    pub fn pow_job(&self, generations: Generations) -> Result<PowJob, TooMuchWork> {
        PowJob::new(&self.unmined, generations, self.bits)
    }

    fn new(
        (expiry, life): (UnixSecs, TtlClass),
        size: SizeClass,
        topic: Topic,
        data: Vec<u8>,
        pow_minimum: f64,
    ) -> Self {
        let unmined = UnminedEnvelope {
            expiry,
            ttl: life.ttl(),
            topic,
            hint: EncryptionHint::Absent,
            data,
        };
        Self {
            unmined,
            size,
            life,
            bits: class_bits(pow_minimum, size, life),
        }
    }
}

/// Drafts an envelope in the smallest class that holds the message.
///
/// # Errors
///
/// Names the limit that the message exceeds, and the maximum.
pub fn draft(
    rng: &mut impl CryptoRng,
    now: UnixSecs,
    message: &OutgoingMessage<'_>,
) -> Result<EnvelopeDraft, EnvelopeBuildError> {
    let times = message.life.draw(rng, now)?;
    let (_, life) = times;
    let kind = message.recipient.kind();
    let signed = message.signer.is_some();
    let size = SizeClass::ALL
        .into_iter()
        .find(|&size| payload_capacity(kind, size, life, signed) >= message.payload.len())
        .ok_or_else(|| EnvelopeBuildError::PayloadTooLong {
            len: message.payload.len(),
            max: payload_capacity(kind, SizeClass::LARGEST, life, signed),
        })?;

    let padding = Padding::Tagged(message.tag, plaintext_len(kind, size, life));
    let plaintext = Plaintext::build(rng, message.payload, padding, message.signer).map_err(
        |message::PayloadTooLong { max }| EnvelopeBuildError::PayloadTooLong {
            len: message.payload.len(),
            max,
        },
    )?;
    let data = seal(rng, message.recipient, &plaintext);
    Ok(EnvelopeDraft::new(
        times,
        size,
        message.topic,
        data,
        message.pow_minimum,
    ))
}

fn seal(rng: &mut impl CryptoRng, key: EncryptionKey<'_>, plaintext: &Plaintext) -> Vec<u8> {
    match key {
        EncryptionKey::Asymmetric(key) => message::seal_asymmetric(rng, key, plaintext),
        EncryptionKey::Symmetric(key) => message::seal_symmetric(rng, key, plaintext),
    }
}

/// Drafts an envelope of the smallest class that no key decrypts: cover traffic for real envelopes
/// (spec M3).
///
/// # Errors
///
/// [`EnvelopeBuildError::LifeTooLong`] if the longest class does not leave the wanted lifetime.
pub fn dummy(
    rng: &mut impl CryptoRng,
    now: UnixSecs,
    life: Life,
    pow_minimum: f64,
) -> Result<EnvelopeDraft, EnvelopeBuildError> {
    let times = life.draw(rng, now)?;
    let (_, life) = times;
    let mut topic = Topic([0; 4]);
    rng.fill_bytes(&mut topic.0);
    // Random bytes are indistinguishable from ciphertext under a discarded key.
    let mut data = vec![0; SizeClass::SMALLEST.data_len(life)];
    rng.fill_bytes(&mut data);
    let size = SizeClass::SMALLEST;
    Ok(EnvelopeDraft::new(times, size, topic, data, pow_minimum))
}

/// The longest lifetime that an envelope can be sent with at any moment: the longest class, less a step
/// of its lattice and an hour for the lag and for the way.
pub const MAX_LIFE: Duration = Duration::from_secs(59 * 3_600);

/// The longest payload that any envelope holds, in bytes; most shapes hold less.
#[must_use]
pub fn longest_payload() -> usize {
    let kinds = [EncryptionKind::Asymmetric, EncryptionKind::Symmetric];
    let shapes = kinds
        .into_iter()
        .flat_map(|kind| TtlClass::ALL.map(|life| (kind, life)));
    shapes
        .map(|(kind, life)| payload_capacity(kind, SizeClass::LARGEST, life, false))
        .max()
        .unwrap_or(0)
}

/// The longest payload that an envelope of this shape holds beside the message's tag, in bytes.
#[must_use]
fn payload_capacity(kind: EncryptionKind, size: SizeClass, life: TtlClass, signed: bool) -> usize {
    let room = plaintext_len(kind, size, life).saturating_sub(CopyTag::LEN);
    message::max_payload_len(room, signed).unwrap_or(0)
}

/// Why no envelope was built.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum EnvelopeBuildError {
    /// Prepared data fill no class of sizes.
    #[error("{len} bytes of prepared data fill no class of envelopes that live three days")]
    NoClass {
        /// Their length.
        len: usize,
    },
    /// No lifetime class leaves the wanted lifetime.
    #[error(
        "no envelope lives that long; the longest lifetime is {}",
        Hours(*max)
    )]
    LifeTooLong {
        /// The longest possible lifetime.
        max: Duration,
    },
    /// The payload exceeds the largest envelope.
    #[error("a payload of {len} bytes does not fit in an envelope: the maximum is {max} bytes")]
    PayloadTooLong {
        /// Its length.
        len: usize,
        /// The maximum length.
        max: usize,
    },
    /// The payload exceeds the largest message that can be scattered.
    #[error("a payload of {len} bytes cannot be scattered: the maximum is {max} bytes")]
    ScatterTooLong {
        /// Its length.
        len: usize,
        /// The maximum length.
        max: usize,
    },
}

impl EnvelopeBuildError {
    /// What the user can do.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::NoClass { .. } => "pad them to a class of docs/wire.md",
            Self::LifeTooLong { .. } => "ask for a shorter lifetime",
            Self::PayloadTooLong { .. } | Self::ScatterTooLong { .. } => "shorten it or split it",
        }
    }
}

/// Prints a duration in hours and minutes.
struct Hours(Duration);

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.0.as_secs() / 60;
        write!(f, "{} h {} min", minutes / 60, minutes % 60)
    }
}

/// The space that encryption leaves for the plaintext, in bytes.
fn plaintext_len(kind: EncryptionKind, size: SizeClass, life: TtlClass) -> usize {
    size.data_len(life).saturating_sub(match kind {
        EncryptionKind::Asymmetric => ASYMMETRIC_OVERHEAD,
        EncryptionKind::Symmetric => SYMMETRIC_OVERHEAD,
    })
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

/// Time added to the wanted lifetime for propagation, and for lags above their mean.
const TTL_RESERVE: Duration = Duration::from_secs(15 * 60);
/// Minimum age of an envelope when it is drafted, in seconds.
const MIN_AGE_SECS: u32 = 60;

#[cfg(test)]
mod tests;
