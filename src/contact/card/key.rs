//! Where a card of an address is found: the topic and key of each envelope that carries it.
//!
//! Both follow from the id, the period and the replica. Without the id, topic and data are random, and
//! nothing shows that two envelopes are of one owner: not on one day, and not on the next. The data is
//! `nonce 24 | XChaCha20-Poly1305(key, aad topic, card | zeros)`, of one length for all cards.

use core::fmt;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use rand_core::CryptoRng;

use super::{CARD_LEN, CardError, SignedCard, VerifiedCard};
use crate::contact::id::ContactId;
use crate::contact::kdf::{Key32, Label, expand, extract};
use crate::contact::period::Period;
use crate::contact::schedule::{PeriodReplica, Replica};
use crate::envelope::{SizeClass, Topic, TtlClass};

/// The size class of envelopes with cards.
pub const CARD_SIZE: SizeClass = SizeClass::CARD;

/// The lifetime class of envelopes with cards.
pub const CARD_LIFE: TtlClass = TtlClass::ThreeDays;

/// Length of the data of an envelope with a card, in bytes.
pub const CARD_DATA_LEN: usize = 2_379;

/// The topic and key of one envelope with a card of an address.
pub struct CardKey {
    id: ContactId,
    period: Period,
    topic: Topic,
    key: Key32,
}

impl fmt::Debug for CardKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CardKey(..)")
    }
}

impl CardKey {
    /// The key of one replica.
    #[must_use]
    pub fn of(id: &ContactId, publication: PeriodReplica) -> Self {
        let prk = extract(Label::CARD_SALT, &[&id.0]);
        Self::derive(id, &prk, publication)
    }

    /// The keys of all replicas of the cards of these periods.
    pub fn of_periods(
        id: &ContactId,
        periods: impl Iterator<Item = Period>,
    ) -> impl Iterator<Item = Self> {
        let prk = extract(Label::CARD_SALT, &[&id.0]);
        periods.flat_map(move |period| {
            let publications = Replica::ALL.map(|replica| PeriodReplica { period, replica });
            publications.map(|publication| Self::derive(id, &prk, publication))
        })
    }

    fn derive(id: &ContactId, prk: &Key32, publication: PeriodReplica) -> Self {
        let PeriodReplica { period, replica } = publication;
        let (number, replica) = (period.0.to_be_bytes(), [replica.number()]);
        let info: [&[u8]; 2] = [&number, &replica];
        Self {
            id: *id,
            period,
            topic: Topic(*expand(prk, Label::CARD_TOPIC, &info)),
            key: expand(prk, Label::CARD_KEY, &info),
        }
    }

    /// The id of the owner.
    #[must_use]
    pub const fn id(&self) -> &ContactId {
        &self.id
    }

    /// The period of the card.
    #[must_use]
    pub const fn period(&self) -> Period {
        self.period
    }

    /// The topic of the envelope.
    #[must_use]
    pub const fn topic(&self) -> Topic {
        self.topic
    }

    /// The data of a new envelope with this card. Two calls give unrelated data.
    #[must_use]
    pub fn seal(&self, rng: &mut impl CryptoRng, card: &SignedCard) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        rng.fill_bytes(&mut nonce);
        let mut plaintext = card.as_bytes().to_vec();
        plaintext.resize(PLAINTEXT_LEN, 0);
        let payload = Payload {
            msg: &plaintext,
            aad: &self.topic.0,
        };
        // Encryption fails for lengths of 256 GB only.
        let sealed = self.cipher().encrypt(&nonce.into(), payload);
        [&nonce[..], &sealed.unwrap_or_default()].concat()
    }

    /// Decrypts and verifies the card in the data of an envelope.
    ///
    /// # Errors
    ///
    /// [`CardError`] if the data is not a card of this owner, period and replica.
    pub fn open(&self, data: &[u8]) -> Result<VerifiedCard, CardError> {
        if data.len() != CARD_DATA_LEN {
            return Err(CardError::Length(data.len()));
        }
        let split = data.split_first_chunk::<NONCE_LEN>();
        let (nonce, sealed) = split.ok_or(CardError::Length(data.len()))?;
        let payload = Payload {
            msg: sealed,
            aad: &self.topic.0,
        };
        let plaintext = self.cipher().decrypt(&(*nonce).into(), payload);
        let plaintext = plaintext.map_err(|_| CardError::NotDecrypted)?;
        let split = plaintext.split_at_checked(CARD_LEN);
        let (card, zeros) = split.ok_or(CardError::Length(plaintext.len()))?;
        if zeros.iter().any(|byte| *byte != 0) {
            return Err(CardError::Zeros);
        }
        SignedCard::from_bytes(card)?.verify(&self.id, self.period)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.key).into())
    }
}

const NONCE_LEN: usize = 24;
const TAG_LEN: usize = 16;
/// The card and its zeros.
const PLAINTEXT_LEN: usize = CARD_DATA_LEN - NONCE_LEN - TAG_LEN;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contact::id::Root;

    /// From the check values of the contact formats, computed by an independent program.
    /// A byte behind the card would be a second encoding of it, and a covert channel of the node that publishes it.
    #[test]
    fn attack_card_with_a_byte_behind_it_is_refused() {
        let publication = PeriodReplica {
            period: Period(20_834),
            replica: Replica::ALL[0],
        };
        let key = CardKey::of(&ContactId([7; 32]), publication);
        let seal = |plaintext: &[u8]| {
            let payload = Payload {
                msg: plaintext,
                aad: &key.topic.0,
            };
            let nonce = [3; NONCE_LEN];
            let sealed = key.cipher().encrypt(&nonce.into(), payload).unwrap();
            [&nonce[..], &sealed].concat()
        };
        let mut plaintext = [0; PLAINTEXT_LEN];
        assert_eq!(key.open(&seal(&plaintext)), Err(CardError::Version(0)));
        for place in [CARD_LEN, PLAINTEXT_LEN - 1] {
            plaintext[place] = 1;
            assert_eq!(key.open(&seal(&plaintext)), Err(CardError::Zeros));
            plaintext[place] = 0;
        }
    }

    #[test]
    fn topics_and_keys_agree_with_the_check_values() {
        let root = Root {
            identity_key: [0x11; 32],
            secp256k1: None,
            later_key: None,
        };
        let expected = [
            (
                "b0c34fbe",
                "c5129df9a485260eabe9a6300c66223d0299dcf4cd8f0ba8eb4f6dc34e23b0b5",
            ),
            (
                "f5316191",
                "954d29ace169f76ed9921005dd66240252d917d9fe55b0c00531934bc6877a77",
            ),
            (
                "ab54eb13",
                "b69e73f2536eab88e090e7e01ed344a9a2a8462889bfa4d0f8e5978321fa25d4",
            ),
        ];
        let periods = core::iter::once(Period(20_834));
        let keys: Vec<_> = CardKey::of_periods(&root.id(), periods).collect();
        for (number, (key, (topic, secret))) in keys.iter().zip(expected).enumerate() {
            assert_eq!(hex::encode(key.topic().0), topic, "replica {number}");
            assert_eq!(hex::encode(*key.key), secret, "replica {number}");
            let one = CardKey::of(
                &root.id(),
                PeriodReplica {
                    period: Period(20_834),
                    replica: Replica::ALL[number],
                },
            );
            assert_eq!(one.topic(), key.topic());
        }
        assert_eq!(keys.len(), 3);
    }
}
