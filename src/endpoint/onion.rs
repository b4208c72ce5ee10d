//! Names of version 3 onion services: 56 characters that hold a key, a checksum and a version.
//!
//! `base32(key 32 | checksum 2 | version 1) ".onion"`, where the checksum is the head of
//! `SHA3-256(".onion checksum" | key | version)` (Tor rend-spec-v3, section 6). The checksum
//! catches a mistyped character before a connection is attempted.

use sha3::{Digest, Sha3_256};

/// Decodes a name without its `.onion`; `None` if it is not a version 3 name.
pub(super) fn decode(name: &str) -> Option<[u8; 32]> {
    if name.len() != NAME_LEN {
        return None;
    }
    let mut bytes = Vec::with_capacity(35);
    let (mut window, mut bits) = (0_u32, 0_u32);
    for letter in name.bytes() {
        let lower = letter.to_ascii_lowercase();
        let value = ALPHABET.iter().position(|known| *known == lower)?;
        window = (window << 5) | u32::try_from(value).ok()?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((window >> bits) & 0xff).ok()?);
        }
    }
    let (key, tail) = bytes.split_first_chunk::<32>()?;
    (tail == trailer(key)).then_some(*key)
}

/// The name of a key, without `.onion`.
pub(super) fn encode(key: &[u8; 32]) -> String {
    let mut name = String::with_capacity(NAME_LEN);
    let (mut window, mut bits) = (0_u32, 0_u32);
    for byte in key.iter().copied().chain(trailer(key)) {
        window = ((window << 8) | u32::from(byte)) & 0xffff;
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            let value = usize::try_from((window >> bits) & 31).unwrap_or_default();
            name.extend(ALPHABET.get(value).copied().map(char::from));
        }
    }
    name
}

/// The checksum and version that follow the key.
fn trailer(key: &[u8; 32]) -> [u8; 3] {
    let digest = Sha3_256::new()
        .chain_update(b".onion checksum")
        .chain_update(key)
        .chain_update([VERSION])
        .finalize();
    let mut trailer = [0, 0, VERSION];
    for (to, from) in trailer.iter_mut().zip(digest.iter().take(2)) {
        *to = *from;
    }
    trailer
}

/// RFC 4648, in lower case.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// 35 bytes in base 32.
const NAME_LEN: usize = 56;
const VERSION: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    /// The onion name of a public search engine.
    const KNOWN: &str = "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad";

    #[test]
    fn known_name_round_trips() {
        let key = decode(KNOWN).unwrap();
        assert_eq!(encode(&key), KNOWN);
        assert_eq!(decode(&KNOWN.to_uppercase()), Some(key));
    }

    #[test]
    fn mistyped_character_is_refused() {
        assert_eq!(decode(&KNOWN.replace("gogg", "gog4")), None);
        assert_eq!(decode(KNOWN.get(1..).unwrap()), None);
        assert_eq!(decode(&KNOWN.replace('u', "1")), None);
    }
}
