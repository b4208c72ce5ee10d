//! The encoding of parts. A decoded part encodes to the same bytes.

use circuits::bytes::ByteReader;
use zeroize::Zeroizing;

use super::{
    Continuity, ConversationId, EpochAccept, EpochOffer, InnerError, Introduction, MAX_ALSO_CAME,
    MAX_INTRODUCED_NAME_LEN, MAX_INTRODUCED_NOTE_LEN, MAX_PARTS, MAX_TEXT_LEN, PART_HEAD_LEN, Part,
    PartTooLong,
};
use crate::contact::id::ContactId;

const TEXT: u8 = 1;
const OFFER: u8 = 2;
const ACCEPT: u8 = 3;
const ADDRESS: u8 = 5;
const FILE_OFFER: u8 = 6;
const FILE_ANSWER: u8 = 7;
const INTRODUCTION: u8 = 8;
const GOODBYE: u8 = 9;
const SMALL_FILE: u8 = 10;
const CONTINUITY: u8 = 11;
const GIVEN_UP: u8 = 12;
const ALSO_CAME: u8 = 13;
const TALK_OFFER: u8 = 14;
const TALK_ANSWER: u8 = 15;
/// Unknown types from here on must not be ignored.
const FIRST_CRITICAL: u8 = 128;
const HOW_MAX: u8 = 2;
/// Longest name of a small file: its length has one byte.
const MAX_NAME_LEN: usize = 255;

pub(super) fn encode_parts(parts: &[Part]) -> Result<Zeroizing<Vec<u8>>, PartTooLong> {
    // Reserved at once: a vector that grows leaves copies behind.
    let values = parts
        .iter()
        .map(encode_part)
        .collect::<Result<Vec<_>, _>>()?;
    let capacity = values.iter().fold(0_usize, |sum, (_, value)| {
        sum.saturating_add(value.len())
            .saturating_add(PART_HEAD_LEN)
    });
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    for (kind, value) in &values {
        bytes.push(*kind);
        bytes.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(value);
    }
    Ok(bytes)
}

fn encode_part(part: &Part) -> Result<(u8, Zeroizing<Vec<u8>>), PartTooLong> {
    let (kind, value) = match part {
        Part::Text(text) => (
            TEXT,
            limited("text", text.as_bytes(), MAX_TEXT_LEN)?.to_vec(),
        ),
        Part::Offer(offer) => {
            let epoch = offer.epoch.to_be_bytes();
            (
                OFFER,
                [&epoch[..], &offer.key[..], &offer.seed[..]].concat(),
            )
        }
        Part::Accept(accept) => {
            let epoch = accept.epoch.to_be_bytes();
            let parts = [&epoch[..], &accept.ciphertext[..], &accept.seed[..]];
            (ACCEPT, parts.concat())
        }
        Part::Address(id) => (ADDRESS, id.0.to_vec()),
        Part::FileOffer(bytes) => (
            FILE_OFFER,
            limited("file offer", bytes, MAX_TEXT_LEN)?.to_vec(),
        ),
        Part::FileAnswer(bytes) => (
            FILE_ANSWER,
            limited("file answer", bytes, MAX_TEXT_LEN)?.to_vec(),
        ),
        Part::Introduction(introduction) => (INTRODUCTION, encode_introduction(introduction)?),
        Part::Goodbye => (GOODBYE, Vec::new()),
        Part::SmallFile { name, bytes } => {
            let name = short("name of a file", name, MAX_NAME_LEN)?;
            let bytes = limited("file in a message", bytes, MAX_TEXT_LEN)?;
            (SMALL_FILE, [&name[..], bytes].concat())
        }
        Part::Continuity(continuity) => (
            CONTINUITY,
            [&continuity.old.0[..], &continuity.proof].concat(),
        ),
        Part::GivenUp(below) => (GIVEN_UP, below.to_be_bytes().to_vec()),
        Part::AlsoCame(numbers) => {
            let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_be_bytes()).collect();
            let bytes = limited("list of numbers", &bytes, MAX_ALSO_CAME * 8)?;
            (ALSO_CAME, bytes.to_vec())
        }
        Part::TalkOffer(bytes) => (
            TALK_OFFER,
            limited("talk offer", bytes, MAX_TEXT_LEN)?.to_vec(),
        ),
        Part::TalkAnswer(bytes) => (
            TALK_ANSWER,
            limited("talk answer", bytes, MAX_TEXT_LEN)?.to_vec(),
        ),
        Part::NeedsNewer(kind) => (*kind, Vec::new()),
    };
    Ok((kind, Zeroizing::new(value)))
}

fn encode_introduction(introduction: &Introduction) -> Result<Vec<u8>, PartTooLong> {
    let name = short("name", &introduction.name, MAX_INTRODUCED_NAME_LEN)?;
    let note = limited(
        "note",
        introduction.note.as_bytes(),
        MAX_INTRODUCED_NOTE_LEN,
    )?;
    let note_len = u16::try_from(note.len()).unwrap_or(u16::MAX);
    Ok([
        &introduction.id.0[..],
        &introduction.day.to_be_bytes(),
        &[introduction.how],
        &name,
        &note_len.to_be_bytes(),
        note,
    ]
    .concat())
}

fn limited<'a>(what: &'static str, bytes: &'a [u8], max: usize) -> Result<&'a [u8], PartTooLong> {
    let len = bytes.len();
    if len <= max {
        Ok(bytes)
    } else {
        Err(PartTooLong { what, len, max })
    }
}

/// A text of at most 255 bytes, and its length before it.
fn short(what: &'static str, text: &str, max: usize) -> Result<Vec<u8>, PartTooLong> {
    let bytes = limited(what, text.as_bytes(), max.min(MAX_NAME_LEN))?;
    let len = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    Ok([&[len], bytes].concat())
}

pub(super) fn decode_parts(bytes: &[u8]) -> Result<Vec<Part>, InnerError> {
    let mut fields = ByteReader::new(bytes);
    let mut parts = Vec::new();
    for _ in 0..MAX_PARTS {
        if fields.remaining() == 0 {
            return Ok(parts);
        }
        let kind = fields.u8()?;
        let len = usize::try_from(fields.u32()?).map_err(|_| InnerError::Field)?;
        parts.extend(decode_part(kind, fields.take(len)?)?);
    }
    if fields.remaining() == 0 {
        Ok(parts)
    } else {
        Err(InnerError::Field)
    }
}

fn decode_part(kind: u8, value: &[u8]) -> Result<Option<Part>, InnerError> {
    let mut fields = ByteReader::new(value);
    let part = match kind {
        TEXT => Part::Text(text(fields.take(value.len())?, MAX_TEXT_LEN)?),
        OFFER => Part::Offer(EpochOffer {
            epoch: fields.u16()?,
            key: Box::new(fields.array()?),
            seed: Zeroizing::new(fields.array()?),
        }),
        ACCEPT => Part::Accept(EpochAccept {
            epoch: fields.u16()?,
            ciphertext: Box::new(fields.array()?),
            seed: Zeroizing::new(fields.array()?),
        }),
        ADDRESS => Part::Address(ContactId(fields.array()?)),
        FILE_OFFER => Part::FileOffer(bounded(fields.take(value.len())?)?),
        FILE_ANSWER => Part::FileAnswer(bounded(fields.take(value.len())?)?),
        INTRODUCTION => Part::Introduction(decode_introduction(&mut fields)?),
        GOODBYE => Part::Goodbye,
        SMALL_FILE => {
            let len = fields.u8()?;
            let name = text(fields.take(len.into())?, MAX_NAME_LEN)?;
            let bytes = bounded(fields.take(fields.remaining())?)?;
            Part::SmallFile { name, bytes }
        }
        CONTINUITY => Part::Continuity(Continuity {
            old: ConversationId(fields.array()?),
            proof: fields.array()?,
        }),
        GIVEN_UP => Part::GivenUp(fields.u64()?),
        ALSO_CAME => {
            let mut numbers = Vec::new();
            while fields.remaining() > 0 && numbers.len() < MAX_ALSO_CAME {
                numbers.push(fields.u64()?);
            }
            Part::AlsoCame(numbers)
        }
        TALK_OFFER => Part::TalkOffer(bounded(fields.take(value.len())?)?),
        TALK_ANSWER => Part::TalkAnswer(bounded(fields.take(value.len())?)?),
        FIRST_CRITICAL.. => return Ok(Some(Part::NeedsNewer(kind))),
        _ => return Ok(None),
    };
    fields.finish().map_err(|_| InnerError::Field)?;
    Ok(Some(part))
}

fn decode_introduction(fields: &mut ByteReader<'_>) -> Result<Introduction, InnerError> {
    let id = ContactId(fields.array()?);
    let day = fields.u32()?;
    let how = fields.u8()?;
    let name_len = fields.u8()?;
    let name = text(fields.take(name_len.into())?, MAX_INTRODUCED_NAME_LEN)?;
    let note_len = fields.u16()?;
    let note = text(fields.take(note_len.into())?, MAX_INTRODUCED_NOTE_LEN)?;
    if how > HOW_MAX {
        return Err(InnerError::Field);
    }
    Ok(Introduction {
        id,
        day,
        how,
        name,
        note,
    })
}

fn bounded(bytes: &[u8]) -> Result<Vec<u8>, InnerError> {
    if bytes.len() > MAX_TEXT_LEN {
        return Err(InnerError::Field);
    }
    Ok(bytes.to_vec())
}

fn text(bytes: &[u8], max: usize) -> Result<String, InnerError> {
    if bytes.len() > max {
        return Err(InnerError::Field);
    }
    let text = str::from_utf8(bytes).map_err(|_| InnerError::Field)?;
    Ok(text.to_owned())
}
