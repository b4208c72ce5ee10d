//! The record of a message in the outbox: what an attempt is composed of.

use core::time::Duration;

use circuits::level::Level;
use circuits::time::UnixSecs;
use zeroize::Zeroizing;

use crate::contact::codec::{BadState, StateReader, StateWriter};
use crate::envelope::Topic;
use crate::message::{ClientPublic, CopyTag};
use crate::node::command::{ReaderKind, Recipient, SendRequest};
use crate::node::event::MessageId;
use crate::node::send::message::Outgoing;

/// A message as the last run left it.
pub(super) struct OutboxRecord {
    pub(super) id: MessageId,
    pub(super) level: Level,
    /// The custom level whose limits hold for it, by name.
    pub(super) custom: Option<String>,
    pub(super) tag: CopyTag,
    pub(super) accepted: UnixSecs,
    /// Why it failed, if it did.
    pub(super) failure: Option<String>,
    pub(super) request: SendRequest,
}

/// The record of a message; `None` if it cannot be composed again.
pub(super) fn encode(
    id: MessageId,
    message: &Outgoing,
    failure: Option<&str>,
) -> Option<Zeroizing<Vec<u8>>> {
    let request = message.request()?;
    let mut record = StateWriter::new(VERSION);
    record.u64(id.0);
    record.bytes(message.level().word().as_bytes());
    record.array(message.tag().as_bytes());
    record.u32(message.kept().accepted.0);
    record.option(failure, |record, reason| record.bytes(reason.as_bytes()));
    match &request.to {
        Recipient::Public(key, topic) => {
            record.u8(TO_KEY);
            record.array(&key.to_bytes());
            record.array(&topic.0);
        }
        Recipient::Shared(name) => {
            record.u8(TO_SHARED);
            record.bytes(name.as_bytes());
        }
        // Their components keep them.
        Recipient::Sealed(_) | Recipient::Prepared(_) => return None,
    }
    let signer = request.sign_as.as_deref();
    record.option(signer, |record, name| record.bytes(name.as_bytes()));
    record.u64(request.life.as_secs());
    record.bool(request.reader == ReaderKind::AnyClient);
    record.bytes(&request.payload);
    let custom = message.custom();
    record.option(custom, |record, name| record.bytes(name.as_bytes()));
    Some(record.finish())
}

impl OutboxRecord {
    /// Reads a record.
    ///
    /// # Errors
    ///
    /// [`BadState`] names what is wrong.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, BadState> {
        // Version 1 has no custom level.
        let version = if bytes.first() == Some(&1) {
            1
        } else {
            VERSION
        };
        let mut record = StateReader::new(bytes, version)?;
        let id = MessageId(record.u64()?);
        let level = record.text()?.parse();
        let level: Level = level.map_err(|_| BadState::Field("level"))?;
        let tag = CopyTag::of_padding(&record.array::<{ CopyTag::LEN }>()?);
        let tag = tag.ok_or(BadState::Field("tag"))?;
        let accepted = UnixSecs(record.u32()?);
        let failure = record.option(|record| record.text().map(str::to_owned))?;
        let to = match record.u8()? {
            TO_KEY => {
                let key = ClientPublic::from_bytes(&record.array::<65>()?);
                let key = key.map_err(|_| BadState::Field("recipient"))?;
                Recipient::Public(key, Topic(record.array()?))
            }
            TO_SHARED => Recipient::Shared(record.text()?.to_owned()),
            _ => return Err(BadState::Field("recipient")),
        };
        let sign_as = record.option(|record| record.text().map(str::to_owned))?;
        let life = Duration::from_secs(record.u64()?);
        let reader = if record.bool()? {
            ReaderKind::AnyClient
        } else {
            ReaderKind::Whisht
        };
        let payload = Zeroizing::new(record.bytes()?.to_vec());
        let custom = match version {
            1 => None,
            _ => record.option(|record| record.text().map(str::to_owned))?,
        };
        record.finish()?;
        Ok(Self {
            id,
            level,
            custom,
            tag,
            accepted,
            failure,
            request: SendRequest {
                to,
                sign_as,
                payload,
                level: Some(level),
                life,
                reader,
            },
        })
    }
}

const VERSION: u8 = 2;
const TO_KEY: u8 = 0;
const TO_SHARED: u8 = 1;
