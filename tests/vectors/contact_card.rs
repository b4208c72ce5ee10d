//! Periods and cards, against values computed by an independent program.

use circuits::time::UnixSecs;
use whisht::contact::address_key::AddressKey;
use whisht::contact::card::key::CardKey;
use whisht::contact::card::{CardTerms, SignedCard};
use whisht::contact::id::ContactId;
use whisht::contact::period::Period;
use whisht::contact::schedule::{PeriodReplica, Replica};
use zeroize::Zeroizing;

use crate::contact_first::RecordedRng;
use crate::{array, bytes, cases, int};

const FILE: &str = "contact_card";

#[test]
fn periods_and_generations_turn_as_recorded() {
    for case in cases(FILE, "periods") {
        let id = ContactId(array(&case["id"]));
        let unix = UnixSecs(int(&case["unix"]));
        let period = Period::at(&id, unix);
        assert_eq!(period, Period(int(&case["period"])), "{case}");
        assert_eq!(period.begin(&id), UnixSecs(int(&case["begin"])), "{case}");
        let generation: u32 = int(&case["generation"]);
        assert_eq!(period.generation().0, generation, "{case}");
    }
}

#[test]
fn recorded_card_is_verified_and_says_what_was_recorded() {
    for case in cases(FILE, "cards") {
        let id = ContactId(array(&case["id"]));
        let period = Period(int(&case["period"]));
        let card = SignedCard::from_bytes(&bytes(&case["card"])).unwrap();
        let verified = card.verify(&id, period).unwrap();
        assert_eq!(verified.rank().serial, Period(int(&case["serial"])));
        assert_eq!(verified.rank().revision, int::<u8>(&case["revision"]));
        assert_eq!(verified.block().to_bytes(), bytes(&case["block"]));
        let terms = [&case["level"], &case["ticket_bits"], &case["flags"]].map(int::<u8>);
        assert_eq!(verified.terms(), CardTerms::decode(terms).unwrap());
        assert_eq!(verified.terms().encode(), Some(terms));
    }
}

#[test]
fn certificate_of_recorded_seed_is_the_recorded_one() {
    for case in cases(FILE, "cards") {
        let key = AddressKey::from_seed(Zeroizing::new(array(&case["seed"])));
        assert_eq!(key.id(), ContactId(array(&case["id"])));
        let [from, to] = [0, 1].map(|end| int(&case["certified"][end]));
        let certificate = key.certify(&array(&case["signing_key"]), from, to);
        assert_eq!(certificate, array(&case["certificate"]));
    }
}

#[test]
fn recorded_envelope_is_opened_and_made_again() {
    for case in cases(FILE, "cards") {
        let replica = Replica::new(int(&case["replica"])).unwrap();
        let period = Period(int(&case["period"]));
        let id = ContactId(array(&case["id"]));
        let key = CardKey::of(&id, PeriodReplica { period, replica });
        assert_eq!(key.topic().0, array(&case["topic"]));
        let data = bytes(&case["data"]);
        let card = SignedCard::from_bytes(&bytes(&case["card"])).unwrap();
        assert_eq!(key.open(&data).unwrap().card(), &card);
        let mut nonce = RecordedRng::new(bytes(&case["nonce"]));
        assert_eq!(key.seal(&mut nonce, &card), data);
        for at in (0..data.len()).step_by(7) {
            let mut altered = data.clone();
            altered[at] ^= 0x10;
            assert!(key.open(&altered).is_err(), "byte {at}");
        }
    }
}
