//! The answer to the offer of a file, part 7 of a message: `id 16 | verdict 1 | ..`.
//!
//! | verdict | then |
//! |---:|---|
//! | 0 | relays that the receiver proposes instead (count 1, 32 each); none if its user declines |
//! | 1 | start 8 (unix seconds, a multiple of 120), places of two relays, 1 each: that of the even attempts, that of the odd ones. From the receiver, or from the sender after a proposal |
//! | 2 | nothing: the receiver has the file |

use circuits::bytes::ByteReader;
use circuits::ids::RelayId;
use circuits::time::UnixSecs;

use super::schedule::{AttemptSchedule, RelayPlaces};
use super::{BadFilePart, FileId, read_relays, write_relays};

/// What the receiver says to an offer, or the sender to a proposal of relays.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileAnswer {
    /// Names the file.
    pub id: FileId,
    /// The verdict.
    pub verdict: FileVerdict,
}

/// The verdict of an answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FileVerdict {
    /// The user does not want the file.
    Declined,
    /// The node cannot use all relays of the offer, and proposes these: one to four.
    OtherRelays(Vec<RelayId>),
    /// The user wants the file, by this schedule; or the sender agrees to the proposed relays, by this one.
    Accepted(AttemptSchedule),
    /// The whole file has arrived and is durable.
    Received,
}

impl FileAnswer {
    /// Encodes the value of the part.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.id.0.to_vec();
        match &self.verdict {
            FileVerdict::Declined => bytes.extend_from_slice(&[NO, 0]),
            FileVerdict::OtherRelays(relays) => {
                bytes.push(NO);
                write_relays(&mut bytes, relays);
            }
            FileVerdict::Accepted(schedule) => {
                bytes.push(YES);
                write_schedule(&mut bytes, *schedule);
            }
            FileVerdict::Received => bytes.push(RECEIVED),
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
        let id = FileId(fields.array()?);
        let verdict = match fields.u8()? {
            NO => match read_relays(&mut fields)? {
                relays if relays.is_empty() => FileVerdict::Declined,
                relays => FileVerdict::OtherRelays(relays),
            },
            YES => FileVerdict::Accepted(read_schedule(&mut fields)?),
            RECEIVED => FileVerdict::Received,
            _ => return Err(BadFilePart::Field("verdict")),
        };
        fields.finish()?;
        Ok(Self { id, verdict })
    }
}

pub(super) fn write_schedule(bytes: &mut Vec<u8>, schedule: AttemptSchedule) {
    bytes.extend_from_slice(&u64::from(schedule.start().0).to_be_bytes());
    bytes.extend_from_slice(&schedule.places().to_bytes());
}

pub(super) fn read_schedule(fields: &mut ByteReader<'_>) -> Result<AttemptSchedule, BadFilePart> {
    let start = u32::try_from(fields.u64()?).map_err(|_| BadFilePart::Field("start"))?;
    let places = RelayPlaces::new(fields.array()?).ok_or(BadFilePart::Field("place of a relay"))?;
    AttemptSchedule::new(UnixSecs(start), places).ok_or(BadFilePart::Field("start"))
}

const NO: u8 = 0;
const YES: u8 = 1;
const RECEIVED: u8 = 2;
