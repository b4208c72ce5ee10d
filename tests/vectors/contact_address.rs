//! Addresses, the words of the voice check, and addresses from twelve words, against values computed by an
//! independent program.

use serde_json::Value;
use whisht::contact::address::{AddressError, CharPlace, ContactAddress, OtherThing};
use whisht::contact::address_key::AddressKey;
use whisht::contact::id::ContactId;
use whisht::contact::mnemonic::Mnemonic;
use whisht::contact::voice::VoiceWords;

use crate::{array, cases, name, text};

#[test]
fn good_addresses_parse_to_their_ids() {
    let good = cases("contact_address", "good");
    assert_eq!(good.len(), 30);
    for case in good {
        let address: ContactAddress = text(&case["text"])
            .parse()
            .unwrap_or_else(|error| panic!("{}: {error}", name(&case)));
        assert_eq!(
            address.id(),
            ContactId(array(&case["id"])),
            "{}",
            name(&case)
        );
        if name(&case).starts_with("plain") {
            assert_eq!(address.to_string(), text(&case["text"]));
        }
    }
}

#[test]
fn bad_addresses_are_refused_with_error_and_place() {
    let bad = cases("contact_address", "bad");
    assert!(bad.len() >= 60);
    for case in bad {
        let Err(error) = text(&case["text"]).parse::<ContactAddress>() else {
            panic!("{} is accepted", name(&case));
        };
        let (kind, places) = outline(&error);
        assert_eq!(kind, text(&case["error"]), "{}: {error}", name(&case));
        let expected: Vec<CharPlace> = case["places"]
            .as_array()
            .map(|places| places.iter().map(place).collect())
            .unwrap_or_default();
        assert_eq!(places, expected, "{}: {error}", name(&case));
    }
}

/// The name of an error in the vectors, and its places.
fn outline(error: &AddressError) -> (&'static str, Vec<CharPlace>) {
    match error {
        AddressError::TooLong => ("TooLong", vec![]),
        AddressError::Empty => ("Empty", vec![]),
        AddressError::Other(other) => (other_thing(*other), vec![]),
        AddressError::NotAscii { place, .. } => ("NotAscii", vec![*place]),
        AddressError::MixedCase(place) => ("MixedCase", vec![*place]),
        AddressError::NoPrefix { .. } => ("NoPrefix", vec![]),
        AddressError::NotInAlphabet { place, .. } => ("NotInAlphabet", vec![*place]),
        AddressError::Length { .. } => ("Length", vec![]),
        AddressError::OneWrong(place) => ("OneWrong", vec![*place]),
        AddressError::TwoWrong(first, second) => ("TwoWrong", vec![*first, *second]),
        AddressError::ManyWrong => ("ManyWrong", vec![]),
        AddressError::OldChecksum => ("OldChecksum", vec![]),
        AddressError::Padding => ("Padding", vec![]),
        AddressError::Version(_) => ("Version", vec![]),
    }
}

fn other_thing(other: OtherThing) -> &'static str {
    match other {
        OtherThing::Relay => "Relay",
        OtherThing::WhisperKey => "WhisperKey",
        OtherThing::Invitation => "Invitation",
        OtherThing::Bitcoin => "Bitcoin",
        OtherThing::Onion => "Onion",
        OtherThing::Nostr => "Nostr",
        OtherThing::Simplex => "Simplex",
    }
}

fn place(value: &Value) -> CharPlace {
    CharPlace {
        position: crate::int(&value[0]),
        group: crate::int(&value[1]),
    }
}

#[test]
fn words_of_the_voice_check_agree() {
    for case in cases("contact_address", "voice") {
        let words = VoiceWords::of(&ContactId(array(&case["id"])));
        assert_eq!(words.to_string(), text(&case["words"]), "{}", name(&case));
    }
}

#[test]
fn twelve_words_restore_key_and_address() {
    for case in cases("contact_address", "keys") {
        let words = Mnemonic::parse(text(&case["words"])).unwrap();
        assert_eq!(*words.seed(), array(&case["seed"]), "{}", name(&case));
        let key = AddressKey::from_mnemonic(&words);
        assert_eq!(**key.seed(), array(&case["secret"]), "{}", name(&case));
        assert_eq!(key.root().identity_key, array(&case["public"]));
        let address = ContactAddress::new(key.id());
        assert_eq!(address.to_string(), text(&case["address"]));
        assert_eq!(VoiceWords::of(&key.id()).to_string(), text(&case["voice"]));
    }
}
