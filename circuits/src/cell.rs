//! The one-shot onion cell: 912 bytes, on every link and at every hop.
//!
//! `version 1 | alpha 32 | gamma 16 | beta 216 | delta 647`. [`Cell`] owns the bytes, [`CellView`]
//! names their parts, [`Slot`] is the meaning of the 36 bytes of routing that each relay finds for
//! itself. Parsing a cell checks length and format version only: everything else needs the relay's
//! key and happens in [`crate::relay`]. Nothing here encrypts.
//!
//! A cell looks random from the second byte on, so `Debug` shows none of it, and two cells are
//! never compared in the course of work.

mod delay;
mod slot;

use core::fmt;

pub use self::delay::{DelayTooLong, HopDelay};
pub use self::slot::{BadSlot, Slot};
use crate::bytes::{part, part_mut};
use crate::geometry::{ALPHA_LEN, BETA_LEN, CELL_LEN, DELTA_LEN, GAMMA_LEN, VERSION_LEN};
use crate::ids::Epoch;

/// One cell: the right length and a format version that we know.
#[derive(Clone, Eq, PartialEq)]
pub struct Cell(Box<[u8; CELL_LEN]>);

impl Cell {
    /// Takes a cell off the wire.
    ///
    /// # Errors
    ///
    /// [`CellError`] if the length or the version is wrong. Whoever sent it is to blame: a relay
    /// checks both before it forwards.
    pub fn parse(bytes: &[u8]) -> Result<Self, CellError> {
        let bytes: &[u8; CELL_LEN] = bytes.try_into().map_err(|_| CellError::WrongLength)?;
        if bytes[0] >> 4 != FORMAT {
            return Err(CellError::UnknownVersion);
        }
        Ok(Self(Box::new(*bytes)))
    }

    /// The cell as it goes onto the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; CELL_LEN] {
        &self.0
    }

    /// The cell's parts.
    #[must_use]
    pub const fn view(&self) -> CellView<'_> {
        CellView(&self.0)
    }

    /// A cell of `epoch` with every part but the version still zero, for an origin to fill.
    pub(crate) fn blank(epoch: Epoch) -> Self {
        let mut bytes = Box::new([0; CELL_LEN]);
        *part_mut::<{ field::VERSION }, _, _>(&mut bytes) = [version(epoch)];
        Self(bytes)
    }

    pub(crate) const fn alpha_mut(&mut self) -> &mut [u8; ALPHA_LEN] {
        part_mut::<{ field::ALPHA.start }, _, _>(&mut self.0)
    }

    pub(crate) const fn gamma_mut(&mut self) -> &mut [u8; GAMMA_LEN] {
        part_mut::<{ field::GAMMA.start }, _, _>(&mut self.0)
    }

    pub(crate) const fn beta_mut(&mut self) -> &mut [u8; BETA_LEN] {
        part_mut::<{ field::BETA.start }, _, _>(&mut self.0)
    }

    pub(crate) const fn delta_mut(&mut self) -> &mut [u8; DELTA_LEN] {
        part_mut::<{ field::DELTA.start }, _, _>(&mut self.0)
    }
}

impl fmt::Debug for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cell(..)")
    }
}

/// Where the parts of a cell lie.
pub mod field {
    use core::ops::Range;

    use super::{ALPHA_LEN, BETA_LEN, DELTA_LEN, GAMMA_LEN, VERSION_LEN};

    /// Format in the upper half, hint of the key's epoch in the lower.
    pub const VERSION: usize = 0;
    /// The Diffie-Hellman element, blinded anew at each hop.
    pub const ALPHA: Range<usize> = VERSION_LEN..VERSION_LEN + ALPHA_LEN;
    /// The tag over version, alpha, beta and delta.
    pub const GAMMA: Range<usize> = ALPHA.end..ALPHA.end + GAMMA_LEN;
    /// Six routing slots, encrypted.
    pub const BETA: Range<usize> = GAMMA.end..GAMMA.end + BETA_LEN;
    /// The body, encrypted once per layer.
    pub const DELTA: Range<usize> = BETA.end..BETA.end + DELTA_LEN;
}

/// A cell's bytes by name.
#[derive(Clone, Copy)]
pub struct CellView<'a>(&'a [u8; CELL_LEN]);

impl<'a> CellView<'a> {
    /// Low four bits of the epoch whose keys seal this cell.
    #[must_use]
    pub const fn hint(self) -> u8 {
        self.version() & 0x0f
    }

    /// The version byte.
    #[must_use]
    pub const fn version(self) -> u8 {
        self.0[field::VERSION]
    }

    /// The Diffie-Hellman element, as received.
    #[must_use]
    pub const fn alpha(self) -> &'a [u8; ALPHA_LEN] {
        part::<{ field::ALPHA.start }, _, _>(self.0)
    }

    /// The tag.
    #[must_use]
    pub const fn gamma(self) -> &'a [u8; GAMMA_LEN] {
        part::<{ field::GAMMA.start }, _, _>(self.0)
    }

    /// The encrypted slots.
    #[must_use]
    pub const fn beta(self) -> &'a [u8; BETA_LEN] {
        part::<{ field::BETA.start }, _, _>(self.0)
    }

    /// The encrypted body.
    #[must_use]
    pub const fn delta(self) -> &'a [u8; DELTA_LEN] {
        part::<{ field::DELTA.start }, _, _>(self.0)
    }

    /// What the tag covers besides the body: `version | alpha | beta`.
    pub(crate) fn associated_data(self) -> [u8; AAD_LEN] {
        let mut aad = [0; AAD_LEN];
        let parts = [&[self.version()][..], self.alpha(), self.beta()];
        for (to, from) in aad.iter_mut().zip(parts.into_iter().flatten()) {
            *to = *from;
        }
        aad
    }
}

impl fmt::Debug for CellView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CellView(..)")
    }
}

/// Why bytes are no cell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CellError {
    /// The upper half of the first byte is not ours.
    UnknownVersion,
    /// Not exactly 912 bytes.
    WrongLength,
}

impl fmt::Display for CellError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownVersion => "cell has an unknown version",
            Self::WrongLength => "cell is not 912 bytes long",
        })
    }
}

impl core::error::Error for CellError {}

/// The version byte of cells sealed with the keys of `epoch`.
const fn version(epoch: Epoch) -> u8 {
    FORMAT << 4 | epoch.hint()
}

/// The upper half of the version byte.
const FORMAT: u8 = 1;
/// Version, alpha and beta.
const AAD_LEN: usize = VERSION_LEN + ALPHA_LEN + BETA_LEN;

const _: () = assert!(AAD_LEN == 249 && field::DELTA.end == CELL_LEN);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsing_keeps_every_byte() {
        let mut bytes = [0x5a; CELL_LEN];
        bytes[0] = 0x1c;
        let cell = Cell::parse(&bytes).unwrap();
        assert_eq!(cell.as_bytes(), &bytes);
        assert_eq!(cell.view().hint(), 0x0c);
    }

    #[test]
    fn a_length_other_than_912_is_no_cell() {
        for len in [0, 1, 911, 913, 1_824] {
            let bytes = vec![0x10; len];
            assert_eq!(Cell::parse(&bytes), Err(CellError::WrongLength), "{len}");
        }
    }

    #[test]
    fn a_version_of_another_format_is_no_cell() {
        for format in (0..16).filter(|format| *format != FORMAT) {
            let bytes = [format << 4; CELL_LEN];
            assert_eq!(Cell::parse(&bytes), Err(CellError::UnknownVersion));
        }
    }

    #[test]
    fn the_parts_cover_the_cell_without_gap_or_overlap() {
        let mut cell = Cell::blank(Epoch(0x2f));
        cell.alpha_mut().fill(1);
        cell.gamma_mut().fill(2);
        cell.beta_mut().fill(3);
        cell.delta_mut().fill(4);
        let expected: Vec<u8> = [(0x1f, 1), (1, 32), (2, 16), (3, 216), (4, 647)]
            .into_iter()
            .flat_map(|(byte, count)| std::iter::repeat_n(byte, count))
            .collect();
        assert_eq!(cell.as_bytes()[..], expected);
        let view = cell.view();
        assert_eq!(view.alpha(), &[1; 32]);
        assert_eq!(view.gamma(), &[2; 16]);
        assert_eq!(view.beta(), &[3; 216]);
        assert_eq!(view.delta(), &[4; 647]);
    }

    #[test]
    fn debug_shows_nothing_of_a_cell() {
        let cell = Cell::blank(Epoch(7));
        assert_eq!(
            format!("{cell:?} {:?}", cell.view()),
            "Cell(..) CellView(..)"
        );
    }
}
