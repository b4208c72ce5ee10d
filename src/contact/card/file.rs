//! Files of signed cards, which an owner gives to a helper that publishes them while the owner is away.
//!
//! `magic 8 | number of cards 1 | cards of 1,604 bytes`, all of one address, for one period each, in
//! ascending order. A file contains no secret key, but the root in it reveals the id: its holder can find the
//! owner's cards and write to the owner.

use super::{CARD_LEN, CardError, SignedCard, VerifiedCard};
use crate::contact::id::{ContactId, Root};

/// The file of these cards.
#[must_use]
pub fn encode<'a>(cards: impl ExactSizeIterator<Item = &'a SignedCard>) -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    file.push(u8::try_from(cards.len()).unwrap_or(u8::MAX));
    for card in cards {
        file.extend_from_slice(card.as_bytes());
    }
    file
}

/// Reads and verifies a file.
///
/// # Errors
///
/// [`BadCardFile`] names what is wrong.
pub fn decode(file: &[u8]) -> Result<(ContactId, Vec<VerifiedCard>), BadCardFile> {
    let rest = file.strip_prefix(MAGIC).ok_or(BadCardFile::Magic)?;
    let (count, cards) = rest.split_first().ok_or(BadCardFile::Length)?;
    let expected = usize::from(*count).checked_mul(CARD_LEN);
    if *count == 0 || expected != Some(cards.len()) || *count > MAX_CARDS {
        return Err(BadCardFile::Length);
    }
    let mut id = None;
    let mut verified: Vec<VerifiedCard> = Vec::new();
    for bytes in cards.chunks_exact(CARD_LEN) {
        let card = SignedCard::from_bytes(bytes).map_err(BadCardFile::Card)?;
        let period = card.claimed_period().ok_or(BadCardFile::Length)?;
        if verified.last().is_some_and(|last| last.period() >= period) {
            return Err(BadCardFile::Order);
        }
        let owner = match id {
            Some(owner) => owner,
            None => claimed_id(&card)?,
        };
        id = Some(owner);
        verified.push(card.verify(&owner, period).map_err(BadCardFile::Card)?);
    }
    let id = id.ok_or(BadCardFile::Length)?;
    Ok((id, verified))
}

/// The id that a card claims to be of.
fn claimed_id(card: &SignedCard) -> Result<ContactId, BadCardFile> {
    let (_version, rest) = card.as_bytes().split_first().ok_or(BadCardFile::Length)?;
    let root = rest.first_chunk::<{ Root::LEN }>();
    let root = Root::from_bytes(root.ok_or(BadCardFile::Length)?);
    Ok(root.map_err(|_| BadCardFile::Card(CardError::Root))?.id())
}

const MAGIC: &[u8; 8] = b"whisht\x00\x01";
/// Maximum number of cards in a file, one for each day.
pub const MAX_CARDS: u8 = 14;

/// What is wrong with a file of cards.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadCardFile {
    /// Another kind of file.
    #[error("not a file of `whisht card export`")]
    Magic,
    /// The length is not that of its cards.
    #[error("the file is cut, or has more than {MAX_CARDS} cards")]
    Length,
    /// Two cards are for one period, or not in order.
    #[error("the cards are not in the order of their periods")]
    Order,
    /// A card is not valid.
    #[error("a card in the file is not valid: {0}")]
    Card(CardError),
}
