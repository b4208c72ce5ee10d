//! The layer of one relay on a circuit, in both directions.

use core::fmt;

use super::layer_cipher::LayerCipher;
use crate::bytes::{part, part_mut};
use crate::geometry::{CIRCUIT_BODY_LEN, CIRCUIT_PAYLOAD_LEN};
use crate::keys::layer::LayerKeys;
use crate::secret::Secret;

/// The keys and counters of a circuit at one relay. After the first failure every call fails.
pub struct HopKeys {
    forward: LayerCipher,
    backward: LayerCipher,
    /// Cells from the origin so far.
    forwarded: CellCounter,
    /// Cells to the origin so far.
    returned: CellCounter,
}

impl HopKeys {
    /// The keys of a peeled setup cell.
    pub(crate) fn new(layer: &LayerKeys) -> Self {
        Self::of(layer.keep_forward(), layer.keep_backward())
    }

    /// Keys for both directions, from the origin and to the origin, for tests and vectors.
    #[must_use]
    pub const fn of(forward: Secret<32>, backward: Secret<32>) -> Self {
        Self {
            forward: LayerCipher(forward),
            backward: LayerCipher(backward),
            forwarded: CellCounter::START,
            returned: CellCounter::START,
        }
    }

    /// Keys of a simulated relay, which keep nothing secret.
    #[cfg(feature = "sim")]
    pub(crate) fn stand_in(alpha: &[u8; 32], relay: &crate::ids::RelayId) -> Self {
        let [forward, backward] = Self::stand_in_secrets(alpha, relay);
        Self::of(forward, backward)
    }

    /// What stands for the keys of both directions: the element, to which the relay is added.
    #[cfg(feature = "sim")]
    fn stand_in_secrets(alpha: &[u8; 32], relay: &crate::ids::RelayId) -> [Secret<32>; 2] {
        [1, 2].map(|direction| {
            Secret::init_with(|key| {
                for ((to, one), other) in key.iter_mut().zip(alpha).zip(relay.0) {
                    *to = one ^ other ^ direction;
                }
            })
        })
    }

    /// The parts, for the origin, which counts once for all layers.
    pub(super) fn into_ciphers(self) -> (LayerCipher, LayerCipher) {
        (self.forward, self.backward)
    }

    /// Removes the layer of this relay from a body that came from the origin's side, and fills the 16
    /// bytes that become free.
    ///
    /// # Errors
    ///
    /// [`Broken`] if the body is not the next one that the origin sealed. The circuit ends.
    pub fn forward(&mut self, body: &mut [u8; CIRCUIT_BODY_LEN]) -> Result<(), Broken> {
        let opened = self.forward.open(self.forwarded.next()?, body);
        if opened.is_err() {
            self.forwarded = CellCounter::ENDED;
            self.returned = CellCounter::ENDED;
        }
        opened
    }

    /// Adds the layer of this relay to a body on its way to the origin. The last 16 bytes leave.
    ///
    /// # Errors
    ///
    /// [`Broken`] if the circuit has failed before.
    pub fn backward(&mut self, body: &mut [u8; CIRCUIT_BODY_LEN]) -> Result<(), Broken> {
        self.backward.seal(self.returned.next()?, body);
        Ok(())
    }

    /// At the last relay: the payload of a body that came from the origin.
    ///
    /// # Errors
    ///
    /// As [`Self::forward`].
    pub fn take_payload(
        &mut self,
        mut body: Box<[u8; CIRCUIT_BODY_LEN]>,
    ) -> Result<Box<[u8; CIRCUIT_PAYLOAD_LEN]>, Broken> {
        self.forward(&mut body)?;
        Ok(Box::new(*part::<0, CIRCUIT_PAYLOAD_LEN, _>(&body)))
    }

    /// At the last relay: a body for the origin with the payload of the other circuit. Zeros stand
    /// behind the payload, so that the origin knows every byte that the relays before drop.
    ///
    /// # Errors
    ///
    /// As [`Self::backward`].
    pub fn return_payload(
        &mut self,
        payload: &[u8; CIRCUIT_PAYLOAD_LEN],
    ) -> Result<Box<[u8; CIRCUIT_BODY_LEN]>, Broken> {
        let mut body = Box::new([0; CIRCUIT_BODY_LEN]);
        *part_mut::<0, CIRCUIT_PAYLOAD_LEN, _>(&mut body) = *payload;
        self.backward(&mut body)?;
        Ok(body)
    }
}

impl fmt::Debug for HopKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HopKeys(..)")
    }
}

/// A cell of a circuit is not the next one that was sealed: altered, lost, repeated or reordered on
/// its way. The circuit ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("circuit cell does not follow the one before; the circuit ends")
    }
}

impl core::error::Error for Broken {}

/// Number of the next cell in one direction; no number is used twice.
#[derive(Clone, Copy)]
pub(super) struct CellCounter(Option<u64>);

impl CellCounter {
    pub(super) const START: Self = Self(Some(0));
    pub(super) const ENDED: Self = Self(None);

    pub(super) fn next(&mut self) -> Result<u64, Broken> {
        let number = self.0.ok_or(Broken)?;
        self.0 = number.checked_add(1);
        Ok(number)
    }
}
