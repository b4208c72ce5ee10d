//! The layers of a circuit at its origin.

use core::fmt;

use rand_core::CryptoRng;

use super::hop_keys::{Broken, CellCounter, HopKeys};
use super::layer_cipher::{DATA_LEN, LayerCipher};
use crate::bytes::{part, part_mut};
use crate::geometry::{CIRCUIT_BODY_LEN, CIRCUIT_PAYLOAD_LEN, CIRCUIT_TAG_LEN};

/// The keys of all relays of a circuit, in the order of the path. After the first failure every call
/// fails.
pub struct CircuitKeys {
    forward: Vec<LayerCipher>,
    backward: Vec<LayerCipher>,
    sent: CellCounter,
    received: CellCounter,
}

impl CircuitKeys {
    /// The keys of one to six relays.
    pub(super) fn new(relays: impl Iterator<Item = HopKeys>) -> Self {
        let (forward, backward) = relays.map(HopKeys::into_ciphers).unzip();
        Self {
            forward,
            backward,
            sent: CellCounter::START,
            received: CellCounter::START,
        }
    }

    /// Keys of the given layers, for tests and vectors.
    #[must_use]
    pub fn of(relays: Vec<HopKeys>) -> Self {
        Self::new(relays.into_iter())
    }

    /// Encrypts a payload for the last relay. Draws the bytes between the payload and what the relays
    /// fill in: `80 - 16 (n - 1)` bytes for n relays.
    ///
    /// # Errors
    ///
    /// [`Broken`] if the circuit has failed before.
    pub fn seal(
        &mut self,
        rng: &mut impl CryptoRng,
        payload: &[u8; CIRCUIT_PAYLOAD_LEN],
    ) -> Result<Box<[u8; CIRCUIT_BODY_LEN]>, Broken> {
        let counter = self.sent.next()?;
        let mut body = Box::new([0; CIRCUIT_BODY_LEN]);
        *part_mut::<0, CIRCUIT_PAYLOAD_LEN, _>(&mut body) = *payload;
        let rest = part_mut::<CIRCUIT_PAYLOAD_LEN, REST_LEN, _>(&mut body);
        let (last, before) = self.forward.split_last().ok_or(Broken)?;

        // What the relays before the last have filled in when a body arrives there.
        let mut filled = [0; REST_LEN];
        let mut len = 0;
        for layer in before {
            filled.rotate_left(CIRCUIT_TAG_LEN);
            *part_mut::<{ REST_LEN - CIRCUIT_TAG_LEN }, CIRCUIT_TAG_LEN, _>(&mut filled) =
                [0; CIRCUIT_TAG_LEN];
            len += CIRCUIT_TAG_LEN;
            let (_, filler) = filled.split_at_mut(REST_LEN.saturating_sub(len));
            layer.add_stream(counter, filler);
        }
        // The last relay decrypts these bytes too.
        let (_, filler) = filled.split_at_mut(REST_LEN.saturating_sub(len));
        last.add_data_stream(counter, filler);
        let (fresh, end) = rest.split_at_mut(REST_LEN.saturating_sub(len));
        rng.fill_bytes(fresh);
        end.copy_from_slice(filler);

        for layer in self.forward.iter().rev() {
            layer.seal(counter, &mut body);
        }
        Ok(body)
    }

    /// Decrypts a body that the last relay made from the other origin's payload.
    ///
    /// # Errors
    ///
    /// [`Broken`] if a layer is not the next one that its relay sealed. The circuit ends; which layer
    /// failed is not told.
    pub fn open(
        &mut self,
        body: &[u8; CIRCUIT_BODY_LEN],
    ) -> Result<Box<[u8; CIRCUIT_PAYLOAD_LEN]>, Broken> {
        let counter = self.received.next()?;
        let opened = self.open_layers(counter, body);
        if opened.is_err() {
            self.sent = CellCounter::ENDED;
            self.received = CellCounter::ENDED;
        }
        opened
    }

    fn open_layers(
        &self,
        counter: u64,
        body: &[u8; CIRCUIT_BODY_LEN],
    ) -> Result<Box<[u8; CIRCUIT_PAYLOAD_LEN]>, Broken> {
        let mut body = Box::new(*body);
        let mut dropped = self.dropped(counter).into_iter().rev();
        for layer in &self.backward {
            layer.open(counter, &mut body)?;
            // What the relay dropped from the body that it sealed.
            if let Some(end) = dropped.next() {
                *part_mut::<DATA_LEN, CIRCUIT_TAG_LEN, _>(&mut body) = end;
            }
        }
        if *part::<CIRCUIT_PAYLOAD_LEN, REST_LEN, _>(&body) != [0; REST_LEN] {
            return Err(Broken);
        }
        Ok(Box::new(*part::<0, CIRCUIT_PAYLOAD_LEN, _>(&body)))
    }

    /// The last 16 bytes of the body that each relay received from the side of the last one and
    /// dropped, from the relay before the last to the first.
    fn dropped(&self, counter: u64) -> Vec<[u8; CIRCUIT_TAG_LEN]> {
        let mut known = [0; REST_LEN];
        let mut len = REST_LEN;
        let layers = self.backward.iter().rev();
        let mut ends = Vec::with_capacity(self.backward.len());
        for layer in layers.take(self.backward.len().saturating_sub(1)) {
            let (_, end) = known.split_at_mut(REST_LEN.saturating_sub(len));
            layer.add_data_stream(counter, end);
            ends.push(*part::<{ REST_LEN - CIRCUIT_TAG_LEN }, CIRCUIT_TAG_LEN, _>(
                &known,
            ));
            known.rotate_right(CIRCUIT_TAG_LEN);
            len = len.saturating_sub(CIRCUIT_TAG_LEN);
        }
        ends
    }
}

impl fmt::Debug for CircuitKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CircuitKeys(..)")
    }
}

/// What a body has behind the payload when the last relay has removed its layer.
const REST_LEN: usize = DATA_LEN - CIRCUIT_PAYLOAD_LEN;

const _: () = assert!(REST_LEN == 5 * CIRCUIT_TAG_LEN);
