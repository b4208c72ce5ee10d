//! A stand-in for the layers of a cell: the same fields at the same places, in plain text.
//!
//! It draws the random bytes that the real builder draws, in the same order, so a generator
//! continues in the same state. It protects nothing. Only simulated nodes use it.

use rand_core::CryptoRng;

use super::{Hop, LayerSpec, earlier_slot};
use crate::bytes::part_mut;
use crate::cell::{Cell, Slot};
use crate::geometry::{ALPHA_LEN, BETA_LEN, DELTA_LEN, GAMMA_LEN, SLOT_LEN};
use crate::ids::Epoch;

/// Builds a cell for a path that has been checked.
pub(super) fn seal(
    rng: &mut impl CryptoRng,
    epoch: Epoch,
    layers: &[LayerSpec],
    terminal: Slot,
    delta: &[u8; DELTA_LEN],
) -> Cell {
    seal_layers(rng, epoch, layers, terminal, delta).0
}

/// The same, and the element of each layer, from which a stand-in circuit derives its keys.
pub(crate) fn seal_layers(
    rng: &mut impl CryptoRng,
    epoch: Epoch,
    layers: &[LayerSpec],
    terminal: Slot,
    delta: &[u8; DELTA_LEN],
) -> (Cell, Vec<[u8; ALPHA_LEN]>) {
    let mut cell = Cell::blank(epoch);
    *cell.delta_mut() = *delta;
    let mut alpha = [0; ALPHA_LEN];
    rng.fill_bytes(&mut alpha);
    let used = SLOT_LEN * layers.len().saturating_sub(1);
    let (fresh, _) = cell.beta_mut().split_at_mut(BETA_LEN - used);
    rng.fill_bytes(fresh);
    terminal.emit(part_mut::<0, _, _>(cell.beta_mut()));

    let mut elements = vec![alpha];
    for _ in 1..layers.len() {
        alpha = next_alpha(alpha);
        elements.push(alpha);
    }
    let mut next: Option<(&LayerSpec, [u8; GAMMA_LEN])> = None;
    for (layer, alpha) in layers.iter().zip(&elements).rev() {
        if let Some((following, gamma)) = next {
            let beta = cell.beta_mut();
            beta.rotate_right(SLOT_LEN);
            let slot = earlier_slot(terminal, layer, &following.hop.id, gamma);
            slot.emit(part_mut::<0, _, _>(beta));
        }
        let gamma = gamma(alpha, &layer.hop, epoch);
        next = Some((layer, gamma));
        *cell.alpha_mut() = *alpha;
        *cell.gamma_mut() = gamma;
    }
    (cell, elements)
}

/// The element that the next relay receives: another one at each hop, so that a relay which is on
/// a path twice sees two cells.
pub(crate) const fn next_alpha(mut alpha: [u8; ALPHA_LEN]) -> [u8; ALPHA_LEN] {
    let [.., last] = &mut alpha;
    *last = last.wrapping_add(1);
    alpha
}

/// Stands for the authentication tag: differs if relay, onion key, epoch or element differ.
pub(crate) fn gamma(alpha: &[u8; ALPHA_LEN], hop: &Hop, epoch: Epoch) -> [u8; GAMMA_LEN] {
    let mut tag = [0_u8; GAMMA_LEN];
    let epoch = epoch.0.to_be_bytes();
    for input in [alpha, &hop.id.0, hop.onion.as_bytes()] {
        for (at, byte) in input.iter().enumerate() {
            if let Some(to) = tag.get_mut(at % GAMMA_LEN) {
                *to = to.rotate_left(1) ^ byte;
            }
        }
    }
    for (to, byte) in tag.iter_mut().zip(epoch) {
        *to ^= byte;
    }
    tag
}
