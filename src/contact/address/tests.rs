use proptest::prelude::*;

use super::*;

const ALPHABET: &str = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
const ADDRESS: &str = "shh1q8z7y0g0d69eku582ffhk0pc4nw8hvlexg9pq3kw0zvl79jsz9nhsa46gry";

fn error(text: &str) -> AddressError {
    text.parse::<ContactAddress>().unwrap_err()
}

/// The text with other symbols at some places: each place, and how far its symbol moves in the alphabet.
fn with_errors(text: &str, errors: &[(usize, usize)]) -> String {
    let moved = |(index, symbol): (usize, char)| {
        let Some((_, by)) = errors.iter().find(|(place, _)| *place == index) else {
            return symbol;
        };
        let at = ALPHABET.find(symbol).unwrap();
        ALPHABET.chars().nth((at + by) % 32).unwrap()
    };
    text.chars().enumerate().map(moved).collect()
}

/// Different places of symbols after the prefix, each with an error.
fn errors(count: usize) -> impl Strategy<Value = Vec<(usize, usize)>> {
    let places: Vec<usize> = (PREFIX.len()..ContactAddress::LEN).collect();
    let places = proptest::sample::subsequence(places, count);
    (places, proptest::collection::vec(1_usize..32, count))
        .prop_map(|(places, by)| places.into_iter().zip(by).collect())
}

fn address() -> impl Strategy<Value = ContactAddress> {
    any::<[u8; 32]>().prop_map(|id| ContactAddress::new(ContactId(id)))
}

proptest! {
    #[test]
    fn address_survives_all_forms_of_writing(address in address()) {
        for text in [address.to_string(), address.grouped(), address.qr_text()] {
            prop_assert_eq!(text.parse(), Ok(address));
        }
        prop_assert_eq!(address.to_string().len(), ContactAddress::LEN);
    }

    #[test]
    fn one_or_two_wrong_symbols_are_located_exactly(
        address in address(),
        errors in (1_usize..3).prop_flat_map(errors),
    ) {
        let place = |index| CharPlace { position: index + 1, group: index / 4 + 1 };
        let wrong = with_errors(&address.to_string(), &errors);
        let expected = match errors.as_slice() {
            [(first, _), (second, _)] => AddressError::TwoWrong(place(*first), place(*second)),
            [(only, _)] => AddressError::OneWrong(place(*only)),
            _ => panic!("one or two errors"),
        };
        prop_assert_eq!(error(&wrong), expected);
    }

    #[test]
    fn three_or_four_wrong_symbols_are_always_detected(
        address in address(),
        errors in (3_usize..5).prop_flat_map(errors),
    ) {
        let wrong = with_errors(&address.to_string(), &errors);
        prop_assert!(wrong.parse::<ContactAddress>().is_err());
    }

    #[test]
    fn arbitrary_text_is_refused_with_an_error_fit_for_a_terminal(text in "\\PC{0,80}|.{0,80}") {
        if let Err(error) = text.parse::<ContactAddress>() {
            prop_assert!(!error.to_string().contains(char::is_control));
        }
    }

    #[test]
    fn text_that_begins_as_an_address_is_refused(text in "shh1[a-z0-9]{59}") {
        prop_assert!(text.parse::<ContactAddress>().is_err());
    }
}

#[test]
fn debug_does_not_print_the_id() {
    let address: ContactAddress = ADDRESS.parse().unwrap();
    assert_eq!(format!("{address:?}"), "ContactAddress(..)");
}

#[test]
fn error_names_place_group_and_remedy() {
    let two = with_errors(ADDRESS, &[(16, 1), (39, 5)]);
    assert_eq!(
        error(&two).to_string(),
        "character 17 (group 5) and character 40 (group 10) look wrong; compare them with the address \
         that you were given"
    );
    let cyrillic = ADDRESS.replacen('y', "\u{443}", 1);
    assert_eq!(
        error(&cyrillic).to_string(),
        "character 9 (group 3) is U+0443, which looks like `y`; type it again in English letters"
    );
    let letter = ADDRESS.replacen("0", "o", 1);
    assert_eq!(
        error(&letter).to_string(),
        "character 10 (group 3) is `o`, which never occurs in an address; did you mean `0`?"
    );
    let short: String = ADDRESS.chars().take(61).collect();
    assert_eq!(
        error(&short).to_string(),
        "an address has 63 characters; this has 61: 2 missing"
    );
    assert_eq!(
        error("\u{1b}[31m").to_string(),
        "an address begins with `shh1`; this begins with `?[31...`"
    );
}

/// Every full-width form and every look-alike leads to ASCII.
#[test]
fn lookalikes_are_not_ascii_themselves() {
    for symbol in ('\u{80}'..'\u{3000}').chain('\u{ff00}'..'\u{ffff}') {
        if let Some(ascii) = lookalike::in_ascii(symbol) {
            assert!(ascii.is_ascii_graphic(), "{symbol}");
        }
    }
    assert_eq!(lookalike::in_ascii('\u{ff51}'), Some('q'));
    assert_eq!(lookalike::in_ascii('\u{430}'), Some('a'));
}
