//! The record of a conversation.

use circuits::time::UnixSecs;
use zeroize::Zeroizing;

use super::numbers::{ReceivedNumbers, SentNumbers};
use super::rekey::Rekey;
use super::watch::Watch;
use super::{Conversation, ConversationId, ConversationState, Opening};
use crate::contact::chain::Direction;
use crate::contact::codec::{BadState, StateReader, StateWriter};
use crate::contact::epoch::ConversationEpoch;
use crate::contact::first_contact::{FirstBox, FirstTicket, Tau};
use crate::contact::id::ContactId;
use crate::contact::key_block::{KEY_BLOCK_LEN, KeyBlock};
use crate::contact::ratchet::Ratchet;

const VERSION: u8 = 1;
/// Epochs of a record: one in use, the next, and those whose envelopes have not expired.
const MAX_EPOCHS: usize = 1_024;

impl Conversation {
    /// The record. It must be durable before anything that a method returned is acted on.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut writer = StateWriter::new(VERSION);
        writer.array(&self.id.0);
        writer.array(&self.tau.0);
        writer.u8(self.role.byte());
        writer.u8(state_code(self.state));
        writer.bytes(&self.ratchet.to_bytes());
        writer.option(self.first_box.as_ref(), |w, first_box| {
            w.bytes(&first_box.to_bytes());
        });
        writer.option(self.opening.as_ref(), |w, opening| {
            w.array(&opening.id.0);
            w.array(&opening.block.to_bytes());
            w.option(opening.ticket, |w, ticket| w.array(&ticket.0));
        });
        writer.list(self.epochs.iter(), |w, epoch| epoch.write(w));
        writer.u16(self.send_epoch);
        writer.array(self.continuity.as_slice());
        self.rekey.write(&mut writer);
        self.outgoing.write(&mut writer);
        self.incoming.write(&mut writer);
        writer.option(self.closed_at, |w, at| w.u32(at.0));
        writer.finish()
    }

    /// Reads a record. The watch is new: the owner learns all of it.
    ///
    /// # Errors
    ///
    /// [`BadState`] if the record is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadState> {
        let mut reader = StateReader::new(bytes, VERSION)?;
        let id = ConversationId(reader.array()?);
        let tau = Tau(reader.array()?);
        let role = match reader.u8()? {
            0 => Direction::FromInitiator,
            1 => Direction::FromReader,
            _ => return Err(BadState::Field("role")),
        };
        let conversation = Self {
            id,
            tau,
            role,
            state: state_of(reader.u8()?)?,
            ratchet: Ratchet::from_bytes(reader.bytes()?)?,
            first_box: reader.option(|r| {
                let first_box = FirstBox::from_bytes(r.bytes()?);
                first_box.map_err(|_| BadState::Field("first contact"))
            })?,
            opening: reader.option(read_opening)?,
            epochs: reader.list(MAX_EPOCHS, |r| ConversationEpoch::read(r, role))?,
            send_epoch: reader.u16()?,
            continuity: reader.key()?,
            rekey: Rekey::read(&mut reader)?,
            outgoing: SentNumbers::read(&mut reader)?,
            incoming: ReceivedNumbers::read(&mut reader)?,
            closed_at: reader.option(|r| r.u32().map(UnixSecs))?,
            watch: Watch::default(),
        };
        reader.finish()?;
        Ok(conversation)
    }
}

fn read_opening(reader: &mut StateReader<'_>) -> Result<Opening, BadState> {
    let id = ContactId(reader.array()?);
    let block = KeyBlock::decode(&reader.array::<KEY_BLOCK_LEN>()?);
    Ok(Opening {
        id,
        block: block.map_err(|_| BadState::Field("key block"))?,
        ticket: reader.option(|r| r.array().map(FirstTicket))?,
    })
}

const fn state_code(state: ConversationState) -> u8 {
    match state {
        ConversationState::Opening => 0,
        ConversationState::Asked => 1,
        ConversationState::Open => 2,
        ConversationState::Stale => 3,
        ConversationState::Closed => 4,
    }
}

const fn state_of(code: u8) -> Result<ConversationState, BadState> {
    match code {
        0 => Ok(ConversationState::Opening),
        1 => Ok(ConversationState::Asked),
        2 => Ok(ConversationState::Open),
        3 => Ok(ConversationState::Stale),
        4 => Ok(ConversationState::Closed),
        _ => Err(BadState::Field("state of a conversation")),
    }
}
