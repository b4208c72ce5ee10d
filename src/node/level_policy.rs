//! The level of a message: the one that it names, else that of its recipient, else the node's.
//!
//! A custom level is a level of the program with limits of the user. A limit refuses a message whose price
//! is too high, or a network that is too small; nothing is lowered, and nothing changes on the wire. The
//! level that a message names decides also against the recipient's entry. This module reads prices and
//! measurements, and computes neither.

use core::fmt;
use core::str::FromStr;

use circuits::level::Level;

use super::command::{ReaderKind, Recipient, Refusal, SendRequest};
use super::views::EstimateView;
use crate::message::ClientPublic;
use crate::suggest::closest;

/// A level by its word, or a custom level by its name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LevelChoice {
    /// A level of the program.
    Standard(Level),
    /// A level of the user's configuration.
    Custom(String),
}

impl FromStr for LevelChoice {
    type Err = LevelNameError;

    fn from_str(word: &str) -> Result<Self, LevelNameError> {
        if let Ok(level) = word.parse() {
            return Ok(Self::Standard(level));
        }
        custom_name(word).map(Self::Custom)
    }
}

impl fmt::Display for LevelChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard(level) => f.pad(level.word()),
            Self::Custom(name) => f.pad(name),
        }
    }
}

fn custom_name(word: &str) -> Result<String, LevelNameError> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = word.starts_with(|c: char| c.is_ascii_lowercase());
    if !begins || word.len() > MAX_NAME || !word.chars().all(allowed) {
        return Err(LevelNameError::Form);
    }
    if word.parse::<Level>().is_ok() {
        return Err(LevelNameError::Taken);
    }
    Ok(word.to_owned())
}

/// A level of the user's own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CustomLevel {
    name: String,
    base: Level,
    limits: LevelLimits,
}

impl CustomLevel {
    /// A level of this name.
    ///
    /// # Errors
    ///
    /// [`LevelNameError`] if the name is not one, belongs to a level of the program, or a limit can never
    /// hold.
    pub fn new(name: &str, base: Level, limits: LevelLimits) -> Result<Self, LevelNameError> {
        let mixes = matches!(base, Level::Hush | Level::Dark | Level::Bulletin);
        if limits.min_pool.is_some() && !mixes {
            return Err(LevelNameError::NoPool);
        }
        Ok(Self {
            name: custom_name(name)?,
            base,
            limits,
        })
    }

    /// The level of the program that it is based on.
    #[must_use]
    pub const fn base(&self) -> Level {
        self.base
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks the price of a message and the network against the limits.
    ///
    /// # Errors
    ///
    /// [`Refusal`] with the first limit that does not hold.
    pub fn check(&self, estimate: &EstimateView, network: &LimitedNetwork) -> Result<(), Refusal> {
        let LevelLimits {
            max_seconds,
            max_bytes,
            min_pool,
            min_relays,
        } = self.limits;
        let seconds = estimate.p95_ms.div_ceil(1000);
        let most = [
            (
                "max-seconds",
                max_seconds,
                seconds,
                "seconds (95th percentile)",
            ),
            (
                "max-bytes",
                max_bytes,
                estimate.network_bytes,
                "bytes over all hops",
            ),
        ];
        for (key, limit, value, unit) in most {
            if let Some(limit) = limit.filter(|limit| value > *limit) {
                return Err(self.refusal(
                    key,
                    limit,
                    format_args!("the message needs {value} {unit}"),
                ));
            }
        }
        if let Some(limit) = min_relays.filter(|limit| network.relays < *limit) {
            let relays = network.relays;
            return Err(self.refusal(
                "min-relays",
                limit,
                format_args!("paths can use {relays} relays"),
            ));
        }
        if let Some(limit) = min_pool.filter(|limit| network.pool.is_none_or(|pool| pool < *limit))
        {
            return Err(match network.pool {
                Some(pool) => self.refusal(
                    "min-pool",
                    limit,
                    format_args!("{pool} cells wait at a relay"),
                ),
                None => self.refusal("min-pool", limit, format_args!("the pool is not measured")),
            });
        }
        Ok(())
    }

    fn refusal(&self, key: &str, limit: u64, found: fmt::Arguments<'_>) -> Refusal {
        let name = &self.name;
        Refusal::policy(
            format!("custom level `{name}`: {found}, and `{key}` is {limit}"),
            format!(
                "wait, change the limit below [levels.custom.{name}], or choose another level yourself"
            ),
        )
    }
}

/// The limits of a custom level.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LevelLimits {
    /// Maximum 95th percentile of the time after the proof of work, in seconds.
    pub max_seconds: Option<u64>,
    /// Maximum number of bytes of cells over all hops.
    pub max_bytes: Option<u64>,
    /// Minimum number of cells that wait at a typical relay.
    pub min_pool: Option<u64>,
    /// Minimum number of relays that paths can use.
    pub min_relays: Option<u64>,
}

/// What limits need to know about the network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LimitedNetwork {
    /// Relays that paths can use.
    pub relays: u64,
    /// Cells that wait at a typical relay, if the level mixes.
    pub pool: Option<u64>,
}

/// The level of the messages to one recipient.
#[derive(Clone, Debug)]
pub struct RecipientPolicy {
    to: RecipientName,
    level: LevelChoice,
    reader: ReaderKind,
}

#[derive(Clone, Eq, PartialEq)]
enum RecipientName {
    /// A public key, `04 | x | y`.
    Key(Box<[u8; 65]>),
    /// A shared identity of this node.
    Shared(String),
}

impl fmt::Debug for RecipientName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecipientName([redacted])")
    }
}

impl RecipientPolicy {
    /// The level of messages to a public key (130 hexadecimal digits, `0x` may precede them) or to a
    /// shared identity.
    ///
    /// # Errors
    ///
    /// [`LevelNameError::Recipient`] for digits that are not a key.
    pub fn new(to: &str, level: LevelChoice, reader: ReaderKind) -> Result<Self, LevelNameError> {
        let digits = to.strip_prefix("0x");
        let is_key = to.starts_with(|c: char| c.is_ascii_digit());
        let to = match digits.or_else(|| is_key.then_some(to)) {
            None if to.is_empty() => return Err(LevelNameError::Recipient),
            None => RecipientName::Shared(to.to_owned()),
            Some(digits) => {
                let bytes = hex::decode(digits).map_err(|_| LevelNameError::Recipient)?;
                let key =
                    ClientPublic::from_bytes(&bytes).map_err(|_| LevelNameError::Recipient)?;
                RecipientName::Key(Box::new(key.to_bytes()))
            }
        };
        Ok(Self { to, level, reader })
    }

    fn is_for(&self, recipient: &Recipient) -> bool {
        match (&self.to, recipient) {
            (RecipientName::Key(own), Recipient::Public(key, _)) => **own == key.to_bytes(),
            (RecipientName::Shared(own), Recipient::Shared(name)) => own == name,
            _ => false,
        }
    }
}

/// The user's choice of levels.
#[derive(Clone, Debug, Default)]
pub struct LevelPolicy {
    custom: Vec<CustomLevel>,
    recipients: Vec<RecipientPolicy>,
}

/// The level that applies to a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChosenLevel<'a> {
    /// The level of the program.
    pub level: Level,
    /// The custom level whose limits have to hold.
    pub custom: Option<&'a CustomLevel>,
    /// What the recipient reads with, if its entry tells.
    pub reader: Option<ReaderKind>,
}

impl LevelPolicy {
    /// A policy with these entries.
    ///
    /// # Errors
    ///
    /// [`LevelPolicyError`] if an entry names an unknown level, or two entries have one name.
    pub fn new(
        custom: Vec<CustomLevel>,
        recipients: Vec<RecipientPolicy>,
    ) -> Result<Self, LevelPolicyError> {
        let policy = Self { custom, recipients };
        for (index, own) in policy.custom.iter().enumerate() {
            if policy
                .custom
                .iter()
                .skip(index + 1)
                .any(|other| other.name == own.name)
            {
                return Err(LevelPolicyError::Twice(own.name.clone()));
            }
        }
        for (index, own) in policy.recipients.iter().enumerate() {
            if policy
                .recipients
                .iter()
                .skip(index + 1)
                .any(|other| other.to == own.to)
            {
                return Err(LevelPolicyError::RecipientTwice);
            }
            if let LevelChoice::Custom(name) = &own.level
                && policy.named(name).is_none()
            {
                return Err(LevelPolicyError::Unknown(name.clone()));
            }
        }
        Ok(policy)
    }

    /// The level of a message. `default` applies if neither the message nor an entry for its recipient
    /// names a level; `name` is the custom level that the message names.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if there is no custom level of this name.
    pub fn choose(
        &self,
        default: Level,
        name: Option<&str>,
        request: &SendRequest,
    ) -> Result<ChosenLevel<'_>, Refusal> {
        let mut recipients = self.recipients.iter();
        let entry = recipients.find(|entry| entry.is_for(&request.to));
        let chosen = self.choose_by(name, request.level, entry)?;
        Ok(chosen.unwrap_or_else(|| ChosenLevel {
            level: default,
            custom: None,
            reader: entry.map(|entry| entry.reader),
        }))
    }

    /// The level of a message to a contact of this name; `None` if neither the message nor an entry names one.
    /// What a contact reads with is known: an entry of a recipient without whisht changes nothing.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if there is no custom level of this name.
    pub fn choose_for_contact(
        &self,
        name: Option<&str>,
        level: Option<Level>,
        contact: Option<&str>,
    ) -> Result<Option<ChosenLevel<'_>>, Refusal> {
        let mut recipients = self.recipients.iter();
        let entry = contact.and_then(|contact| {
            recipients.find(|entry| match &entry.to {
                RecipientName::Shared(own) => own == contact,
                RecipientName::Key(_) => false,
            })
        });
        self.choose_by(name, level, entry)
    }

    /// The level by the custom name or the level of a message, else by the entry of its recipient.
    fn choose_by<'a>(
        &'a self,
        name: Option<&str>,
        level: Option<Level>,
        entry: Option<&'a RecipientPolicy>,
    ) -> Result<Option<ChosenLevel<'a>>, Refusal> {
        let reader = entry.map(|entry| entry.reader);
        let standard = |level| {
            Ok(Some(ChosenLevel {
                level,
                custom: None,
                reader,
            }))
        };
        let name = match (name, level, entry.map(|entry| &entry.level)) {
            (Some(name), ..) => name,
            (None, Some(level), _) => return standard(level),
            (None, None, Some(LevelChoice::Custom(name))) => name.as_str(),
            (None, None, Some(LevelChoice::Standard(level))) => return standard(*level),
            (None, None, None) => return Ok(None),
        };
        let custom = self.named(name).ok_or_else(|| self.unknown(name))?;
        Ok(Some(ChosenLevel {
            level: custom.base,
            custom: Some(custom),
            reader,
        }))
    }

    /// The custom levels.
    #[must_use]
    pub fn custom(&self) -> &[CustomLevel] {
        &self.custom
    }

    /// The custom level of this name, whose limits a later attempt of a message has to keep.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if the configuration has no such level any more.
    pub fn custom_named(&self, name: &str) -> Result<&CustomLevel, Refusal> {
        self.named(name).ok_or_else(|| self.unknown(name))
    }

    fn named(&self, name: &str) -> Option<&CustomLevel> {
        self.custom.iter().find(|custom| custom.name == name)
    }

    fn unknown(&self, name: &str) -> Refusal {
        let names = self.custom.iter().map(CustomLevel::name);
        let names = names.chain(Level::ALL.map(Level::word));
        let remedy = match closest(name, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add [levels.custom.{name}] to the configuration file"),
        };
        Refusal::usage(format!("there is no level {name:?}"), remedy)
    }
}

/// An entry that cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LevelNameError {
    /// The name has another form.
    #[error(
        "expected a level, or the name of a custom one: up to 32 letters from a to z, digits and hyphens, a \
         letter first"
    )]
    Form,
    /// The name is that of a level of the program.
    #[error("this is a level of the program; choose another name for a custom level")]
    Taken,
    /// A pool is asked of a level that does not mix.
    #[error("`min-pool` needs a base that mixes, hush or dark")]
    NoPool,
    /// The recipient is neither a key nor a name.
    #[error(
        "expected a public key (65 bytes that begin with 04, in hexadecimal digits) or the name of a shared \
         identity"
    )]
    Recipient,
}

/// Entries that contradict each other.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LevelPolicyError {
    /// Two custom levels of one name.
    #[error("there are two custom levels `{0}`; rename one")]
    Twice(String),
    /// Two entries for one recipient.
    #[error("`levels.recipients` has two entries for one recipient; remove one")]
    RecipientTwice,
    /// A recipient's level does not exist.
    #[error(
        "`levels.recipients` names the level `{0}`, which does not exist; add [levels.custom.{0}]"
    )]
    Unknown(String),
}

/// Maximum length of the name of a custom level, in letters.
const MAX_NAME: usize = 32;

#[cfg(test)]
mod tests;
