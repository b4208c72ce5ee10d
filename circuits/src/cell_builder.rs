//! Seals a piece of data into a cell: every layer of it at once, by the one who knows the path.
//!
//! The header is Sphinx's (Danezis and Goldberg 2009), with one element that is blinded from hop
//! to hop and slots that shift by one at each relay. Unlike Sphinx, the tag of a layer covers the
//! body too, so that any change dies at the next honest relay; the price is that nobody but the
//! origin can add a body later, and we need no replies.
//!
//! All layers use the keys of one epoch. Bytes that mean nothing are random: zeros there would
//! tell the last relay how long the path was. This module neither chooses paths nor draws delays.

use core::fmt;

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::scalar::Scalar;
use rand_core::CryptoRng;
use zeroize::Zeroize;

use crate::bytes::{part, part_mut};
use crate::cell::{Cell, HopDelay, Slot};
use crate::geometry::{BETA_LEN, DELTA_LEN, HEADER_STREAM_LEN, MAX_LAYERS, SLOT_LEN};
use crate::ids::{Epoch, RelayId};
use crate::keys::OnionPublic;
use crate::keys::layer::{Binding, LayerKeys, clamped_scalar};
use crate::secret::Secret;

/// A relay on a path, with its onion key of the cell's epoch.
#[derive(Clone, Copy, Debug)]
pub struct Hop {
    /// The relay.
    pub id: RelayId,
    /// Its onion key.
    pub onion: OnionPublic,
}

/// One layer of a cell.
#[derive(Clone, Copy, Debug)]
pub struct LayerSpec {
    /// Who peels it.
    pub hop: Hop,
    /// How long the cell waits there; at the last layer, how long the content is held.
    pub delay: HopDelay,
}

/// Seals `delta` for the last of `layers`, to be peeled in their order.
///
/// The generator yields 32 bytes for the secret of the path and then the random bytes of the last
/// layer's header; nothing else is drawn, so a cell is a function of its arguments and these.
///
/// # Errors
///
/// [`SealError`] if the path is empty, too long, or has a relay twice in a row. The caller is to
/// blame.
///
/// ```
/// use circuits::cell::HopDelay;
/// use circuits::ids::{Epoch, LinkId, RelayId};
/// use circuits::keys::OnionSecret;
/// use circuits::cell_builder::{Hop, LayerSpec, seal};
/// use circuits::relay::{OnionRelay, Peeled, RelayLimits, ReplaySet};
/// use circuits::time::{Instant, Now};
/// # use rand_core::SeedableRng;
/// # let mut rng = rand_chacha::ChaCha20Rng::from_seed([7; 32]);
///
/// let epoch = Epoch(41_007);
/// let secret = OnionSecret::generate(&mut rng);
/// let hop = Hop { id: RelayId([1; 32]), onion: *secret.public() };
/// let layers = [LayerSpec { hop, delay: HopDelay::ZERO }];
/// let cell = seal(&mut rng, epoch, &layers, false, &[9; 647])?;
///
/// let mut relay = OnionRelay::new(hop.id, RelayLimits::default());
/// relay.install_key(epoch, secret, ReplaySet::default())?;
/// let now = Now { mono: Instant::ZERO, unix: epoch.start() };
/// relay.accept(now, LinkId(1), cell)?;
/// let peel = relay.next_peel(now).ok_or("nothing waits")?;
/// assert!(matches!(peel.outcome, Peeled::Terminal { delta, .. } if *delta == [9; 647]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn seal(
    rng: &mut impl CryptoRng,
    epoch: Epoch,
    layers: &[LayerSpec],
    bulletin: bool,
    delta: &[u8; DELTA_LEN],
) -> Result<Cell, SealError> {
    check_path(layers)?;
    let hold = layers.last().ok_or(SealError::NoLayers)?.delay;
    let secret = Secret::init_with(|bytes| rng.fill_bytes(bytes));
    let prepared_layers = schedule(&secret, epoch, layers);

    let mut cell = Cell::blank(epoch);
    *cell.delta_mut() = *delta;
    innermost_header(
        rng,
        &prepared_layers,
        Slot::Terminal { hold, bulletin },
        cell.beta_mut(),
    );
    let mut next: Option<RelayId> = None;
    for (layer, prepared) in layers.iter().zip(&prepared_layers).rev() {
        if let Some(next) = next.replace(layer.hop.id) {
            let slot = Slot::Forward {
                next: next.short(),
                delay: layer.delay,
                gamma: *cell.view().gamma(),
            };
            push_slot(slot, prepared, cell.beta_mut());
        }
        *cell.alpha_mut() = prepared.alpha;
        prepared.keys.seal(&mut cell);
    }
    Ok(cell)
}

/// What the origin knows of one layer before it builds the cell.
struct PreparedLayer {
    alpha: [u8; 32],
    keys: LayerKeys,
    /// Covers the slots and the slot that shifts in.
    stream: Secret<HEADER_STREAM_LEN>,
}

/// Derives every layer's element and keys from the secret of the path.
///
/// Each layer's scalar is the one before times that layer's blinding factor, modulo the group
/// order: one fixed-base and one variable-base multiplication per layer, where iterating X25519
/// would take as many as there are layers before it.
fn schedule(secret: &Secret<32>, epoch: Epoch, layers: &[LayerSpec]) -> Vec<PreparedLayer> {
    let mut scalar = clamped_scalar(secret);
    let mut prepared_layers: Vec<PreparedLayer> = Vec::with_capacity(layers.len());
    for LayerSpec { hop, .. } in layers {
        if let Some(before) = prepared_layers.last() {
            scalar *= clamped_scalar(&before.keys.blind());
        }
        let (alpha, shared) = element_and_secret(&scalar, &hop.onion);
        let keys = LayerKeys::new(
            &shared,
            Binding {
                alpha: &alpha,
                onion: &hop.onion,
                relay: &hop.id,
                epoch,
            },
        );
        let stream = Secret::init_with(|stream| keys.apply_header_stream(stream));
        prepared_layers.push(PreparedLayer {
            alpha,
            keys,
            stream,
        });
    }
    scalar.zeroize();
    prepared_layers
}

/// The public element `scalar * G` and the secret `scalar * X`, both as u-coordinates.
fn element_and_secret(scalar: &Scalar, onion: &OnionPublic) -> ([u8; 32], Secret<32>) {
    let mut points = [EdwardsPoint::mul_base(scalar), onion.point() * scalar];
    // One field inversion serves both.
    let mut coordinates = EdwardsPoint::to_montgomery_batch(&points);
    points.zeroize();
    #[expect(clippy::expect_used, reason = "two points in, two coordinates out")]
    let [alpha, shared]: &mut [MontgomeryPoint; 2] =
        coordinates.as_mut_slice().try_into().expect("a pair");
    (alpha.0, Secret::take(&mut shared.0))
}

/// Writes the header that the last relay receives: its own slot, random bytes in the place of slots
/// that the path does not use, and what the relays before it will have shifted in.
fn innermost_header(
    rng: &mut impl CryptoRng,
    prepared_layers: &[PreparedLayer],
    slot: Slot,
    beta: &mut [u8; BETA_LEN],
) {
    let Some((last, before)) = prepared_layers.split_last() else {
        return;
    };
    // Each relay adds its stream to the slots with a slot of zeros behind them, and shifts.
    let mut shifted = [0; HEADER_STREAM_LEN];
    for prepared in before {
        add(&mut shifted, prepared.stream.expose());
        shifted.rotate_left(SLOT_LEN);
        *part_mut::<BETA_LEN, SLOT_LEN, _>(&mut shifted) = [0; SLOT_LEN];
    }
    *beta = *part::<0, _, _>(&shifted);

    let used = SLOT_LEN * before.len();
    let (fresh, _) = beta.split_at_mut(BETA_LEN - used);
    rng.fill_bytes(fresh);
    slot.emit(part_mut::<0, _, _>(beta));
    let (fresh, _) = beta.split_at_mut(BETA_LEN - used);
    add(fresh, last.stream.expose());
}

/// Puts a slot before the others and encrypts all of them; the last one falls off the end, where
/// the relay's own stream brings it back.
fn push_slot(slot: Slot, prepared: &PreparedLayer, beta: &mut [u8; BETA_LEN]) {
    beta.rotate_right(SLOT_LEN);
    slot.emit(part_mut::<0, _, _>(beta));
    add(beta, prepared.stream.expose());
}

/// Adds a stream to as many bytes as there are.
fn add(bytes: &mut [u8], stream: &[u8; HEADER_STREAM_LEN]) {
    for (byte, key) in bytes.iter_mut().zip(stream) {
        *byte ^= key;
    }
}

/// Refuses paths that no relay would carry.
fn check_path(layers: &[LayerSpec]) -> Result<(), SealError> {
    if layers.len() > MAX_LAYERS {
        return Err(SealError::TooManyLayers);
    }
    let adjacent = layers.iter().zip(layers.iter().skip(1));
    for (one, next) in adjacent {
        if one.hop.id.short() == next.hop.id.short() {
            return Err(SealError::RelayTwiceInARow);
        }
    }
    Ok(())
}

/// Why a path cannot be sealed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SealError {
    /// A path needs at least one relay.
    NoLayers,
    /// A relay drops cells that name itself as the next hop.
    RelayTwiceInARow,
    /// A header has six slots.
    TooManyLayers,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLayers => "path has no relay",
            Self::RelayTwiceInARow => "path has a relay twice in a row",
            Self::TooManyLayers => "path has more than six layers",
        })
    }
}

impl core::error::Error for SealError {}
