//! The end of a client's loops.
//!
//! A client has no place in the directory. Its loops come back by the handle of the link to its guard,
//! and have a last layer for a key that only this node knows: made for one link and one epoch, kept in
//! memory, and wiped with the link or the epoch. The key peels nothing else: a client forwards no cell
//! and opens no shard.

use circuits::arithmetic::Arithmetic;
use circuits::cell::Cell;
use circuits::cell_builder::Hop;
use circuits::dispersal::Payload;
use circuits::erasing_rng::ErasingRng;
use circuits::ids::{Epoch, LinkId, RelayId, ShortId};
use circuits::keys::OnionSecret;
use circuits::loops::LoopNonce;
use circuits::relay::{OnionRelay, PeelResult, Peeled, RelayLimits, ReplaySet};
use circuits::time::Now;
use rand_core::Rng;

/// The keys of the loops of one link.
pub(super) struct ClientLoops {
    /// The first half is the handle of the link, the second half random.
    id: RelayId,
    onion: OnionRelay,
}

impl ClientLoops {
    /// An end for the link with this handle, without keys.
    pub(super) fn new(rng: &mut ErasingRng, handle: ShortId, arithmetic: Arithmetic) -> Self {
        let mut id = [0; 32];
        let (first, second) = id.split_at_mut(handle.0.len());
        first.copy_from_slice(&handle.0);
        rng.fill_bytes(second);
        let id = RelayId(id);
        Self {
            id,
            onion: OnionRelay::new(id, LIMITS).with_arithmetic(arithmetic),
        }
    }

    /// Whether it belongs to the link with this handle.
    pub(super) fn is_at(&self, handle: ShortId) -> bool {
        self.id.short() == handle
    }

    /// The last hop of loops of this epoch. Makes its key if there is none.
    pub(super) fn hop(&mut self, rng: &mut ErasingRng, epoch: Epoch) -> Option<Hop> {
        if self.onion.key(epoch).is_none() {
            let secret = OnionSecret::generate(rng);
            // There is no key of this epoch.
            let _installed = self.onion.install_key(epoch, secret, ReplaySet::default());
        }
        let key = self.onion.key(epoch)?;
        Some(Hop {
            id: self.id,
            onion: *key.secret.public(),
        })
    }

    /// A cell came from the guard. Returns the marks of loops, and the number of other cells.
    pub(super) fn accept(&mut self, now: Now, from: LinkId, cell: Cell) -> (Vec<LoopNonce>, usize) {
        let mut lost = usize::from(self.onion.accept(now, from, cell).is_err());
        let mut loops = Vec::new();
        while let Some(PeelResult { outcome, .. }) = self.onion.next_peel(now) {
            match outcome {
                Peeled::Terminal { delta, .. } => match Payload::parse(&delta) {
                    Ok(Payload::Loop { nonce }) => loops.push(LoopNonce(nonce)),
                    _ => lost += 1,
                },
                Peeled::Forward { .. }
                | Peeled::Extend { .. }
                | Peeled::Meet { .. }
                | Peeled::Dropped(_) => lost += 1,
            }
        }
        (loops, lost)
    }

    /// Wipes the keys of past epochs.
    pub(super) fn expire(&mut self, now: Now) {
        self.onion.expire(now);
    }
}

/// A guard returns one loop in 20 s. The rate of peeling is above the burst, so that no cell waits.
const LIMITS: RelayLimits = RelayLimits {
    link_rate: 2,
    link_burst: 20,
    peel_rate: 1_000,
    waiting: 20,
};
