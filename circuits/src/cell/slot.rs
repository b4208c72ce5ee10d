//! What a relay finds for itself in a cell's header.

use core::fmt;

use super::HopDelay;
use crate::bytes::{part, part_mut};
use crate::geometry::{GAMMA_LEN, SLOT_LEN};
use crate::ids::ShortId;

/// The routing information of one hop: `next 16 | delay 2 | flags 1 | reserved 1 | gamma 16`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Slot {
    /// The cell goes on.
    Forward {
        /// The next relay, or the handle of a link.
        next: ShortId,
        /// How long it waits here first.
        delay: HopDelay,
        /// Its tag at the next relay.
        gamma: [u8; GAMMA_LEN],
    },
    /// The cell ends here.
    Terminal {
        /// How long the content is held before it enters the network.
        hold: HopDelay,
        /// Whether the origin chose the slowest level, whose pieces may take longer to arrive.
        bulletin: bool,
    },
}

impl Slot {
    /// Reads a decrypted slot.
    ///
    /// Each meaning has one spelling: bits that say nothing must be zero, for whatever else stood
    /// there would tell implementations apart.
    ///
    /// # Errors
    ///
    /// Names the first rule broken. The origin is to blame, never the neighbour that sent the cell.
    pub fn parse(bytes: &[u8; SLOT_LEN]) -> Result<Self, BadSlot> {
        let [flags] = *part::<{ field::FLAGS }, _, _>(bytes);
        let [reserved] = *part::<{ field::RESERVED }, _, _>(bytes);
        if reserved != 0 || flags & !flag::ALL != 0 {
            return Err(BadSlot::Reserved);
        }
        if flags & flag::KEEP != 0 {
            return Err(BadSlot::Keep);
        }
        let units = u16::from_be_bytes(*part::<{ field::DELAY }, _, _>(bytes));
        let delay = HopDelay::from_units(units).map_err(|_| BadSlot::DelayTooLong)?;
        let bulletin = flags & flag::BULLETIN != 0;
        if flags & flag::TERMINAL != 0 {
            return Ok(Self::Terminal {
                hold: delay,
                bulletin,
            });
        }
        if bulletin {
            return Err(BadSlot::BulletinOnTheWay);
        }
        Ok(Self::Forward {
            next: ShortId(*part::<{ field::NEXT }, _, _>(bytes)),
            delay,
            gamma: *part::<{ field::GAMMA }, _, _>(bytes),
        })
    }

    /// Writes the slot over `bytes`. A terminal slot has no next hop and no further tag: those bytes
    /// stay as they are, and the caller has filled them at random.
    pub fn emit(self, bytes: &mut [u8; SLOT_LEN]) {
        let (delay, flags) = match self {
            Self::Forward { next, delay, gamma } => {
                *part_mut::<{ field::NEXT }, _, _>(bytes) = next.0;
                *part_mut::<{ field::GAMMA }, _, _>(bytes) = gamma;
                (delay, 0)
            }
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

/// Which rule a slot breaks.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum BadSlot {
    /// The bulletin flag on a slot that is not terminal: only the rendezvous needs to know.
    BulletinOnTheWay,
    /// A delay above 600 s.
    DelayTooLong,
    /// The keep flag: it asks for a circuit, and this version has none.
    Keep,
    /// A reserved bit is set.
    Reserved,
}

impl fmt::Display for BadSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BulletinOnTheWay => "slot has the bulletin flag but is not terminal",
            Self::DelayTooLong => "slot asks for more than 600 s of delay",
            Self::Keep => "slot asks for a circuit",
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

/// Where the parts of a slot begin.
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
        let parts = (
            any::<[u8; 16]>(),
            delay,
            any::<[u8; 16]>(),
            any::<bool>(),
            any::<bool>(),
        );
        parts.prop_map(|(next, delay, gamma, terminal, bulletin)| match terminal {
            true => Slot::Terminal {
                hold: delay,
                bulletin,
            },
            false => Slot::Forward {
                next: ShortId(next),
                delay,
                gamma,
            },
        })
    }

    proptest! {
        #[test]
        fn emitting_and_parsing_are_inverse(slot in slots(), mut bytes in any::<[u8; 36]>()) {
            slot.emit(&mut bytes);
            prop_assert_eq!(Slot::parse(&bytes), Ok(slot));
        }

        #[test]
        fn a_slot_that_parses_has_one_spelling(
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
    fn every_unknown_bit_is_refused() {
        for bit in 0..8 {
            assert_eq!(with(0, 1 << bit, 0), Err(BadSlot::Reserved));
            assert_eq!(with(1, 1 << bit, 0), Err(BadSlot::Reserved));
        }
        for bit in 3..8 {
            assert_eq!(with(1 << bit, 0, 0), Err(BadSlot::Reserved));
        }
    }

    #[test]
    fn a_slot_that_asks_for_a_circuit_is_refused_under_its_own_name() {
        for flags in [0b010, 0b011, 0b110, 0b111] {
            assert_eq!(with(flags, 0, 0), Err(BadSlot::Keep));
        }
    }

    #[test]
    fn the_bulletin_flag_is_for_the_rendezvous_alone() {
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
    fn delays_at_and_above_the_bound() {
        assert!(with(0, 0, 60_000).is_ok());
        assert_eq!(with(0, 0, 60_001), Err(BadSlot::DelayTooLong));
        assert_eq!(with(1, 0, u16::MAX), Err(BadSlot::DelayTooLong));
    }
}
