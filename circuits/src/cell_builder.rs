//! Builds a cell: encrypts a body for every relay of a path.
//!
//! The header follows Sphinx (Danezis and Goldberg 2009): one element that is blinded from hop to
//! hop, and slots that shift by one at each relay. Unlike in Sphinx, the tag of each layer also
//! covers the body, so that the next honest relay drops an altered cell. Only the origin can
//! therefore set the body, which rules out reply blocks; the protocol has no replies.
//!
//! All layers use the keys of one epoch. Unused bytes are random: zeros would tell the last relay
//! how long the path is. This module neither chooses paths nor draws delays.

#[cfg(feature = "sim")]
pub(crate) mod stand_in;

use core::fmt;

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::montgomery::MontgomeryPoint;
use curve25519_dalek::scalar::Scalar;
use rand_core::CryptoRng;
use zeroize::Zeroize;

use crate::arithmetic::Arithmetic;
use crate::bytes::{part, part_mut};
use crate::cell::{Cell, HopDelay, Slot};
use crate::geometry::{BETA_LEN, DELTA_LEN, GAMMA_LEN, HEADER_STREAM_LEN, MAX_LAYERS, SLOT_LEN};
use crate::ids::{Epoch, RelayId};
use crate::keys::OnionPublic;
use crate::keys::layer::{Binding, LayerKeys, clamped_scalar};
use crate::secret::{Secret, wipe_stack};

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
    /// The relay that peels the layer.
    pub hop: Hop,
    /// Delay of the cell at this relay; at the last layer, the hold of the content.
    pub delay: HopDelay,
}

/// Encrypts `delta` for the last of `layers`. The relays peel the layers in order.
///
/// The function draws 32 bytes for the secret of the path and then the random bytes of the last
/// layer's header, and nothing else. A cell is therefore a function of the arguments and these
/// bytes.
///
/// # Errors
///
/// [`SealError`] if the path is empty, too long, or contains a relay twice in a row. The caller is
/// at fault.
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
    let terminal = Slot::Terminal { hold, bulletin };
    Ok(seal_layers(rng, epoch, layers, terminal, delta).0)
}

/// Encrypts `delta` for the last of the hops as [`seal`] does, with slots that ask each of them to keep
/// the keys of a circuit. Returns the keys of the layers in order, for [`crate::circuit`].
pub(crate) fn seal_circuit(
    rng: &mut impl CryptoRng,
    epoch: Epoch,
    layers: &[LayerSpec],
    delta: &[u8; DELTA_LEN],
) -> Result<(Cell, Vec<LayerKeys>), SealError> {
    check_path(layers)?;
    if layers.is_empty() {
        return Err(SealError::NoLayers);
    }
    let (cell, prepared) = seal_layers(rng, epoch, layers, Slot::Meet, delta);
    Ok((cell, prepared.into_iter().map(|layer| layer.keys).collect()))
}

/// Builds the cell of a path that has been checked. `last` is the slot of the last layer.
fn seal_layers(
    rng: &mut impl CryptoRng,
    epoch: Epoch,
    layers: &[LayerSpec],
    last: Slot,
    delta: &[u8; DELTA_LEN],
) -> (Cell, Vec<PreparedLayer>) {
    let secret = Secret::init_with(|bytes| rng.fill_bytes(bytes));
    let prepared_layers = schedule(&secret, epoch, layers);

    let mut cell = Cell::blank(epoch);
    *cell.delta_mut() = *delta;
    innermost_header(rng, &prepared_layers, last, cell.beta_mut());
    let mut next: Option<RelayId> = None;
    for (layer, prepared) in layers.iter().zip(&prepared_layers).rev() {
        if let Some(next) = next.replace(layer.hop.id) {
            let slot = earlier_slot(last, layer, &next, *cell.view().gamma());
            push_slot(slot, prepared, cell.beta_mut());
        }
        *cell.alpha_mut() = prepared.alpha;
        prepared.keys.seal(&mut cell);
    }
    (cell, prepared_layers)
}

/// The slot of a relay before the last one, of the kind of the last slot.
fn earlier_slot(last: Slot, layer: &LayerSpec, next: &RelayId, gamma: [u8; GAMMA_LEN]) -> Slot {
    let next = next.short();
    match last {
        Slot::Meet | Slot::Extend { .. } => Slot::Extend { next, gamma },
        Slot::Forward { .. } | Slot::Terminal { .. } => Slot::Forward {
            next,
            delay: layer.delay,
            gamma,
        },
    }
}

/// Builds a cell as [`seal`] does, with the arithmetic of a simulated node if it is given.
///
/// # Errors
///
/// [`SealError`], as [`seal`].
pub fn seal_with(
    arithmetic: Arithmetic,
    rng: &mut impl CryptoRng,
    epoch: Epoch,
    layers: &[LayerSpec],
    delta: &[u8; DELTA_LEN],
) -> Result<Cell, SealError> {
    #[cfg(feature = "sim")]
    if !arithmetic.is_real() {
        check_path(layers)?;
        let hold = layers.last().ok_or(SealError::NoLayers)?.delay;
        let terminal = Slot::Terminal {
            hold,
            bulletin: false,
        };
        return Ok(stand_in::seal(rng, epoch, layers, terminal, delta));
    }
    debug_assert!(
        arithmetic.is_real(),
        "there is no other without the feature"
    );
    seal(rng, epoch, layers, false, delta)
}

/// The keys and the element of one layer, before the cell is built.
struct PreparedLayer {
    alpha: [u8; 32],
    keys: LayerKeys,
    /// Encrypts the slots and the slot that shifts in.
    stream: Secret<HEADER_STREAM_LEN>,
}

/// Derives the element and the keys of every layer from the secret of the path.
///
/// The scalar of each layer is the previous scalar times the blinding factor of the previous layer,
/// modulo the group order. This costs one fixed-base and one variable-base multiplication per
/// layer; iterated X25519 would cost one multiplication for every earlier layer.
fn schedule(secret: &Secret<32>, epoch: Epoch, layers: &[LayerSpec]) -> Vec<PreparedLayer> {
    let prepared = prepare(secret, epoch, layers);
    // Scalars are copied wherever they are multiplied.
    wipe_stack();
    prepared
}

#[inline(never)]
fn prepare(secret: &Secret<32>, epoch: Epoch, layers: &[LayerSpec]) -> Vec<PreparedLayer> {
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
    // The batch conversion uses one field inversion for both points.
    let mut coordinates = EdwardsPoint::to_montgomery_batch(&points);
    points.zeroize();
    #[expect(clippy::expect_used, reason = "two points in, two coordinates out")]
    let [alpha, shared]: &mut [MontgomeryPoint; 2] =
        coordinates.as_mut_slice().try_into().expect("a pair");
    (alpha.0, Secret::take(&mut shared.0))
}

/// Writes the header that the last relay receives: its own slot, random bytes instead of unused
/// slots, and the bytes that the earlier relays shift in.
fn innermost_header(
    rng: &mut impl CryptoRng,
    prepared_layers: &[PreparedLayer],
    slot: Slot,
    beta: &mut [u8; BETA_LEN],
) {
    let Some((last, before)) = prepared_layers.split_last() else {
        return;
    };
    // Each earlier relay appends a zero slot, adds its stream, and shifts by one slot.
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

/// Inserts a slot in front and encrypts all slots. The last slot drops out; the stream of the relay
/// restores it when it peels the layer.
fn push_slot(slot: Slot, prepared: &PreparedLayer, beta: &mut [u8; BETA_LEN]) {
    beta.rotate_right(SLOT_LEN);
    slot.emit(part_mut::<0, _, _>(beta));
    add(beta, prepared.stream.expose());
}

/// XORs the stream into `bytes`, up to the length of `bytes`.
fn add(bytes: &mut [u8], stream: &[u8; HEADER_STREAM_LEN]) {
    for (byte, key) in bytes.iter_mut().zip(stream) {
        *byte ^= key;
    }
}

/// Refuses paths that relays would not forward.
pub(crate) fn check_path(layers: &[LayerSpec]) -> Result<(), SealError> {
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

/// Reason why no cell can be built for a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SealError {
    /// The path is empty; it needs at least one relay.
    NoLayers,
    /// The path has a relay twice in a row. A relay drops cells that name itself as the next hop.
    RelayTwiceInARow,
    /// The path has more than six layers; a header has six slots.
    TooManyLayers,
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLayers => "path has no relay; it needs at least one",
            Self::RelayTwiceInARow => "path has a relay twice in a row",
            Self::TooManyLayers => "path has more than six layers; a cell has six slots",
        })
    }
}

impl core::error::Error for SealError {}
