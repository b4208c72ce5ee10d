//! The double ratchet, Olm, by vodozemac: the only module that names that crate.
//!
//! vodozemac draws its keys from the system's generator, not from ours (docs/decisions/0021). Olm
//! authenticates nothing but its own plaintext; what else belongs to a message is bound inside it.
//! Only version 2 of the message format, whose authentication code is not truncated, is accepted.

use vodozemac::Curve25519PublicKey;
use vodozemac::olm::{
    Account, AccountPickle, DecryptionError, Message, OlmMessage, PreKeyMessage, Session,
    SessionConfig, SessionPickle,
};
use zeroize::Zeroizing;

use super::codec::{BadState, StateReader, StateWriter};

/// Chains of the peer that Olm keeps. A message of an older one cannot be decrypted.
pub const MAX_RECEIVING_CHAINS: u32 = 5;
/// Keys of skipped messages that Olm keeps for each chain.
pub const MAX_SKIPPED_MESSAGES: u32 = 40;

/// What the ratchet refuses.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RatchetError {
    /// The bytes are not a message of Olm, version 2.
    #[error("not a message of Olm, version 2")]
    Malformed,
    /// A first message was made for another pre-key.
    #[error("the first message is for a pre-key that is not of this generation")]
    OtherPreKey,
    /// A key of the message or of the card leads to a secret that everyone knows.
    #[error("a key of the message has low order")]
    WeakKey,
    /// The message was decrypted before, or more messages were skipped than Olm keeps keys for.
    #[error("the key of the message was used, or is not kept")]
    KeyGone,
    /// The message is forged, damaged, or of a chain that Olm no longer keeps.
    #[error("the message is not authentic")]
    NotAuthentic,
}

/// The keys of the initiator, both used for one conversation only.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InitiatorKeys {
    /// Olm identity key of the initiator.
    pub identity: [u8; 32],
    /// Olm base key.
    pub base: [u8; 32],
}

/// The pre-keys of one generation: an Olm account with exactly one fallback key, and no one-time key.
pub struct PreKeys {
    account: Account,
    fallback: Curve25519PublicKey,
}

impl PreKeys {
    /// Draws new keys, from the system's generator.
    #[must_use]
    pub fn create() -> Self {
        loop {
            let mut account = Account::new();
            account.generate_fallback_key();
            let fallback = account.fallback_key().into_values().next();
            account.mark_keys_as_published();
            // The account that just made a fallback key has one.
            if let Some(fallback) = fallback {
                return Self { account, fallback };
            }
        }
    }

    /// Olm identity key.
    #[must_use]
    pub fn identity_key(&self) -> [u8; 32] {
        self.account.curve25519_key().to_bytes()
    }

    /// Olm fallback key.
    #[must_use]
    pub fn fallback_key(&self) -> [u8; 32] {
        self.fallback.to_bytes()
    }

    /// Starts the session of a first message. Returns the text of the message, too.
    ///
    /// A second call with a message of the same session starts another ratchet, from the same keys: the
    /// caller must know the sessions that it has.
    ///
    /// # Errors
    ///
    /// If the message is malformed, for other keys, or not authentic.
    pub fn accept(
        &mut self,
        first_message: &[u8],
    ) -> Result<(Ratchet, InitiatorKeys, Zeroizing<Vec<u8>>), RatchetError> {
        let message = parse_first(first_message)?;
        if message.one_time_key() != self.fallback {
            return Err(RatchetError::OtherPreKey);
        }
        let created = self
            .account
            .create_inbound_session(SessionConfig::version_2(), message.identity_key(), &message)
            .map_err(|_| RatchetError::NotAuthentic)?;
        let mut ratchet = Ratchet::of(created.session);
        ratchet.note_peer_key(message.message().ratchet_key());
        let keys = ratchet.initiator_keys();
        Ok((ratchet, keys, Zeroizing::new(created.plaintext)))
    }

    /// The record of the keys.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = StateWriter::new(VERSION);
        writer.array(self.fallback.as_bytes());
        write_json(&mut writer, &self.account.pickle());
        writer.finish()
    }

    /// Reads the record.
    ///
    /// # Errors
    ///
    /// [`BadState`] if the record is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadState> {
        let mut reader = StateReader::new(bytes, VERSION)?;
        let fallback = Curve25519PublicKey::from_bytes(reader.array()?);
        let pickle: AccountPickle = read_json(&mut reader)?;
        reader.finish()?;
        Ok(Self {
            account: Account::from_pickle(pickle),
            fallback,
        })
    }
}

/// One end of an Olm session.
pub struct Ratchet {
    session: Session,
    /// The peer's ratchet keys of the chains that Olm keeps, the newest last.
    peer_keys: Vec<Curve25519PublicKey>,
    chain: SendingPosition,
}

/// Where in the sending chains of a ratchet a message was encrypted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SendingPosition {
    /// Number of the sending chain.
    pub chain: u32,
    /// Number of the message within the chain.
    pub index: u32,
}

impl Ratchet {
    /// Starts a session with the keys of a card. The keys of this end are drawn from the system's
    /// generator.
    ///
    /// # Errors
    ///
    /// [`RatchetError::WeakKey`] if a key of the card has low order.
    pub fn start(
        identity_key: &[u8; 32],
        fallback_key: &[u8; 32],
    ) -> Result<(Self, InitiatorKeys), RatchetError> {
        // Olm uses the identity key of the initiator for the first secret only, so the account ends here.
        let session = Account::new()
            .create_outbound_session(
                SessionConfig::version_2(),
                Curve25519PublicKey::from_bytes(*identity_key),
                Curve25519PublicKey::from_bytes(*fallback_key),
            )
            .map_err(|_| RatchetError::WeakKey)?;
        let ratchet = Self::of(session);
        let keys = ratchet.initiator_keys();
        Ok((ratchet, keys))
    }

    fn of(session: Session) -> Self {
        Self {
            session,
            peer_keys: Vec::new(),
            chain: SendingPosition::default(),
        }
    }

    /// The keys that started the session.
    #[must_use]
    pub fn initiator_keys(&self) -> InitiatorKeys {
        let keys = self.session.session_keys();
        InitiatorKeys {
            identity: keys.identity_key.to_bytes(),
            base: keys.base_key.to_bytes(),
        }
    }

    /// Encrypts: a first message until the peer has answered, a normal one after that. The ratchet has
    /// moved on; it must be durable before the result leaves.
    ///
    /// # Errors
    ///
    /// [`RatchetError::WeakKey`] if the peer's last ratchet key has low order.
    pub fn encrypt(&mut self, text: &[u8]) -> Result<(Vec<u8>, SendingPosition), RatchetError> {
        let message = self
            .session
            .encrypt(text)
            .map_err(|_| RatchetError::WeakKey)?;
        let position = self.chain;
        self.chain.index = self.chain.index.saturating_add(1);
        Ok((message.to_parts().1, position))
    }

    /// The keys that started the session of a first message.
    ///
    /// # Errors
    ///
    /// [`RatchetError::Malformed`] if the bytes are not a first message.
    pub fn keys_of_first(first_message: &[u8]) -> Result<InitiatorKeys, RatchetError> {
        let message = parse_first(first_message)?;
        Ok(InitiatorKeys {
            identity: message.identity_key().to_bytes(),
            base: message.base_key().to_bytes(),
        })
    }

    /// Whether something has come from the peer, so that messages have the normal form.
    #[must_use]
    pub const fn is_answered(&self) -> bool {
        self.session.has_received_message()
    }

    /// Where the next message is encrypted.
    #[must_use]
    pub const fn position(&self) -> SendingPosition {
        self.chain
    }

    /// Decrypts a message of either form. If it fails, the ratchet has not moved.
    ///
    /// # Errors
    ///
    /// [`RatchetError::KeyGone`] for a message that was decrypted before.
    pub fn decrypt(&mut self, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, RatchetError> {
        let message = match message.first() {
            Some(&NORMAL_V2) => {
                Message::from_bytes(message).map_err(|_| RatchetError::Malformed)?
            }
            _ => {
                let first = parse_first(message)?;
                if first.session_keys() != self.session.session_keys() {
                    return Err(RatchetError::NotAuthentic);
                }
                first.message().clone()
            }
        };
        let key = message.ratchet_key();
        match self.session.decrypt(&OlmMessage::Normal(message)) {
            Ok(text) => {
                self.note_peer_key(key);
                Ok(Zeroizing::new(text))
            }
            Err(DecryptionError::MissingMessageKey(_)) => Err(RatchetError::KeyGone),
            Err(DecryptionError::NonContributoryKey) => Err(RatchetError::WeakKey),
            Err(_) => Err(RatchetError::NotAuthentic),
        }
    }

    /// After a message under a new key of the peer, our next message starts a new chain.
    fn note_peer_key(&mut self, key: Curve25519PublicKey) {
        if self.peer_keys.contains(&key) {
            return;
        }
        if u32::try_from(self.peer_keys.len()).is_ok_and(|len| len >= MAX_RECEIVING_CHAINS) {
            self.peer_keys.remove(0);
        }
        self.peer_keys.push(key);
        self.chain = SendingPosition {
            chain: self.chain.chain.saturating_add(1),
            index: 0,
        };
    }

    /// Length of the message that `encrypt` would make of `len` bytes.
    #[must_use]
    pub fn encrypted_len(&self, len: usize) -> usize {
        let padded = len
            .saturating_div(AES_BLOCK)
            .saturating_add(1)
            .saturating_mul(AES_BLOCK);
        let index = varint_len(usize::try_from(self.chain.index).unwrap_or(usize::MAX));
        let normal = NORMAL_FIXED
            .saturating_add(index)
            .saturating_add(varint_len(padded))
            .saturating_add(padded);
        if self.session.has_received_message() {
            normal
        } else {
            FIRST_FIXED
                .saturating_add(varint_len(normal))
                .saturating_add(normal)
        }
    }

    /// The record of the ratchet.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = StateWriter::new(VERSION);
        writer.u32(self.chain.chain);
        writer.u32(self.chain.index);
        writer.list(self.peer_keys.iter(), |w, key| w.array(key.as_bytes()));
        write_json(&mut writer, &self.session.pickle());
        writer.finish()
    }

    /// Reads the record.
    ///
    /// # Errors
    ///
    /// [`BadState`] if the record is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadState> {
        let mut reader = StateReader::new(bytes, VERSION)?;
        let chain = SendingPosition {
            chain: reader.u32()?,
            index: reader.u32()?,
        };
        let max = usize::try_from(MAX_RECEIVING_CHAINS).unwrap_or(usize::MAX);
        let peer_keys = reader.list(max, |r| r.array().map(Curve25519PublicKey::from_bytes))?;
        let pickle: SessionPickle = read_json(&mut reader)?;
        reader.finish()?;
        Ok(Self {
            session: Session::from_pickle(pickle),
            peer_keys,
            chain,
        })
    }
}

/// Reads a first message whose inner message has version 2.
fn parse_first(bytes: &[u8]) -> Result<PreKeyMessage, RatchetError> {
    let message = PreKeyMessage::from_bytes(bytes).map_err(|_| RatchetError::Malformed)?;
    // A decoder of protocol buffers skips what it does not know; one message has one encoding here.
    if message.message().version() == NORMAL_V2 && message.to_bytes() == bytes {
        Ok(message)
    } else {
        Err(RatchetError::Malformed)
    }
}

/// vodozemac offers its records to serde only.
fn write_json(writer: &mut StateWriter, value: &impl serde::Serialize) {
    let mut json = StateWriter::new(VERSION);
    // Neither the records nor the writer can fail.
    let _written = serde_json::to_writer(&mut json, value);
    writer.bytes(&json.finish());
}

fn read_json<T: serde::de::DeserializeOwned>(reader: &mut StateReader<'_>) -> Result<T, BadState> {
    let (_version, json) = reader.bytes()?.split_first().ok_or(BadState::Length)?;
    serde_json::from_slice(json).map_err(|_| BadState::Field("ratchet"))
}

/// First byte of a normal message whose authentication code is not truncated.
const NORMAL_V2: u8 = 4;
/// Version of both records.
const VERSION: u8 = 1;
/// Block of the cipher inside Olm; padding adds 1 to 16 bytes.
const AES_BLOCK: usize = 16;
/// Version 1, ratchet key 34, tags of index and text 2, authentication code 32.
const NORMAL_FIXED: usize = 69;
/// Version 1, three keys of 34, tag of the message 1.
const FIRST_FIXED: usize = 104;

/// Bytes of a variable-length integer.
fn varint_len(value: usize) -> usize {
    let bits = usize::BITS.saturating_sub(value.leading_zeros()).max(1);
    usize::try_from(bits.div_ceil(7)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
