//! The offer of a file.

use whisht::transfer::offer::FileOffer;

/// Decodes the input. Panics if what was decoded is encoded differently, or breaks a limit.
pub fn file_offer(data: &[u8]) {
    let Ok(offer) = FileOffer::decode(data) else {
        return;
    };
    assert_eq!(offer.encode().as_slice(), data);
    assert!((1..=4).contains(&offer.relays.len()));
    assert!((1..=64).contains(&offer.name.as_str().len()));
    assert!(!offer.name.as_str().contains(['/', '\\', '\0', '\n']));
    let chunks = u64::from(offer.size.chunks());
    assert!((chunks - 1) * 65_536 < offer.size.bytes() && offer.size.bytes() <= chunks * 65_536);
}
