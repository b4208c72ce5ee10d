//! Cards: the data of an envelope under a known key, the card itself, and its fields after the signatures.

use whisht::contact::card::file;
use whisht::contact::card::key::CardKey;
use whisht::contact::card::{CARD_LEN, CardTerms, SignedCard};
use whisht::contact::id::{ContactId, Root};
use whisht::contact::period::Period;
use whisht::contact::schedule::{PeriodReplica, PublicationSchedule, Replica};

/// Reads the input as data of an envelope, as a card, as terms, as a file of cards and as a stored schedule. Panics if a rule is
/// broken.
pub fn contact_card(data: &[u8]) {
    let period = Period(20_834);
    for replica in Replica::ALL {
        let key = CardKey::of(&ContactId([7; 32]), PeriodReplica { period, replica });
        assert!(key.open(data).is_err(), "no data decrypts by chance");
    }
    if let Ok(card) = SignedCard::from_bytes(data) {
        assert_eq!(card.as_bytes().as_slice(), data);
        verify(card);
    } else if data.len() > CARD_LEN {
        verify(SignedCard::from_bytes(&data[..CARD_LEN]).unwrap());
    }
    if let Some(terms) = data.first_chunk::<3>()
        && let Ok(read) = CardTerms::decode(*terms)
    {
        assert_eq!(read.encode(), Some(*terms));
    }
    if let Ok((id, cards)) = file::decode(data) {
        assert!(cards.iter().all(|card| *card.id() == id));
        let again = file::encode(cards.iter().map(|card| card.card()));
        assert_eq!(again, data);
    }
    if let Ok(schedule) = PublicationSchedule::from_bytes(data) {
        let written = PublicationSchedule::from_bytes(&schedule.to_bytes());
        assert_eq!(written, Ok(schedule));
    }
}

/// Verifies a card as that of the owner and the period that it claims.
fn verify(card: SignedCard) {
    let claimed = card.claimed_period().unwrap();
    let bytes = *card.as_bytes();
    let root = bytes[1..].first_chunk::<{ Root::LEN }>().unwrap();
    let Ok(root) = Root::from_bytes(root) else {
        assert!(card.verify(&ContactId([7; 32]), claimed).is_err());
        return;
    };
    if let Ok(verified) = card.verify(&root.id(), claimed) {
        assert_eq!(verified.period(), claimed);
        assert_eq!(verified.block().generation(), claimed.generation().0);
        assert!(verified.rank().serial <= claimed);
        assert_eq!(verified.card().as_bytes(), &bytes);
    }
}
