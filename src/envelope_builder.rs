//! Envelope hygiene: what every envelope of ours looks like from outside.
//!
//! All fields but the data are in clear, and whatever a sender may choose, a habit fills in. So
//! nothing is left to choose: sizes and lifetimes come from [classes](crate::envelope::SizeClass),
//! work is a function of both, the start of the life lies on a lattice and as far back as one law
//! says, whatever the level of privacy, and the nonce begins at random (anonymity notes 1.4 and
//! 3.9; spec M5, M23, F15).
//!
//! The start of a life is public (`expiry - ttl`), and so, at the first hop that sees it, is the
//! lag between start and insertion. Each draft draws its lag from the latency of the slowest
//! interactive level; a path that takes time of its own uses that time up first.
//!
//! All of that is `shh/6`. For whoever has to write to old programs there is [`v5`], which leaves
//! everything to its caller.
//!
//! A draft has everything but its proof of work. Nothing here sends, stores or remembers it.

use core::fmt;
use core::time::Duration;

use circuits::distributions;
use circuits::level::sample_lag;
use circuits::time::UnixSecs;
use rand_core::CryptoRng;
use thiserror::Error;

use crate::envelope::{EncryptionHint, SizeClass, Topic, TtlClass, UnminedEnvelope};
use crate::message::{
    self, ASYMMETRIC_OVERHEAD, ClientPublic, ClientSecret, Padding, Plaintext, SYMMETRIC_OVERHEAD,
    SymKey,
};
use crate::pow::{Generations, PowJob, TooMuchWork, class_bits};

pub mod v5;

/// What is to be said, to whom, and for how long it shall be readable.
#[derive(Clone, Copy, Debug)]
pub struct OutgoingMessage<'a> {
    /// The hint for its readers.
    pub topic: Topic,
    /// Who can open it.
    pub recipient: EncryptionKey<'a>,
    /// Who signs it, if anybody. A signature can be shown to others.
    pub signer: Option<&'a ClientSecret>,
    /// What is said.
    pub payload: &'a [u8],
    /// How long.
    pub life: Life,
    /// The work that the network demands: .2 on the main network.
    pub pow_minimum: f64,
}

/// Who can open a letter.
#[derive(Clone, Copy, Debug)]
pub enum EncryptionKey<'a> {
    /// One person.
    Asymmetric(&'a ClientPublic),
    /// All who share a key.
    Symmetric(&'a SymKey),
}

impl EncryptionKey<'_> {
    /// Which kind of encryption that takes.
    #[must_use]
    pub const fn kind(&self) -> EncryptionKind {
        match self {
            Self::Asymmetric(_) => EncryptionKind::Asymmetric,
            Self::Symmetric(_) => EncryptionKind::Symmetric,
        }
    }
}

/// The kinds of encryption, which differ in what they leave for the payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EncryptionKind {
    /// To a public key.
    Asymmetric,
    /// Under a shared key.
    Symmetric,
}

/// How long an envelope shall be readable, counted from its insertion.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Life {
    /// At least this long, and a quarter of an hour on top for the way.
    pub wanted: Duration,
    /// How long the chosen path will take until the insertion: the sum of the waits drawn for it,
    /// zero for one's own gossip.
    pub travel: Duration,
    /// Which of the classes that are long enough to take.
    pub choice: LifeChoice,
}

/// Which of the lifetimes that are long enough to take.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LifeChoice {
    /// Any of them, for envelopes of one message that must not look alike (spec M3).
    Any,
    /// The shortest, which costs least work.
    #[default]
    Shortest,
}

impl Life {
    /// At least `wanted`, inserted at once.
    #[must_use]
    pub const fn at_least(wanted: Duration) -> Self {
        Self {
            wanted,
            travel: Duration::ZERO,
            choice: LifeChoice::Shortest,
        }
    }

    /// Draws the two time fields of an envelope made at `now`.
    ///
    /// The start lies on the class's lattice, at least a minute before `now` (peers punish starts
    /// in the future, some from two seconds on), and the lag before the insertion.
    ///
    /// # Errors
    ///
    /// [`EnvelopeBuildError::LifeTooLong`] if the longest class does not leave the wanted life.
    pub fn draw(
        self,
        rng: &mut impl CryptoRng,
        now: UnixSecs,
    ) -> Result<(UnixSecs, TtlClass), EnvelopeBuildError> {
        let insertion = now.after(seconds(self.travel));
        let latest = insertion.before(seconds(sample_lag(rng))).min(now);
        let needed = seconds(self.wanted.saturating_add(TTL_RESERVE));
        let expiry = |class: TtlClass| {
            let start = class.lattice_floor(latest.before(MIN_AGE_SECS));
            start.after(class.ttl().0)
        };
        let left = |class: TtlClass| expiry(class).0.saturating_sub(insertion.0);

        let fitting: Vec<_> = TtlClass::ALL
            .into_iter()
            .filter(|&class| left(class) >= needed)
            .collect();
        let class = match self.choice {
            LifeChoice::Shortest => fitting.first(),
            LifeChoice::Any => distributions::pick(rng, &fitting),
        };
        match class {
            Some(&class) => Ok((expiry(class), class)),
            None => Err(EnvelopeBuildError::LifeTooLong {
                max: Duration::from_secs(left(TtlClass::ThreeDays).into())
                    .saturating_sub(TTL_RESERVE),
            }),
        }
    }
}

/// An envelope that lacks only its proof of work.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EnvelopeDraft {
    /// The envelope.
    pub unmined: UnminedEnvelope,
    /// Its length.
    pub size: SizeClass,
    /// Its lifetime.
    pub life: TtlClass,
    /// The zero bits it needs.
    pub bits: u32,
}

impl EnvelopeDraft {
    /// The work that closes it: [`UnminedEnvelope::with_nonce`] takes the nonce that the search finds.
    ///
    /// # Errors
    ///
    /// [`TooMuchWork`] if no computer would finish.
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

/// Drafts an envelope in the smallest class that holds the letter.
///
/// # Errors
///
/// Says which limit the letter exceeds, and what would be within it.
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

    let padding = Padding::UpTo(plaintext_len(kind, size, life));
    let plaintext = Plaintext::build(rng, message.payload, padding, message.signer).map_err(
        |message::PayloadTooLong { max }| EnvelopeBuildError::PayloadTooLong {
            len: message.payload.len(),
            max,
        },
    )?;
    let data = match message.recipient {
        EncryptionKey::Asymmetric(key) => message::seal_asymmetric(rng, key, &plaintext),
        EncryptionKey::Symmetric(key) => message::seal_symmetric(rng, key, &plaintext),
    };
    Ok(EnvelopeDraft::new(
        times,
        size,
        message.topic,
        data,
        message.pow_minimum,
    ))
}

/// Drafts an envelope around data that is encrypted already and has the length of a class
/// ([`SizeClass::data_len`]).
///
/// # Errors
///
/// [`EnvelopeBuildError::NoClass`] if the data has another length for the lifetime in `times`.
pub fn enclose(
    times: (UnixSecs, TtlClass),
    topic: Topic,
    data: Vec<u8>,
    pow_minimum: f64,
) -> Result<EnvelopeDraft, EnvelopeBuildError> {
    let (_, life) = times;
    let size = SizeClass::ALL
        .into_iter()
        .find(|size| size.data_len(life) == data.len())
        .ok_or(EnvelopeBuildError::NoClass { len: data.len() })?;
    Ok(EnvelopeDraft::new(times, size, topic, data, pow_minimum))
}

/// Drafts an envelope of the smallest class that nobody can open: cover for those that somebody
/// can (spec M3).
///
/// # Errors
///
/// [`EnvelopeBuildError::LifeTooLong`] if the longest class does not leave the wanted life.
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
    // Ciphertext under a key that was thrown away is what random bytes are.
    let mut data = vec![0; SizeClass::SMALLEST.data_len(life)];
    rng.fill_bytes(&mut data);
    let size = SizeClass::SMALLEST;
    Ok(EnvelopeDraft::new(times, size, topic, data, pow_minimum))
}

/// The longest payload that an envelope of this shape holds, in bytes.
#[must_use]
pub fn payload_capacity(
    kind: EncryptionKind,
    size: SizeClass,
    life: TtlClass,
    signed: bool,
) -> usize {
    message::max_payload_len(plaintext_len(kind, size, life), signed).unwrap_or(0)
}

/// Why a letter became no envelope.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum EnvelopeBuildError {
    /// No lifetime leaves the wanted life.
    #[error(
        "no envelope lives that long: the longest possible now is {}",
        Hours(*max)
    )]
    LifeTooLong {
        /// The longest life that could be had.
        max: Duration,
    },
    /// Encrypted data has the length of no class.
    #[error("data of {len} bytes fits no size class exactly")]
    NoClass {
        /// Its length.
        len: usize,
    },
    /// The payload fits no envelope.
    #[error("a payload of {len} bytes fits no envelope: at most {max} bytes do")]
    PayloadTooLong {
        /// Its length.
        len: usize,
        /// The longest that would fit.
        max: usize,
    },
}

impl EnvelopeBuildError {
    /// What would help.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::LifeTooLong { .. } => "ask for less, or send it again later",
            Self::NoClass { .. } => "pad it before encrypting",
            Self::PayloadTooLong { .. } => "shorten it or split it",
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

/// What encryption leaves of the data for the plaintext.
fn plaintext_len(kind: EncryptionKind, size: SizeClass, life: TtlClass) -> usize {
    size.data_len(life).saturating_sub(match kind {
        EncryptionKind::Asymmetric => ASYMMETRIC_OVERHEAD,
        EncryptionKind::Symmetric => SYMMETRIC_OVERHEAD,
    })
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

/// What a life is to last beyond what was wanted.
const TTL_RESERVE: Duration = Duration::from_secs(15 * 60);
/// The least age of an envelope when it is made, in seconds.
const MIN_AGE_SECS: u32 = 60;

#[cfg(test)]
mod tests;
