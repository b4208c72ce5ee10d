//! The offer and the answer of a talk line: parts 14 and 15 of a message.

use whisht::transfer::talk_part::{TalkAnswer, TalkOffer};

/// Decodes the input as both. Panics if what was decoded is encoded differently, or breaks a limit.
pub fn talk_part(data: &[u8]) {
    if let Ok(offer) = TalkOffer::decode(data) {
        assert_eq!(offer.encode().as_slice(), data);
        assert!((1..=4).contains(&offer.relays.len()));
    }
    if let Ok(answer) = TalkAnswer::decode(data) {
        assert_eq!(answer.encode(), data);
        if let Some(schedule) = answer.schedule {
            assert_eq!(schedule.start().0 % 120, 0);
            assert!(schedule.first_relay() < 4);
        }
    }
}
