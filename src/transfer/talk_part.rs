//! Offer and answer of a talk line: parts 14 and 15 of a message.
//!
//! Offer: `talk id 16 | secret 32 | count 1 | relays, 32 each`. Answer: `talk id 16 | 0`, or
//! `talk id 16 | 1 | start 8 (unix seconds, a multiple of 120) | places of two relays, 1 each`.
//! Versions of this program that know no talk lines skip both parts.

use core::fmt;

use circuits::bytes::ByteReader;
use circuits::ids::RelayId;
use zeroize::Zeroizing;

use super::answer::{read_schedule, write_schedule};
use super::schedule::AttemptSchedule;
use super::secret::FileSecret;
use super::{BadFilePart, MAX_MEETING_RELAYS, read_relays, write_relays};

/// Names a talk line. Drawn by the end that offers it.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TalkId(pub [u8; 16]);

impl fmt::Debug for TalkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TalkId(..)")
    }
}

/// The offer of a talk line.
pub struct TalkOffer {
    /// Names the line.
    pub id: TalkId,
    /// The secret that cookies and keys derive from.
    pub secret: FileSecret,
    /// The relays where the circuits may meet: one to four.
    pub relays: Vec<RelayId>,
}

impl TalkOffer {
    /// Encodes the value of the part.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // The capacity holds the longest offer: a buffer that grew would leave a copy of the secret.
        let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_TALK_OFFER_LEN));
        bytes.extend_from_slice(&self.id.0);
        bytes.extend_from_slice(self.secret.expose());
        write_relays(&mut bytes, &self.relays);
        bytes
    }

    /// Decodes the value of the part.
    ///
    /// # Errors
    ///
    /// [`BadFilePart`] names the first field that is not in its format.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadFilePart> {
        let mut fields = ByteReader::new(bytes);
        let id = TalkId(fields.array()?);
        let mut secret = fields.array()?;
        let secret = FileSecret::take(&mut secret);
        let relays = read_relays(&mut fields)?;
        if relays.is_empty() {
            return Err(BadFilePart::Field("no relay"));
        }
        fields.finish()?;
        Ok(Self { id, secret, relays })
    }
}

impl fmt::Debug for TalkOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TalkOffer(..)")
    }
}

/// What one end says about an offer of a talk line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TalkAnswer {
    /// Names the line.
    pub id: TalkId,
    /// The schedule of the end that accepts; `None` if its user declines, or the other one withdraws.
    pub schedule: Option<AttemptSchedule>,
}

impl TalkAnswer {
    /// Encodes the value of the part.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.id.0.to_vec();
        match self.schedule {
            None => bytes.push(NO),
            Some(schedule) => {
                bytes.push(YES);
                write_schedule(&mut bytes, schedule);
            }
        }
        bytes
    }

    /// Decodes the value of the part.
    ///
    /// # Errors
    ///
    /// [`BadFilePart`] names the first field that is not in its format.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadFilePart> {
        let mut fields = ByteReader::new(bytes);
        let id = TalkId(fields.array()?);
        let schedule = match fields.u8()? {
            NO => None,
            YES => Some(read_schedule(&mut fields)?),
            _ => return Err(BadFilePart::Field("verdict")),
        };
        fields.finish()?;
        Ok(Self { id, schedule })
    }
}

/// Length of the longest offer, in bytes.
pub const MAX_TALK_OFFER_LEN: usize = 16 + FileSecret::LEN + 1 + MAX_MEETING_RELAYS * 32;

const NO: u8 = 0;
const YES: u8 = 1;

#[cfg(test)]
mod tests {
    use circuits::time::UnixSecs;
    use proptest::prelude::*;

    use super::*;
    use crate::transfer::schedule::RelayPlaces;

    fn places(places: [u8; 2]) -> RelayPlaces {
        RelayPlaces::new(places).unwrap()
    }

    fn offer(relays: u8) -> TalkOffer {
        TalkOffer {
            id: TalkId([1; 16]),
            secret: FileSecret::take(&mut [2; 32]),
            relays: (0..relays).map(|n| RelayId([n; 32])).collect(),
        }
    }

    #[test]
    fn offer_is_decoded_as_it_was_encoded() {
        for relays in 1..=4 {
            let bytes = offer(relays).encode();
            assert_eq!(bytes.len(), 16 + 32 + 1 + usize::from(relays) * 32);
            let again = TalkOffer::decode(&bytes).unwrap();
            assert_eq!(again.encode(), bytes);
            assert_eq!(again.secret.expose(), &[2; 32]);
        }
        assert_eq!(offer(4).encode().len(), MAX_TALK_OFFER_LEN);
    }

    #[test]
    fn offer_without_a_relay_or_with_one_twice_or_with_five_is_refused() {
        assert!(TalkOffer::decode(&offer(0).encode()).is_err());
        let mut twice = offer(1);
        twice.relays = vec![RelayId([3; 32]); 2];
        assert!(TalkOffer::decode(&twice.encode()).is_err());
        let mut five = offer(4).encode();
        five[48] = 5;
        five.extend_from_slice(&[9; 32]);
        assert!(TalkOffer::decode(&five).is_err());
    }

    #[test]
    fn answer_is_decoded_as_it_was_encoded() {
        let accepted = AttemptSchedule::answered_at(UnixSecs(1_000_001), places([3, 0]));
        for schedule in [None, Some(accepted)] {
            let id = TalkId([7; 16]);
            let answer = TalkAnswer { id, schedule };
            assert_eq!(TalkAnswer::decode(&answer.encode()), Ok(answer));
        }
    }

    #[test]
    fn answer_with_another_start_verdict_or_place_is_refused() {
        let id = TalkId([7; 16]);
        let schedule = Some(AttemptSchedule::answered_at(
            UnixSecs(1_200),
            places([0, 1]),
        ));
        let bytes = TalkAnswer { id, schedule }.encode();
        for (at, value) in [(16, 2), (24, bytes[24] ^ 1), (25, 4), (26, 4)] {
            let mut altered = bytes.clone();
            altered[at] = value;
            assert!(TalkAnswer::decode(&altered).is_err(), "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn bytes_that_decode_encode_to_the_same_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(offer) = TalkOffer::decode(&bytes) {
                prop_assert_eq!(&*offer.encode(), &bytes);
            }
            if let Ok(answer) = TalkAnswer::decode(&bytes) {
                prop_assert_eq!(answer.encode(), bytes);
            }
        }
    }
}
