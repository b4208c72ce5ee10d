//! Client identities: the names and keys with which users decrypt and sign messages.
//!
//! An identity is a secp256k1 key pair, or a key shared by a group together with the group's topic.
//! This module defines the rules for names and makes keys; [`crate::keystore`] seals them. No key
//! is derived from, or stored with, a link or relay key (docs/design.md, section "Identities").
//!
//! Version 0.1 stored keys in unencrypted files. [`from_json`] reads those, so that they can be
//! sealed; they are no longer written.

use core::fmt;
use core::str::FromStr;

use circuits::secret::Secret;
use rand_core::CryptoRng;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::envelope::Topic;
use crate::message::{ClientSecret, SymKey};
use crate::node;

/// The user's name for an identity; also the name of its file.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct IdentityName(String);

impl IdentityName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdentityName {
    type Err = BadName;

    fn from_str(name: &str) -> Result<Self, BadName> {
        let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_');
        let good = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.len() <= MAX_NAME_LEN
            && name.chars().all(allowed);
        good.then(|| Self(name.to_owned())).ok_or(BadName)
    }
}

impl fmt::Display for IdentityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The text is not a valid identity name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "a name begins with a letter from a to z, continues with letters, digits, `-` and `_`, and has \
     at most {MAX_NAME_LEN} characters"
)]
pub struct BadName;

/// Parses a topic: eight hexadecimal digits, with or without `0x`.
///
/// # Errors
///
/// [`BadTopic`] for anything else.
pub fn parse_topic(text: &str) -> Result<Topic, BadTopic> {
    let mut topic = [0; 4];
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hex::decode_to_slice(digits, &mut topic).map_err(|_| BadTopic)?;
    Ok(Topic(topic))
}

/// The text is not a topic.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a topic is four bytes, written like 0x1a2b3c4d")]
pub struct BadTopic;

/// The kind of identity to make.
pub enum NewIdentity {
    /// A new key pair.
    KeyPair,
    /// A random key for a group; the other members import its file.
    Shared(Topic),
    /// The key that every Whisper implementation derives from this password.
    FromPassword(Topic, Zeroizing<String>),
}

impl NewIdentity {
    /// Makes the key. Derivation from a password takes a noticeable fraction of a second.
    pub fn make(self, rng: &mut impl CryptoRng) -> node::Identity {
        match self {
            Self::KeyPair => node::Identity::KeyPair(ClientSecret::generate(rng)),
            Self::Shared(topic) => node::Identity::Shared(SymKey::generate(rng), topic),
            Self::FromPassword(topic, password) => {
                // No password is known to derive the all-zero key.
                let key =
                    SymKey::from_password(&password).unwrap_or_else(|_| SymKey::generate(rng));
                node::Identity::Shared(key, topic)
            }
        }
    }
}

impl fmt::Debug for NewIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeyPair => "KeyPair",
            Self::Shared(_) => "Shared([redacted])",
            Self::FromPassword(..) => "FromPassword([redacted])",
        })
    }
}

/// Reads an identity from an unencrypted file.
///
/// # Errors
///
/// [`DamagedIdentity`] if it is not JSON of this format, or its keys are invalid.
pub fn from_json(json: &str) -> Result<node::Identity, DamagedIdentity> {
    match serde_json::from_str(json).map_err(|_| DamagedIdentity)? {
        IdentityEntry::KeyPair { secret, public } => {
            let secret = ClientSecret::from_bytes(&key(&secret)?).map_err(|_| DamagedIdentity)?;
            // The public key is informative; if it differs from the secret key, one was edited.
            if hex::encode(secret.public().to_bytes()) != public {
                return Err(DamagedIdentity);
            }
            Ok(node::Identity::KeyPair(secret))
        }
        IdentityEntry::Shared { key: digits, topic } => {
            let key = SymKey::new(key(&digits)?).map_err(|_| DamagedIdentity)?;
            let topic = parse_topic(&topic).map_err(|_| DamagedIdentity)?;
            Ok(node::Identity::Shared(key, topic))
        }
    }
}

/// The file's content.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "kind")]
enum IdentityEntry {
    KeyPair {
        secret: Zeroizing<String>,
        public: String,
    },
    Shared {
        key: Zeroizing<String>,
        topic: String,
    },
}

fn key(digits: &str) -> Result<Secret<32>, DamagedIdentity> {
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(digits, bytes.as_mut()).map_err(|_| DamagedIdentity)?;
    Ok(Secret::take(&mut bytes))
}

/// The content of an identity file is invalid.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the file contains no identity")]
pub struct DamagedIdentity;

/// Fits in a table row and in the file names of any file system.
const MAX_NAME_LEN: usize = 32;

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn made(wanted: NewIdentity) -> node::Identity {
        wanted.make(&mut ChaCha20Rng::from_seed([1; 32]))
    }

    /// Files as version 0.1 wrote them.
    const KEY_PAIR: &str = r#"{
  "kind": "key_pair",
  "secret": "b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291",
  "public": "04ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd31387574077f301b421bc84df7266c44e9e6d569fc56be00812904767bf5ccd1fc7f"
}"#;
    const SHARED: &str = r#"{
  "kind": "shared",
  "key": "a82a520aff70f7a989098376e48ec128f25f767085e84d7fb995a9815eebff0a",
  "topic": "01020304"
}"#;

    #[test]
    fn unencrypted_files_are_read() {
        let Ok(node::Identity::KeyPair(secret)) = from_json(KEY_PAIR) else {
            panic!("a key pair")
        };
        let public = hex::encode(secret.public().to_bytes());
        assert!(KEY_PAIR.contains(&public));
        let Ok(node::Identity::Shared(_, topic)) = from_json(SHARED) else {
            panic!("a shared key")
        };
        assert_eq!(topic, Topic([1, 2, 3, 4]));
    }

    #[test]
    fn password_derives_key_of_geth() {
        let wanted = NewIdentity::FromPassword(Topic([1, 2, 3, 4]), Zeroizing::new("test".into()));
        let node::Identity::Shared(made, _) = made(wanted) else {
            panic!("a shared key")
        };
        assert!(SHARED.contains(&hex::encode(made.expose())));
    }

    #[test]
    fn edited_file_is_refused() {
        assert!(from_json(&KEY_PAIR.replace("04", "05")).is_err());
        assert!(from_json(&KEY_PAIR.replace("key_pair", "other")).is_err());
        assert!(from_json(&KEY_PAIR.replace("{", "{\"more\":1,")).is_err());
        assert!(from_json("").is_err());
    }

    #[test]
    fn name_with_path_is_refused() {
        for bad in [
            "", "..", "../x", "a/b", ".hidden", "-flag", "Upper", "a b", "ä", "a.json",
        ] {
            assert_eq!(bad.parse::<IdentityName>(), Err(BadName), "{bad}");
        }
        assert_eq!("a".repeat(33).parse::<IdentityName>(), Err(BadName));
        assert_eq!(
            "desk-2_b".parse::<IdentityName>().unwrap().as_str(),
            "desk-2_b"
        );
    }

    #[test]
    fn topic_parses_with_and_without_prefix() {
        assert_eq!(
            parse_topic("0x1a2b3c4d"),
            Ok(Topic([0x1a, 0x2b, 0x3c, 0x4d]))
        );
        assert_eq!(parse_topic("1A2B3C4D"), Ok(Topic([0x1a, 0x2b, 0x3c, 0x4d])));
        assert_eq!(parse_topic("0x1a2b3c"), Err(BadTopic));
    }
}
