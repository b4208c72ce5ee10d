//! The routing slot that a relay decrypts from the header of a cell.

use core::fmt;

use super::HopDelay;
use crate::bytes::{part, part_mut};
use crate::geometry::{GAMMA_LEN, SLOT_LEN};
use crate::ids::ShortId;

/// The routing information of one hop: `next 16 | delay 2 | flags 1 | reserved 1 | gamma 16`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Slot {
    /// The relay forwards the cell.
    Forward {
        /// The next relay, or the handle of a link.
        next: ShortId,
        /// Delay at this relay before the cell leaves.
        delay: HopDelay,
        /// Tag of the cell at the next relay.
        gamma: [u8; GAMMA_LEN],
    },
    /// The relay forwards the cell at once, and keeps keys for the cells of a circuit.
    Extend {
        /// The next relay.
        next: ShortId,
        /// Tag of the cell at the next relay.
        gamma: [u8; GAMMA_LEN],
    },
    /// This relay is the last hop of a circuit, which it joins with another one.
    Meet,
    /// This relay is the last hop.
    Terminal {
        /// Delay between the rebuilding of the content and its insertion into the network.
        hold: HopDelay,
        /// Whether the origin chose `bulletin`, the level whose shards have the longest timeout.
        bulletin: bool,
    },
}

impl Slot {
    /// Parses a decrypted slot.
    ///
    /// Every meaning has exactly one encoding. Unused bits must be zero, because other values would
    /// distinguish implementations.
    ///
    /// # Errors
    ///
    /// The first rule that the slot breaks. The origin is at fault, never the peer that sent the
    /// cell.
    pub fn parse(bytes: &[u8; SLOT_LEN]) -> Result<Self, BadSlot> {
        let [flags] = *part::<{ field::FLAGS }, _, _>(bytes);
        let [reserved] = *part::<{ field::RESERVED }, _, _>(bytes);
        if reserved != 0 || flags & !flag::ALL != 0 {
            return Err(BadSlot::Reserved);
        }
        let units = u16::from_be_bytes(*part::<{ field::DELAY }, _, _>(bytes));
        let delay = HopDelay::from_units(units).map_err(|_| BadSlot::DelayTooLong)?;
        let bulletin = flags & flag::BULLETIN != 0;
        let terminal = flags & flag::TERMINAL != 0;
        if flags & flag::KEEP != 0 && (bulletin || delay != HopDelay::ZERO) {
            return Err(BadSlot::KeepWithDelay);
        }
        if bulletin && !terminal {
            return Err(BadSlot::BulletinOnTheWay);
        }
        let next = ShortId(*part::<{ field::NEXT }, _, _>(bytes));
        let gamma = *part::<{ field::GAMMA }, _, _>(bytes);
        Ok(match (flags & flag::KEEP != 0, terminal) {
            (true, true) => Self::Meet,
            (true, false) => Self::Extend { next, gamma },
            (false, true) => Self::Terminal {
                hold: delay,
                bulletin,
            },
            (false, false) => Self::Forward { next, delay, gamma },
        })
    }

    /// Writes the slot into `bytes`. The last slot has no next hop and no next tag; these bytes
    /// stay unchanged, and the caller has filled them with random bytes.
    pub fn emit(self, bytes: &mut [u8; SLOT_LEN]) {
        let (delay, flags) = match self {
            Self::Forward { next, delay, gamma } => {
                *part_mut::<{ field::NEXT }, _, _>(bytes) = next.0;
                *part_mut::<{ field::GAMMA }, _, _>(bytes) = gamma;
                (delay, 0)
            }
            Self::Extend { next, gamma } => {
                *part_mut::<{ field::NEXT }, _, _>(bytes) = next.0;
                *part_mut::<{ field::GAMMA }, _, _>(bytes) = gamma;
                (HopDelay::ZERO, flag::KEEP)
            }
            Self::Meet => (HopDelay::ZERO, flag::KEEP | flag::TERMINAL),
            Self::Terminal {
                hold,
                bulletin: false,
            } => (hold, flag::TERMINAL),
            Self::Terminal {
                hold,
                bulletin: true,
            } => (hold, flag::TERMINAL | flag::BULLETIN),
        };
        *part_mut::<{ field::DELAY }, _, _>(bytes) = delay.units().to_be_bytes();
        *part_mut::<{ field::FLAGS }, _, _>(bytes) = [flags];
        *part_mut::<{ field::RESERVED }, _, _>(bytes) = [0];
    }
}

/// The rule that a slot breaks.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum BadSlot {
    /// The bulletin flag is set on a slot that is not terminal. Only the rendezvous may learn it.
    BulletinOnTheWay,
    /// A delay above 600 s.
    DelayTooLong,
    /// The keep flag is set beside a delay or the bulletin flag: a circuit has neither.
    KeepWithDelay,
    /// A reserved bit is set.
    Reserved,
}

impl fmt::Display for BadSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BulletinOnTheWay => "slot has the bulletin flag but is not terminal",
            Self::DelayTooLong => "slot has a delay above the maximum of 600 s",
            Self::KeepWithDelay => "slot requests a circuit and has a delay or the bulletin flag",
            Self::Reserved => "slot has a reserved bit set",
        })
    }
}

impl core::error::Error for BadSlot {}

/// Bits of the flags byte.
mod flag {
    pub(super) const TERMINAL: u8 = 1;
    pub(super) const KEEP: u8 = 1 << 1;
    pub(super) const BULLETIN: u8 = 1 << 2;
    pub(super) const ALL: u8 = TERMINAL | KEEP | BULLETIN;
}

/// Offsets of the parts of a slot.
mod field {
    pub(super) const NEXT: usize = 0;
    pub(super) const DELAY: usize = 16;
    pub(super) const FLAGS: usize = 18;
    pub(super) const RESERVED: usize = 19;
    pub(super) const GAMMA: usize = 20;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slots() -> impl Strategy<Value = Slot> {
        let delay = (0..=60_000_u16).prop_map(|units| HopDelay::from_units(units).unwrap());
        let parts = (any::<[u8; 16]>(), delay, any::<[u8; 16]>(), 0..5_u8);
        parts.prop_map(|(next, delay, gamma, kind)| {
            let next = ShortId(next);
            match kind {
                0 => Slot::Extend { next, gamma },
                1 => Slot::Meet,
                2 => Slot::Forward { next, delay, gamma },
                _ => Slot::Terminal {
                    hold: delay,
                    bulletin: kind == 3,
                },
            }
        })
    }

    proptest! {
        #[test]
        fn slot_emit_then_parse_returns_slot(slot in slots(), mut bytes in any::<[u8; 36]>()) {
            slot.emit(&mut bytes);
            prop_assert_eq!(Slot::parse(&bytes), Ok(slot));
        }

        #[test]
        fn slot_parse_accepts_only_one_encoding(
            mut bytes in any::<[u8; 36]>(),
            flags in 0..8_u8,
        ) {
            bytes[field::FLAGS] = flags;
            bytes[field::RESERVED] = 0;
            if let Ok(slot) = Slot::parse(&bytes) {
                let mut again = bytes;
                slot.emit(&mut again);
                prop_assert_eq!(again, bytes);
            }
        }
    }

    fn with(flags: u8, reserved: u8, delay: u16) -> Result<Slot, BadSlot> {
        let mut bytes = [0; SLOT_LEN];
        bytes[field::FLAGS] = flags;
        bytes[field::RESERVED] = reserved;
        bytes[field::DELAY..field::FLAGS].copy_from_slice(&delay.to_be_bytes());
        Slot::parse(&bytes)
    }

    #[test]
    fn slot_with_any_unknown_bit_is_refused() {
        for bit in 0..8 {
            assert_eq!(with(0, 1 << bit, 0), Err(BadSlot::Reserved));
            assert_eq!(with(1, 1 << bit, 0), Err(BadSlot::Reserved));
        }
        for bit in 3..8 {
            assert_eq!(with(1 << bit, 0, 0), Err(BadSlot::Reserved));
        }
    }

    #[test]
    fn slot_with_keep_flag_has_neither_delay_nor_bulletin_flag() {
        assert_eq!(with(0b011, 0, 0), Ok(Slot::Meet));
        assert!(matches!(with(0b010, 0, 0), Ok(Slot::Extend { .. })));
        for (flags, delay) in [(0b010, 1), (0b011, 1), (0b110, 0), (0b111, 0)] {
            assert_eq!(with(flags, 0, delay), Err(BadSlot::KeepWithDelay));
        }
    }

    #[test]
    fn slot_with_bulletin_flag_must_be_terminal() {
        assert_eq!(with(0b100, 0, 0), Err(BadSlot::BulletinOnTheWay));
        let hold = HopDelay::ZERO;
        assert_eq!(
            with(0b101, 0, 0),
            Ok(Slot::Terminal {
                hold,
                bulletin: true
            })
        );
    }

    #[test]
    fn slot_delay_above_600_s_is_refused() {
        assert!(with(0, 0, 60_000).is_ok());
        assert_eq!(with(0, 0, 60_001), Err(BadSlot::DelayTooLong));
        assert_eq!(with(1, 0, u16::MAX), Err(BadSlot::DelayTooLong));
    }
}
