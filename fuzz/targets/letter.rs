//! Letters of sources, with keys and without, and the stored addresses of sources.

use whisht::contact::first_contact::Tau;
use whisht::contact::letter::{Letter, LetterAddress, LetterWay};

/// Decodes the input as each of them. Panics if what was decoded is encoded differently.
pub fn letter(data: &[u8]) {
    if let Ok((address, letter)) = Letter::decode_with_keys(data) {
        assert_eq!(letter.encode_with_keys(&address).as_slice(), data);
        for way in [LetterWay::ToReader, LetterWay::ToSource] {
            assert!(Letter::decode(data, &address, way, &Tau([7; 32])).is_err());
        }
    }
    if let Ok(address) = LetterAddress::from_bytes(data) {
        assert_eq!(address.to_bytes().as_slice(), data);
    }
    let _source = Letter::source_of(data);
}
