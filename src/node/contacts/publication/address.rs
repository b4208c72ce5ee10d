//! One address of this node: its keys, and the terms of its cards.

use circuits::time::UnixSecs;
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::contact::address_key::AddressKey;
use crate::contact::card::signer::{CardNotSigned, CardSigner};
use crate::contact::card::{CardRank, CardTerms, SignedCard};
use crate::contact::codec::{BadState, StateReader, StateWriter};
use crate::contact::id::ContactId;
use crate::contact::kdf::Key32;
use crate::contact::key_block::KeyBlock;
use crate::contact::period::Period;
use crate::state::{StateChange, StateTable};

/// An address of this node.
pub(in crate::node::contacts) struct OwnAddress {
    name: String,
    id: ContactId,
    key: AddressKey,
    signer: CardSigner,
    terms: CardTerms,
    /// Number of changes of the terms on the day of the last change.
    revised: CardRank,
    /// Ticket bits that earlier cards asked for, and until when first messages may have no more.
    earlier_bits: Option<(u8, UnixSecs)>,
}

impl OwnAddress {
    /// A new address, or one that is restored from its seed.
    pub(super) fn new(
        rng: &mut impl CryptoRng,
        name: String,
        seed: Key32,
        today: impl FnOnce(&ContactId) -> Period,
    ) -> Self {
        let key = AddressKey::from_seed(seed);
        let id = key.id();
        let today = today(&id);
        Self {
            name,
            signer: CardSigner::issue(rng, &key, today),
            key,
            id,
            terms: CardTerms::default(),
            revised: CardRank {
                serial: today,
                revision: 0,
            },
            earlier_bits: None,
        }
    }

    /// Its name on this node.
    pub(in crate::node::contacts) fn name(&self) -> &str {
        &self.name
    }

    /// Its id.
    pub(in crate::node::contacts) const fn id(&self) -> &ContactId {
        &self.id
    }

    /// The terms of its cards.
    pub(in crate::node::contacts) const fn terms(&self) -> CardTerms {
        self.terms
    }

    /// Bits that a first message must have: the least that a card of the last days asked for.
    pub(in crate::node::contacts) fn required_bits(&self, now: UnixSecs) -> u8 {
        let current = self.terms.ticket_bits;
        let earlier = self.earlier_bits.filter(|(_, until)| now < *until);
        earlier.map_or(current, |(bits, _)| current.min(bits))
    }

    /// Changes the terms of the cards that are made from now on. Cards that are known ask for the earlier
    /// bits until their periods are over.
    pub(super) fn set_terms(&mut self, terms: CardTerms, now: UnixSecs) {
        let today = Period::at(&self.id, now);
        let least = self.required_bits(now);
        self.earlier_bits = Some((least, now.after(KNOWN_CARD_SECS)));
        self.terms = terms;
        self.revised = CardRank {
            serial: today,
            revision: self.rank(today).revision.saturating_add(1),
        };
    }

    /// The rank of a card that is made today.
    fn rank(&self, today: Period) -> CardRank {
        let is_today = self.revised.serial == today;
        CardRank {
            serial: today,
            revision: if is_today { self.revised.revision } else { 0 },
        }
    }

    /// Certifies a new signing key if cards for two weeks ahead could not be signed with the present one.
    /// Returns whether it did.
    pub(super) fn renew_signer(&mut self, rng: &mut impl CryptoRng, today: Period) -> bool {
        let suffices = self.signer.covers(today) && self.signer.covers(today.after(MAX_AHEAD));
        if !suffices {
            self.signer = CardSigner::issue(rng, &self.key, today);
        }
        !suffices
    }

    /// Signs a card of a period.
    ///
    /// # Errors
    ///
    /// [`CardNotSigned`] if the keys are of another generation, or the period is too far ahead.
    pub(super) fn sign(
        &self,
        period: Period,
        today: Period,
        block: &KeyBlock,
    ) -> Result<SignedCard, CardNotSigned> {
        let rank = self.rank(today);
        self.signer.sign(period, rank, block, self.terms)
    }

    /// The row of the state.
    pub(super) fn change(&self) -> StateChange {
        let mut writer = StateWriter::new(VERSION);
        writer.bytes(self.name.as_bytes());
        writer.array(self.key.seed().as_slice());
        self.signer.write(&mut writer);
        writer.array(&self.terms.encode().unwrap_or_default());
        writer.u32(self.revised.serial.0);
        writer.u8(self.revised.revision);
        writer.option(self.earlier_bits, |writer, (bits, until)| {
            writer.u8(bits);
            writer.u32(until.0);
        });
        StateChange::put(StateTable::Identity, self.id.0, writer.finish())
    }

    /// Reads a row of the last run.
    ///
    /// # Errors
    ///
    /// [`BadState`] if the row is damaged.
    pub(super) fn from_bytes(bytes: &Zeroizing<Vec<u8>>) -> Result<Self, BadState> {
        let (mut reader, has_earlier_bits) = match StateReader::new(bytes, VERSION) {
            Ok(reader) => (reader, true),
            Err(_) => (
                StateReader::new(bytes, VERSION_WITHOUT_EARLIER_BITS)?,
                false,
            ),
        };
        let name = reader.text()?.to_owned();
        let key = AddressKey::from_seed(reader.key()?);
        let signer = CardSigner::read(&mut reader)?;
        let terms = CardTerms::decode(reader.array()?);
        let revised = CardRank {
            serial: Period(reader.u32()?),
            revision: reader.u8()?,
        };
        let earlier_bits = if has_earlier_bits {
            reader.option(|reader| Ok((reader.u8()?, UnixSecs(reader.u32()?))))?
        } else {
            None
        };
        reader.finish()?;
        Ok(Self {
            name,
            id: key.id(),
            key,
            signer,
            terms: terms.map_err(|_| BadState::Field("terms of a card"))?,
            revised,
            earlier_bits,
        })
    }
}

/// Periods ahead for which cards can be signed at any time: two weeks of export, and two days.
const MAX_AHEAD: u32 = 16;
/// A card that was found may be used for so long: its period, the next one, and the life of an envelope.
const KNOWN_CARD_SECS: u32 = 5 * 86_400;
const VERSION: u8 = 2;
/// Rows of this version lack the field; they are written again at the next change.
const VERSION_WITHOUT_EARLIER_BITS: u8 = 1;

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    const NOW: UnixSecs = UnixSecs(1_800_000_000);

    fn address() -> OwnAddress {
        let mut rng = ChaCha20Rng::from_seed([4; 32]);
        let seed = Key32::new([3; 32]);
        OwnAddress::new(&mut rng, "desk".to_owned(), seed, |id| Period::at(id, NOW))
    }

    fn row(address: &OwnAddress) -> Zeroizing<Vec<u8>> {
        match address.change() {
            StateChange::Put { value, .. } => value,
            StateChange::Delete { .. } => panic!("an address is put"),
        }
    }

    #[test]
    fn row_of_version_1_is_read_and_written_as_version_2() {
        let address = address();
        let mut old = row(&address);
        assert_eq!(old[0], VERSION);
        old[0] = VERSION_WITHOUT_EARLIER_BITS;
        // Its last byte says that there are no earlier bits.
        assert_eq!(old.pop(), Some(0));
        let read = OwnAddress::from_bytes(&old).unwrap();
        assert_eq!(read.id(), address.id());
        assert_eq!(read.name(), "desk");
        assert_eq!(read.required_bits(NOW), address.terms().ticket_bits);
        assert_eq!(*row(&read), *row(&address));
    }

    #[test]
    fn earlier_ticket_bits_are_read_as_they_were_written() {
        let mut address = address();
        let mut terms = address.terms();
        let before = terms.ticket_bits;
        terms.ticket_bits = before.saturating_add(3);
        address.set_terms(terms, NOW);
        let read = OwnAddress::from_bytes(&row(&address)).unwrap();
        assert_eq!(read.required_bits(NOW), before);
        let later = NOW.after(KNOWN_CARD_SECS);
        assert_eq!(read.required_bits(later), before.saturating_add(3));
    }

    #[test]
    fn row_of_another_version_is_refused() {
        let mut later = row(&address());
        later[0] = 3;
        assert!(OwnAddress::from_bytes(&later).is_err());
    }
}
