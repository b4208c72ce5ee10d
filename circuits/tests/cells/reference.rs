//! A second, plain implementation of the cell from `docs/wire/cell.md`.
//!
//! Nothing here comes from the crate under test: X25519 is iterated instead of multiplying scalars,
//! buffers are concatenated instead of written in place, and nothing is refused. The test vectors
//! and all malformed cells are made with it.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};
use hkdf::Hkdf;
use sha2::Sha256;
use x25519_dalek::x25519;

/// The keys of one layer and the values from which they are derived.
#[derive(Clone)]
pub(crate) struct Layer {
    pub(crate) alpha: [u8; 32],
    pub(crate) shared: [u8; 32],
    pub(crate) prk: [u8; 32],
    pub(crate) replay: [u8; 16],
    pub(crate) header: [u8; 32],
    pub(crate) body: [u8; 32],
    pub(crate) blind: [u8; 32],
    pub(crate) stream: Vec<u8>,
}

/// A relay as an origin knows it.
#[derive(Clone, Copy)]
pub(crate) struct ReferenceRelay {
    pub(crate) id: [u8; 32],
    pub(crate) onion: [u8; 32],
}

/// The keys of a layer from its element and secret.
pub(crate) fn layer(alpha: [u8; 32], shared: [u8; 32], relay: ReferenceRelay, epoch: u32) -> Layer {
    let (prk, hkdf) = Hkdf::<Sha256>::extract(Some(b"whisht/1/cell"), &shared);
    let expand = |label: &str, key: &mut [u8]| {
        let info = [
            b"whisht/1/",
            label.as_bytes(),
            &alpha,
            &relay.onion,
            &relay.id,
            &epoch.to_be_bytes(),
        ]
        .concat();
        hkdf.expand(&info, key).unwrap();
    };
    let mut layer = Layer {
        alpha,
        shared,
        prk: prk.into(),
        replay: [0; 16],
        header: [0; 32],
        body: [0; 32],
        blind: [0; 32],
        stream: vec![0; 252],
    };
    expand("replay", &mut layer.replay);
    expand("header", &mut layer.header);
    expand("body", &mut layer.body);
    expand("blind", &mut layer.blind);
    ChaCha20::new(&layer.header.into(), &[0; 12].into()).apply_keystream(&mut layer.stream);
    layer
}

/// The layers of a path with secret `x`.
pub(crate) fn schedule(x: [u8; 32], relays: &[ReferenceRelay], epoch: u32) -> Vec<Layer> {
    let mut alpha = x25519(x, x25519_dalek::X25519_BASEPOINT_BYTES);
    let mut factors = vec![x];
    let mut layers = Vec::new();
    for relay in relays {
        let shared = factors
            .iter()
            .fold(relay.onion, |point, factor| x25519(*factor, point));
        let layer = layer(alpha, shared, *relay, epoch);
        alpha = x25519(layer.blind, alpha);
        factors.push(layer.blind);
        layers.push(layer);
    }
    layers
}

/// Encodes a slot, also with invalid values.
pub(crate) fn slot(
    next: [u8; 16],
    delay: u16,
    flags: u8,
    reserved: u8,
    gamma: [u8; 16],
) -> Vec<u8> {
    [&next[..], &delay.to_be_bytes(), &[flags, reserved], &gamma].concat()
}

/// The cells of a path as each relay receives them, outermost first.
///
/// `slots` are those of the layers; the tag in each but the last is filled in. `padding` follows the
/// last slot. `tamper` may change a finished cell before the layer around it is made.
pub(crate) fn wrap(
    version: u8,
    layers: &[Layer],
    slots: &[Vec<u8>],
    padding: &[u8],
    delta: &[u8],
    mut tamper: impl FnMut(usize, &mut Vec<u8>),
) -> Vec<Vec<u8>> {
    let last = layers.len() - 1;
    let mut filler = Vec::new();
    for layer in &layers[..last] {
        filler.extend([0; 36]);
        filler = xor(&filler, &layer.stream[252 - filler.len()..]);
    }
    let mut beta = [
        xor(&[&slots[last][..], padding].concat(), &layers[last].stream),
        filler,
    ]
    .concat();
    let mut delta = delta.to_vec();
    let mut cells = Vec::new();
    for (place, layer) in layers.iter().enumerate().rev() {
        if let Some(inner) = cells.last() {
            let inner: &Vec<u8> = inner;
            let slot = [&slots[place][..20], &inner[33..49]].concat();
            beta = xor(&[&slot[..], &inner[49..265 - 36]].concat(), &layer.stream);
            delta = inner[265..].to_vec();
        }
        let aad = [&[version][..], &layer.alpha, &beta].concat();
        let payload = Payload {
            msg: &delta,
            aad: &aad,
        };
        let sealed = ChaCha20Poly1305::new(&layer.body.into())
            .encrypt(&[0; 12].into(), payload)
            .unwrap();
        let (body, tag) = sealed.split_at(647);
        let mut cell = [&[version][..], &layer.alpha, tag, &beta, body].concat();
        tamper(place, &mut cell);
        cells.push(cell);
    }
    cells.reverse();
    cells
}

/// The slots as a relay decrypts them: its own and the six that follow.
pub(crate) fn slots(layer: &Layer, cell: &[u8]) -> Vec<u8> {
    xor(&[&cell[49..265], &[0; 36]].concat(), &layer.stream)
}

/// XOR of two byte strings, with the length of the first.
fn xor(bytes: &[u8], stream: &[u8]) -> Vec<u8> {
    bytes
        .iter()
        .zip(stream)
        .map(|(byte, key)| byte ^ key)
        .collect()
}
