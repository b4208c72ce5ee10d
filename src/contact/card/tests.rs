use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use zeroize::Zeroizing;

use super::key::{CARD_DATA_LEN, CARD_LIFE, CARD_SIZE, CardKey};
use super::signer::{CardNotSigned, CardSigner};
use super::*;
use crate::contact::address_key::AddressKey;
use crate::contact::codec::{StateReader, StateWriter};
use crate::contact::generation::GenerationKeys;
use crate::contact::period::DAY;
use crate::contact::schedule::{PeriodReplica, Replica};
use crate::envelope::Topic;

const TODAY: Period = Period(20_834);

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([1; 32])
}

/// An owner of an address with the keys of one generation.
struct Owner {
    key: AddressKey,
    signer: CardSigner,
    keys: GenerationKeys,
}

impl Owner {
    fn new(seed: u8) -> Self {
        let key = AddressKey::from_seed(Zeroizing::new([seed; 32]));
        Self {
            signer: CardSigner::issue(&mut rng(), &key, TODAY),
            keys: GenerationKeys::create(&mut rng(), TODAY.generation()),
            key,
        }
    }

    fn id(&self) -> ContactId {
        self.key.id()
    }

    fn rank(serial: Period, revision: u8) -> CardRank {
        CardRank { serial, revision }
    }

    fn card(&self) -> SignedCard {
        self.made(TODAY, Self::rank(TODAY, 0))
    }

    fn made(&self, period: Period, rank: CardRank) -> SignedCard {
        let terms = CardTerms::default();
        self.signer
            .sign(period, rank, self.keys.block(), terms)
            .unwrap()
    }

    fn verified(&self, period: Period, rank: CardRank) -> VerifiedCard {
        let card = self.made(period, rank);
        card.verify(&self.id(), period).unwrap()
    }

    /// The card with other bytes at `at`, signed again: what a dishonest owner can make.
    fn altered(&self, at: usize, bytes: &[u8]) -> SignedCard {
        let mut card = *self.card().as_bytes();
        card[at..at + bytes.len()].copy_from_slice(bytes);
        self.signer.sign_bytes(&mut card);
        SignedCard::from_bytes(&card).unwrap()
    }
}

fn slot(period: Period, replica: u8) -> PeriodReplica {
    let replica = Replica::new(replica).unwrap();
    PeriodReplica { period, replica }
}

#[test]
fn card_is_read_as_it_was_signed() {
    let owner = Owner::new(1);
    let card = owner.verified(TODAY, Owner::rank(TODAY, 3));
    assert_eq!(card.id(), &owner.id());
    assert_eq!(card.period(), TODAY);
    assert_eq!(card.rank(), Owner::rank(TODAY, 3));
    assert_eq!(card.block(), owner.keys.block());
    assert_eq!(card.terms(), CardTerms::default());
}

#[test]
fn data_of_a_card_fills_its_class() {
    assert_eq!(CARD_SIZE.data_len(CARD_LIFE), CARD_DATA_LEN);
    let owner = Owner::new(1);
    let key = CardKey::of(&owner.id(), slot(TODAY, 0));
    let data = key.seal(&mut rng(), &owner.card());
    assert_eq!(data.len(), CARD_DATA_LEN);
    assert_eq!(key.open(&data).unwrap().card(), &owner.card());
}

#[test]
fn altered_bit_of_data_is_refused() {
    let owner = Owner::new(1);
    let key = CardKey::of(&owner.id(), slot(TODAY, 0));
    let data = key.seal(&mut rng(), &owner.card());
    for at in (0..data.len()).step_by(13) {
        let mut altered = data.clone();
        altered[at] ^= 1 << (at % 8);
        assert_eq!(key.open(&altered), Err(CardError::NotDecrypted), "{at}");
    }
    assert!(key.open(&data[1..]).is_err());
    assert!(key.open(&[]).is_err());
}

#[test]
fn altered_byte_of_a_card_is_refused() {
    let owner = Owner::new(1);
    let card = *owner.card().as_bytes();
    for at in 0..CARD_LEN {
        let mut altered = card;
        altered[at] ^= 1;
        let altered = SignedCard::from_bytes(&altered).unwrap();
        assert!(altered.verify(&owner.id(), TODAY).is_err(), "byte {at}");
    }
}

#[test]
fn signed_nonsense_is_refused_by_name() {
    let owner = Owner::new(1);
    let later = TODAY.after(1).0.to_be_bytes();
    let cases: [(usize, &[u8], CardError); 12] = [
        (0, &[2], CardError::Version(2)),
        (1, &[2], CardError::Root),
        (2, &[9; 32], CardError::OtherId),
        (100, &later, CardError::OtherPeriod),
        (104, &later, CardError::Serial),
        (141, &later, CardError::NotCertified),
        (145, &[0; 4], CardError::CertifiedPeriods),
        (213, &[0; 4], CardError::Generation),
        (1_529, &[1], CardError::Level(1)),
        (1_530, &[29], CardError::TicketBits(29)),
        (1_531, &[4], CardError::Flags(4)),
        (1_535, &[1], CardError::Zeros),
    ];
    for (at, bytes, error) in cases {
        let card = owner.altered(at, bytes);
        assert_eq!(card.verify(&owner.id(), TODAY), Err(error), "byte {at}");
    }
    // The certificate covers exactly these periods: the owner of the signing key cannot extend it.
    let (from, to) = (TODAY.before(1).0, TODAY.after(29).0);
    let shorter = owner.altered(141, &[from.to_be_bytes(), to.to_be_bytes()].concat());
    assert_eq!(
        shorter.verify(&owner.id(), TODAY),
        Err(CardError::Certificate)
    );
}

/// Keys of low order would make secrets that every observer can compute; a torsion component would mark a reader.
#[test]
fn keys_of_low_order_are_refused() {
    let owner = Owner::new(1);
    let mut mixed = *owner.keys.block().outer();
    let torsion = curve25519_dalek::constants::EIGHT_TORSION[1];
    let point = curve25519_dalek::MontgomeryPoint(mixed)
        .to_edwards(0)
        .unwrap();
    mixed.copy_from_slice((point + torsion).to_montgomery().as_bytes());
    for at in [217, 249, 281] {
        for bytes in [[0; 32], [0xff; 32], mixed] {
            let card = owner.altered(at, &bytes);
            let refused = card.verify(&owner.id(), TODAY);
            assert!(matches!(refused, Err(CardError::Keys(_))), "{at}");
        }
    }
    let card = owner.altered(313, &[0xff; 64]);
    let refused = card.verify(&owner.id(), TODAY);
    assert_eq!(refused, Err(CardError::Keys(BadKeyBlock::XWing)));
}

/// An owner of another address seals a valid card of its own where readers look for this one.
#[test]
fn card_of_another_owner_under_our_key_is_refused() {
    let (victim, attacker) = (Owner::new(1), Owner::new(2));
    let key = CardKey::of(&victim.id(), slot(TODAY, 1));
    let data = key.seal(&mut rng(), &attacker.card());
    assert_eq!(key.open(&data), Err(CardError::OtherId));
    // The root of the victim with a signing key that the attacker certified itself.
    let mut card = *attacker.card().as_bytes();
    card[1..100].copy_from_slice(&victim.key.root().to_bytes());
    attacker.signer.sign_bytes(&mut card);
    let data = key.seal(&mut rng(), &SignedCard::from_bytes(&card).unwrap());
    assert_eq!(key.open(&data), Err(CardError::Certificate));
}

/// A reader who has a card of last week encrypts it anew for today.
#[test]
fn old_card_in_a_new_envelope_is_refused() {
    let owner = Owner::new(1);
    let old = owner.made(TODAY, Owner::rank(TODAY, 0));
    let key = CardKey::of(&owner.id(), slot(TODAY.after(1), 0));
    let data = key.seal(&mut rng(), &old);
    assert_eq!(key.open(&data), Err(CardError::OtherPeriod));
}

#[test]
fn older_card_never_replaces_a_newer_one() {
    let owner = Owner::new(1);
    let now = TODAY.begin(&owner.id()).after(100);
    let made = |ahead: u32, serial: Period, revision| {
        owner.verified(TODAY.after(ahead), Owner::rank(serial, revision))
    };
    let newer = made(0, TODAY, 0);
    for older in [made(0, TODAY.before(1), 9), made(1, TODAY.before(1), 0)] {
        assert!(newer.replaces(&older, now));
        assert!(!older.replaces(&newer, now));
    }
    assert!(made(1, TODAY, 1).replaces(&newer, now));
    // Of two that were made together, the nearer one is used, on each of the days.
    let ahead = made(1, TODAY, 0);
    assert!(newer.replaces(&ahead, now) && !ahead.replaces(&newer, now));
    let tomorrow = now.after(DAY);
    assert!(ahead.replaces(&newer, tomorrow) && !newer.replaces(&ahead, tomorrow));
    assert!(!newer.replaces(&newer, now));
}

#[test]
fn card_is_current_until_a_day_after_its_period() {
    let owner = Owner::new(1);
    let card = owner.verified(TODAY, Owner::rank(TODAY, 0));
    let begin = TODAY.begin(&owner.id());
    assert!(card.is_current(begin.before(DAY)));
    assert!(!card.is_current(begin.before(DAY + 1)));
    assert!(card.is_current(begin.after(2 * DAY - 1)));
    assert!(!card.is_current(begin.after(2 * DAY)));
    assert_eq!(card.ends(), begin.after(2 * DAY));
}

#[test]
fn signer_refuses_what_a_reader_would() {
    let owner = Owner::new(1);
    let (block, terms) = (owner.keys.block(), CardTerms::default());
    let sign = |period, serial, terms| {
        let rank = Owner::rank(serial, 0);
        owner.signer.sign(period, rank, block, terms).unwrap_err()
    };
    let far = TODAY.after(31);
    assert_eq!(sign(far, TODAY, terms), CardNotSigned::Period);
    assert_eq!(sign(TODAY, TODAY.after(1), terms), CardNotSigned::Period);
    let other = Period(TODAY.generation().last().0 + 1);
    assert_eq!(sign(other, TODAY, terms), CardNotSigned::Generation);
    let open = CardTerms {
        least_level: Level::Open,
        ..terms
    };
    assert_eq!(sign(TODAY, TODAY, open), CardNotSigned::Terms);
}

#[test]
fn stored_signer_signs_the_same_cards() {
    let owner = Owner::new(1);
    let mut writer = StateWriter::new(1);
    owner.signer.write(&mut writer);
    let bytes = writer.finish();
    let mut reader = StateReader::new(&bytes, 1).unwrap();
    let signer = CardSigner::read(&mut reader).unwrap();
    reader.finish().unwrap();
    let rank = Owner::rank(TODAY, 0);
    let card = signer.sign(TODAY, rank, owner.keys.block(), CardTerms::default());
    assert_eq!(card.unwrap(), owner.card());
}

/// An observer collects every card envelope of two owners over 30 days, and looks for any topic or stretch
/// of data that occurs twice, in envelopes of one owner or of two.
#[test]
fn observer_without_the_id_cannot_group_cards_of_one_owner() {
    let mut rng = rng();
    let mut seen: std::collections::BTreeMap<[u8; 4], usize> = std::collections::BTreeMap::new();
    let (mut ones, mut bits) = (0_u32, 0_u32);
    for owner in [Owner::new(1), Owner::new(2)] {
        let card = owner.card();
        let periods = (0..30).map(|day| TODAY.after(day));
        for key in CardKey::of_periods(&owner.id(), periods) {
            let data = key.seal(&mut rng, &card);
            *seen.entry(key.topic().0).or_default() += 1;
            for window in data.chunks_exact(4) {
                *seen.entry(window.try_into().unwrap()).or_default() += 1;
            }
            ones += data.iter().map(|byte| byte.count_ones()).sum::<u32>();
            bits += 8 * u32::try_from(data.len()).unwrap();
        }
    }
    // 107,000 random values of four bytes have 1.3 equal pairs on average; one shared field of the cards
    // would give 180.
    let pairs: usize = seen.values().map(|count| count * (count - 1) / 2).sum();
    assert!(pairs < 10, "{pairs} equal values");
    let ones = f64::from(ones) / f64::from(bits);
    assert!((ones - 0.5).abs() < 0.002, "share of ones {ones}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_500)) {
        let id = ContactId([7; 32]);
        let key = CardKey::of(&id, slot(TODAY, 0));
        prop_assert!(key.open(&bytes).is_err());
        if let Ok(card) = SignedCard::from_bytes(&bytes) {
            prop_assert!(card.verify(&id, TODAY).is_err());
        }
    }

    #[test]
    fn topics_of_any_two_envelopes_differ(a in any::<[u8; 32]>(), period in 0_u32..50_000) {
        let id = ContactId(a);
        let periods = (0..3).map(|ahead| Period(period + ahead));
        let topics: Vec<Topic> = CardKey::of_periods(&id, periods).map(|key| key.topic()).collect();
        for (number, topic) in topics.iter().enumerate() {
            prop_assert!(!topics[number + 1..].contains(topic));
        }
    }
}
