//! The one-shot onion cell: 912 bytes, on every link and at every hop.
//!
//! `version 1 | alpha 32 | gamma 16 | beta 216 | delta 647`. [`Cell`] owns the bytes, [`CellView`]
//! names their parts, and [`Slot`] is the decoded routing information of one relay (36 bytes).
//! Parsing a cell checks the length and the format version only: all other checks need the relay's
//! key and happen in [`crate::relay`]. Nothing here encrypts.
//!
//! A cell is indistinguishable from random bytes from the second byte on. `Debug` therefore shows
//! none of it.

mod delay;
mod slot;

use core::fmt;

use rand_core::CryptoRng;

pub use self::delay::{DelayTooLong, HopDelay};
pub use self::slot::{BadSlot, Slot};
use crate::bytes::{part, part_mut};
use crate::geometry::{ALPHA_LEN, BETA_LEN, CELL_LEN, DELTA_LEN, GAMMA_LEN, VERSION_LEN};
use crate::ids::Epoch;

/// A cell of valid length and format version.
#[derive(Clone, Eq, PartialEq)]
pub struct Cell(Box<[u8; CELL_LEN]>);

impl Cell {
    /// Parses a cell received on a link.
    ///
    /// # Errors
    ///
    /// [`CellError`] if the length or the version is wrong. The sending peer is at fault: a relay
    /// checks both before it forwards a cell.
    pub fn parse(bytes: &[u8]) -> Result<Self, CellError> {
        let bytes: &[u8; CELL_LEN] = bytes.try_into().map_err(|_| CellError::WrongLength)?;
        Self::from_box(Box::new(*bytes))
    }

    /// Takes the bytes of a cell received on a link, without a copy.
    ///
    /// # Errors
    ///
    /// [`CellError::UnknownVersion`].
    pub fn from_box(bytes: Box<[u8; CELL_LEN]>) -> Result<Self, CellError> {
        let [version, ..] = *bytes;
        if version >> 4 != FORMAT {
            return Err(CellError::UnknownVersion);
        }
        Ok(Self(bytes))
    }

    /// The bytes of the cell on the wire, without a copy.
    #[must_use]
    pub fn into_box(self) -> Box<[u8; CELL_LEN]> {
        self.0
    }

    /// The bytes of the cell on the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; CELL_LEN] {
        &self.0
    }

    /// Access to the parts of the cell by name.
    #[must_use]
    pub const fn view(&self) -> CellView<'_> {
        CellView(&self.0)
    }

    /// Random bytes in the form of a cell of `epoch`, which no relay can open. It keeps the rate of a
    /// link where no cell can be sealed.
    #[must_use]
    pub fn filler(epoch: Epoch, rng: &mut impl CryptoRng) -> Self {
        let mut cell = Self::blank(epoch);
        if let Some((_, rest)) = cell.0.split_first_mut() {
            rng.fill_bytes(rest);
        }
        cell
    }

    /// A cell of `epoch` in which every part except the version is zero, for the builder to fill.
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

/// Positions of the parts of a cell.
pub mod field {
    use core::ops::Range;

    use super::{ALPHA_LEN, BETA_LEN, DELTA_LEN, GAMMA_LEN, VERSION_LEN};

    /// Format in the upper half, hint of the key epoch in the lower half.
    pub const VERSION: usize = 0;
    /// Diffie-Hellman element, blinded again at each hop.
    pub const ALPHA: Range<usize> = VERSION_LEN..VERSION_LEN + ALPHA_LEN;
    /// Authentication tag over version, alpha, beta and delta.
    pub const GAMMA: Range<usize> = ALPHA.end..ALPHA.end + GAMMA_LEN;
    /// Six routing slots, encrypted.
    pub const BETA: Range<usize> = GAMMA.end..GAMMA.end + BETA_LEN;
    /// The body, encrypted once per layer.
    pub const DELTA: Range<usize> = BETA.end..BETA.end + DELTA_LEN;
}

/// Read access to the parts of a cell.
#[derive(Clone, Copy)]
pub struct CellView<'a>(&'a [u8; CELL_LEN]);

impl<'a> CellView<'a> {
    /// Low four bits of the epoch whose keys encrypt this cell.
    #[must_use]
    pub const fn hint(self) -> u8 {
        self.version() & 0x0f
    }

    /// The version byte.
    #[must_use]
    pub const fn version(self) -> u8 {
        self.0[field::VERSION]
    }

    /// Diffie-Hellman element, as received.
    #[must_use]
    pub const fn alpha(self) -> &'a [u8; ALPHA_LEN] {
        part::<{ field::ALPHA.start }, _, _>(self.0)
    }

    /// Authentication tag.
    #[must_use]
    pub const fn gamma(self) -> &'a [u8; GAMMA_LEN] {
        part::<{ field::GAMMA.start }, _, _>(self.0)
    }

    /// Encrypted routing slots.
    #[must_use]
    pub const fn beta(self) -> &'a [u8; BETA_LEN] {
        part::<{ field::BETA.start }, _, _>(self.0)
    }

    /// Encrypted body.
    #[must_use]
    pub const fn delta(self) -> &'a [u8; DELTA_LEN] {
        part::<{ field::DELTA.start }, _, _>(self.0)
    }

    /// Data that the tag covers besides the body: `version | alpha | beta`.
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

/// Reason why bytes are not a cell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CellError {
    /// The format version is not 1.
    UnknownVersion,
    /// The length is not 912 bytes.
    WrongLength,
}

impl fmt::Display for CellError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownVersion => "cell has an unknown format version; expected version 1",
            Self::WrongLength => "cell does not have 912 bytes",
        })
    }
}

impl core::error::Error for CellError {}

/// The version byte of cells encrypted with the keys of `epoch`.
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
    fn cell_parse_keeps_every_byte() {
        let mut bytes = [0x5a; CELL_LEN];
        bytes[0] = 0x1c;
        let cell = Cell::parse(&bytes).unwrap();
        assert_eq!(cell.as_bytes(), &bytes);
        assert_eq!(cell.view().hint(), 0x0c);
    }

    #[test]
    fn cell_parse_refuses_length_other_than_912() {
        for len in [0, 1, 911, 913, 1_824] {
            let bytes = vec![0x10; len];
            assert_eq!(Cell::parse(&bytes), Err(CellError::WrongLength), "{len}");
        }
    }

    #[test]
    fn cell_parse_refuses_other_format_version() {
        for format in (0..16).filter(|format| *format != FORMAT) {
            let bytes = [format << 4; CELL_LEN];
            assert_eq!(Cell::parse(&bytes), Err(CellError::UnknownVersion));
        }
    }

    #[test]
    fn cell_parts_cover_cell_without_gap_or_overlap() {
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
    fn filler_has_the_form_of_a_cell_of_its_epoch_and_other_bytes_each_time() {
        let mut rng = crate::erasing_rng::ErasingRng::from_seed(&[3; 32]);
        let one = Cell::filler(Epoch(0x2f), &mut rng);
        let two = Cell::filler(Epoch(0x2f), &mut rng);
        assert_eq!(one.view().hint(), 0x0f);
        assert!(Cell::parse(one.as_bytes()).is_ok());
        assert_ne!(one.view().alpha(), two.view().alpha());
        assert_ne!(one.view().delta(), two.view().delta());
    }

    #[test]
    fn cell_debug_shows_no_bytes() {
        let cell = Cell::blank(Epoch(7));
        assert_eq!(
            format!("{cell:?} {:?}", cell.view()),
            "Cell(..) CellView(..)"
        );
    }
}
