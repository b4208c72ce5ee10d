//! The circuit cell, and the ids under which a link knows a circuit.

use core::fmt;

use sha2::{Digest, Sha256};

use crate::bytes::{part, part_mut};
use crate::geometry::{CELL_LEN, CIRCUIT_BODY_LEN, CIRCUIT_ID_LEN};

/// A cell of a circuit: `id 4 | body 908`.
#[derive(Clone, Eq, PartialEq)]
pub struct CircuitCell(Box<[u8; CELL_LEN]>);

impl CircuitCell {
    /// Parses a circuit cell received on a link.
    ///
    /// # Errors
    ///
    /// [`BadCircuitCell`] if the length is wrong or the id is zero. The sending peer is at fault.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadCircuitCell> {
        let bytes: &[u8; CELL_LEN] = bytes.try_into().map_err(|_| BadCircuitCell::WrongLength)?;
        if *part::<0, CIRCUIT_ID_LEN, _>(bytes) == [0; CIRCUIT_ID_LEN] {
            return Err(BadCircuitCell::ZeroId);
        }
        Ok(Self(Box::new(*bytes)))
    }

    /// A cell of these parts.
    #[must_use]
    pub fn new(id: CircuitId, body: &[u8; CIRCUIT_BODY_LEN]) -> Self {
        let mut bytes = Box::new([0; CELL_LEN]);
        *part_mut::<0, CIRCUIT_ID_LEN, _>(&mut bytes) = id.0;
        *part_mut::<CIRCUIT_ID_LEN, CIRCUIT_BODY_LEN, _>(&mut bytes) = *body;
        Self(bytes)
    }

    /// The id of the circuit on this link, in this direction.
    #[must_use]
    pub const fn id(&self) -> CircuitId {
        CircuitId(*part::<0, CIRCUIT_ID_LEN, _>(&self.0))
    }

    /// The encrypted body.
    #[must_use]
    pub const fn body(&self) -> &[u8; CIRCUIT_BODY_LEN] {
        part::<CIRCUIT_ID_LEN, CIRCUIT_BODY_LEN, _>(&self.0)
    }

    /// The bytes of the cell on the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; CELL_LEN] {
        &self.0
    }

    /// The bytes of the cell on the wire, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Box<[u8; CELL_LEN]> {
        self.0
    }
}

impl fmt::Debug for CircuitCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CircuitCell(..)")
    }
}

/// Reason why bytes are not a circuit cell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum BadCircuitCell {
    /// The length is not 912 bytes.
    WrongLength,
    /// The id is zero, which no circuit has.
    ZeroId,
}

impl fmt::Display for BadCircuitCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongLength => "circuit cell does not have 912 bytes",
            Self::ZeroId => "circuit cell has the id 0, which no circuit has",
        })
    }
}

impl core::error::Error for BadCircuitCell {}

/// The name of a circuit on one link in one direction. Never zero.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct CircuitId([u8; CIRCUIT_ID_LEN]);

impl CircuitId {
    /// The lowest value, for ranges.
    pub(super) const FIRST: Self = Self([0; CIRCUIT_ID_LEN]);
    /// The highest value, for ranges.
    pub(super) const LAST: Self = Self([0xff; CIRCUIT_ID_LEN]);

    /// The bytes in front of a cell.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; CIRCUIT_ID_LEN] {
        &self.0
    }

    /// The first bytes of `H("whisht/1/circuit/id" | setup cell | direction)`, with 0 read as 1.
    fn derive(setup: &[u8; CELL_LEN], direction: u8) -> Self {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(b"whisht/1/circuit/id")
            .chain_update(setup)
            .chain_update([direction])
            .finalize()
            .into();
        match *part::<0, CIRCUIT_ID_LEN, _>(&digest) {
            [0, 0, 0, 0] => Self([0, 0, 0, 1]),
            id => Self(id),
        }
    }
}

impl fmt::Debug for CircuitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CircuitId(..)")
    }
}

/// The ids of a circuit on one link. They never travel: both ends of the link derive them from the
/// setup cell as it crossed the link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CircuitIds {
    /// Of cells that travel as the setup cell did, from the origin.
    pub forward: CircuitId,
    /// Of cells that travel to the origin.
    pub backward: CircuitId,
}

impl CircuitIds {
    /// The ids on the link that `setup` crossed in this form.
    #[must_use]
    pub fn of(setup: &[u8; CELL_LEN]) -> Self {
        Self {
            forward: CircuitId::derive(setup, FORWARD),
            backward: CircuitId::derive(setup, BACKWARD),
        }
    }
}

const FORWARD: u8 = 0;
const BACKWARD: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn circuit_cell_parse_refuses_other_length_and_id_zero() {
        for len in [0, 911, 913] {
            let parsed = CircuitCell::parse(&vec![1; len]);
            assert_eq!(parsed, Err(BadCircuitCell::WrongLength), "{len}");
        }
        let mut bytes = [7; CELL_LEN];
        assert_eq!(CircuitCell::parse(&bytes).unwrap().as_bytes(), &bytes);
        bytes[..4].fill(0);
        assert_eq!(CircuitCell::parse(&bytes), Err(BadCircuitCell::ZeroId));
    }

    #[test]
    fn circuit_cell_is_id_and_body() {
        let id = CircuitIds::of(&[9; CELL_LEN]).forward;
        let cell = CircuitCell::new(id, &[3; CIRCUIT_BODY_LEN]);
        assert_eq!(cell.as_bytes()[..4], id.as_bytes()[..]);
        assert_eq!((cell.id(), cell.body()), (id, &[3; CIRCUIT_BODY_LEN]));
        assert_eq!(CircuitCell::parse(cell.as_bytes()), Ok(cell.clone()));
        assert_eq!(format!("{cell:?} {id:?}"), "CircuitCell(..) CircuitId(..)");
    }

    #[test]
    fn circuit_ids_depend_on_setup_cell_and_direction() {
        let ids = CircuitIds::of(&[9; CELL_LEN]);
        assert_ne!(ids.forward, ids.backward);
        let mut other = [9; CELL_LEN];
        other[911] ^= 1;
        assert_ne!(CircuitIds::of(&other).forward, ids.forward);
    }
}
