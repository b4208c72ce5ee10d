//! The setup cell of a circuit.

use core::fmt;

use rand_core::CryptoRng;

use super::cell::CircuitIds;
use super::hop_keys::HopKeys;
use super::origin_keys::CircuitKeys;
use crate::arithmetic::Arithmetic;
use crate::bytes::{part, part_mut};
use crate::cell::{Cell, HopDelay};
use crate::cell_builder::{Hop, LayerSpec, SealError, seal_circuit};
use crate::dispersal::Payload;
use crate::geometry::DELTA_LEN;
use crate::ids::Epoch;

/// The secret by which two circuits find each other at a relay.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct MeetCookie(pub [u8; 20]);

impl MeetCookie {
    /// The cookie in the body of a setup cell; `None` if the body is of another kind.
    pub(crate) fn parse(delta: &[u8; DELTA_LEN]) -> Option<Self> {
        match Payload::parse(delta) {
            Ok(Payload::Meet(meeting)) => Some(Self(*part::<0, 20, _>(&meeting))),
            _ => None,
        }
    }

    /// The body of a setup cell: the cookie, and random bytes.
    fn delta(&self, rng: &mut impl CryptoRng) -> Box<[u8; DELTA_LEN]> {
        let mut meeting = Box::new([0; Payload::MEET_LEN]);
        rng.fill_bytes(meeting.as_mut_slice());
        *part_mut::<0, 20, _>(&mut meeting) = self.0;
        Payload::Meet(meeting).emit(rng)
    }
}

impl fmt::Debug for MeetCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MeetCookie(..)")
    }
}

/// A setup cell with the keys of the circuit that it makes.
#[derive(Debug)]
pub struct CircuitSetup {
    /// The cell for the first hop. It is sent before every cell of the circuit.
    pub cell: Cell,
    /// The keys of all hops.
    pub keys: CircuitKeys,
}

impl CircuitSetup {
    /// Builds a setup cell for a path of one to six relays, the last of which joins the circuit with
    /// the other one of `cookie`. The onion keys are those of `epoch`.
    ///
    /// # Errors
    ///
    /// [`SealError`] if the path is empty, too long, or has a relay twice in a row.
    pub fn build(
        rng: &mut impl CryptoRng,
        epoch: Epoch,
        hops: &[Hop],
        cookie: &MeetCookie,
    ) -> Result<Self, SealError> {
        Self::build_with(Arithmetic::REAL, rng, epoch, hops, cookie)
    }

    /// Builds a setup cell as [`Self::build`] does, with the arithmetic of a simulated node if it is
    /// given.
    ///
    /// # Errors
    ///
    /// [`SealError`], as [`Self::build`].
    pub fn build_with(
        arithmetic: Arithmetic,
        rng: &mut impl CryptoRng,
        epoch: Epoch,
        hops: &[Hop],
        cookie: &MeetCookie,
    ) -> Result<Self, SealError> {
        let delta = cookie.delta(rng);
        let layers: Vec<LayerSpec> = hops
            .iter()
            .map(|hop| LayerSpec {
                hop: *hop,
                delay: HopDelay::ZERO,
            })
            .collect();
        #[cfg(feature = "sim")]
        if !arithmetic.is_real() {
            return stand_in(rng, epoch, &layers, &delta);
        }
        debug_assert!(
            arithmetic.is_real(),
            "there is no other without the feature"
        );
        let (cell, keys) = seal_circuit(rng, epoch, &layers, &delta)?;
        Ok(Self {
            cell,
            keys: CircuitKeys::new(keys.iter().map(HopKeys::new)),
        })
    }

    /// The ids of the circuit on the link to the first hop.
    #[must_use]
    pub fn ids(&self) -> CircuitIds {
        CircuitIds::of(self.cell.as_bytes())
    }
}

/// The setup cell of a simulated node.
#[cfg(feature = "sim")]
fn stand_in(
    rng: &mut impl CryptoRng,
    epoch: Epoch,
    layers: &[LayerSpec],
    delta: &[u8; DELTA_LEN],
) -> Result<CircuitSetup, SealError> {
    use crate::cell::Slot;
    use crate::cell_builder::{check_path, stand_in};

    check_path(layers)?;
    if layers.is_empty() {
        return Err(SealError::NoLayers);
    }
    let (cell, elements) = stand_in::seal_layers(rng, epoch, layers, Slot::Meet, delta);
    let keys = elements.iter().zip(layers);
    Ok(CircuitSetup {
        cell,
        keys: CircuitKeys::new(keys.map(|(alpha, layer)| HopKeys::stand_in(alpha, &layer.hop.id))),
    })
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;
    use crate::ids::{LinkId, RelayId};
    use crate::keys::OnionSecret;
    use crate::relay::{OnionRelay, Peeled, RelayLimits, ReplaySet};
    use crate::time::{Instant, Now};

    const EPOCH: Epoch = Epoch(41_000);

    fn relays(rng: &mut ChaCha20Rng, arithmetic: Arithmetic) -> (Vec<OnionRelay>, Vec<Hop>) {
        let relay = |number| {
            let secret = OnionSecret::generate(rng);
            let id = RelayId([number; 32]);
            let onion = *secret.public();
            let mut relay = OnionRelay::new(id, RelayLimits::default()).with_arithmetic(arithmetic);
            let seen = ReplaySet::default();
            relay.install_key(EPOCH, secret, seen).unwrap();
            (relay, Hop { id, onion })
        };
        (1..=3).map(relay).unzip()
    }

    /// A setup cell peeled by its three relays, a payload forth, another one back; and the next draw
    /// of the builder's generator.
    fn journey(arithmetic: Arithmetic) -> u64 {
        let mut rng = ChaCha20Rng::from_seed([3; 32]);
        let now = Now {
            mono: Instant::ZERO,
            unix: EPOCH.start(),
        };
        let (mut relays, hops) = relays(&mut rng, arithmetic);
        let cookie = MeetCookie([9; 20]);
        let setup = CircuitSetup::build_with(arithmetic, &mut rng, EPOCH, &hops, &cookie).unwrap();
        let CircuitSetup {
            mut cell,
            keys: mut origin,
        } = setup;
        let mut passing = Vec::new();
        let mut last = None;
        for relay in &mut relays {
            let arrived = CircuitIds::of(cell.as_bytes());
            relay.accept(now, LinkId(1), cell.clone()).unwrap();
            match relay.next_peel(now).unwrap().outcome {
                Peeled::Extend {
                    cell: inner,
                    ids,
                    keys,
                    ..
                } => {
                    assert_eq!(ids, arrived);
                    passing.push(keys);
                    cell = inner;
                }
                Peeled::Meet {
                    cookie: read,
                    ids,
                    keys,
                    ..
                } => {
                    assert_eq!((ids, read), (arrived, cookie));
                    last = Some(keys);
                }
                other => panic!("{other:?}"),
            }
        }
        let mut last = last.unwrap();
        let mut body = origin.seal(&mut rng, &[5; 812]).unwrap();
        for keys in &mut passing {
            keys.forward(&mut body).unwrap();
        }
        assert_eq!(*last.take_payload(body).unwrap(), [5; 812]);
        let mut body = last.return_payload(&[6; 812]).unwrap();
        for keys in passing.iter_mut().rev() {
            keys.backward(&mut body).unwrap();
        }
        assert_eq!(*origin.open(&body).unwrap(), [6; 812]);
        rng.next_u64()
    }

    #[test]
    fn setup_cell_leaves_keys_that_fit_at_every_relay() {
        journey(Arithmetic::REAL);
    }

    #[cfg(feature = "sim")]
    #[test]
    fn stand_in_circuit_works_as_a_real_one_and_draws_as_much() {
        assert_eq!(journey(Arithmetic::stand_in()), journey(Arithmetic::REAL));
    }

    #[test]
    fn setup_cell_needs_a_path() {
        let mut rng = ChaCha20Rng::from_seed([3; 32]);
        let built = CircuitSetup::build(&mut rng, EPOCH, &[], &MeetCookie([0; 20]));
        assert_eq!(built.map(|_| ()), Err(SealError::NoLayers));
    }
}
