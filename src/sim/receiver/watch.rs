//! What peers see of a node that forwards envelopes: when, in which order, to whom, in how many
//! bytes.

use std::collections::{BTreeMap, BTreeSet};

use circuits::time::Instant;

use super::super::frames::{FrameKind, frames};
use super::classifier::{FEATURES, Features};
use crate::envelope::EnvelopeHash;

/// Follows the envelopes that one node receives.
#[derive(Default)]
pub(super) struct ForwardWatch {
    envelopes: BTreeMap<EnvelopeHash, Forwarding>,
    /// Envelopes whose bodies came and that were not forwarded yet, by arrival.
    pending: BTreeSet<(Instant, EnvelopeHash)>,
}

/// The course of one envelope.
#[derive(Clone, Debug)]
struct Forwarding {
    /// When a peer first showed it.
    first_sight: Instant,
    requested: Option<Instant>,
    body: Option<Instant>,
    first_forward: Option<Instant>,
    last_forward: Instant,
    /// Peers to which it was announced or sent.
    peers: BTreeSet<usize>,
    /// Its share of the bytes of the frames that name it.
    bytes: f64,
    /// Envelopes that came earlier and were still waiting when it was first forwarded.
    overtaken: f64,
}

impl ForwardWatch {
    /// The node received bytes.
    pub(super) fn received(&mut self, at: Instant, bytes: &[u8]) {
        for frame in frames(bytes) {
            let is_body = frame.kind == FrameKind::Envelopes;
            if !is_body && frame.kind != FrameKind::Announcement {
                continue;
            }
            for hash in frame.envelopes() {
                let forwarding = self.envelopes.entry(hash).or_insert(Forwarding {
                    first_sight: at,
                    requested: None,
                    body: None,
                    first_forward: None,
                    last_forward: at,
                    peers: BTreeSet::new(),
                    bytes: 0.0,
                    overtaken: 0.0,
                });
                if is_body && forwarding.body.is_none() {
                    forwarding.body = Some(at);
                    self.pending.insert((at, hash));
                }
            }
        }
    }

    /// The node sent bytes to a peer.
    pub(super) fn sent(&mut self, at: Instant, to: usize, bytes: &[u8]) {
        for frame in frames(bytes) {
            let hashes = frame.envelopes();
            let named = f64::from(u32::try_from(hashes.len().max(1)).unwrap_or(u32::MAX));
            let length = f64::from(u32::try_from(frame.wire.len()).unwrap_or(u32::MAX));
            for hash in hashes {
                let Some(forwarding) = self.envelopes.get_mut(&hash) else {
                    continue;
                };
                forwarding.bytes += length / named;
                if frame.kind == FrameKind::Request {
                    forwarding.requested.get_or_insert(at);
                    continue;
                }
                forwarding.peers.insert(to);
                forwarding.last_forward = at;
                if let Some(body) = forwarding.body
                    && forwarding.first_forward.is_none()
                {
                    forwarding.first_forward = Some(at);
                    self.pending.remove(&(body, hash));
                    let before = self.pending.range(..(body, hash)).count();
                    forwarding.overtaken = f64::from(u32::try_from(before).unwrap_or(u32::MAX));
                }
            }
        }
    }

    /// What was seen of each envelope that was forwarded. The order says nothing of its course.
    pub(super) fn features(&self) -> impl Iterator<Item = (EnvelopeHash, Features)> {
        self.envelopes.iter().filter_map(|(hash, forwarding)| {
            let body = forwarding.body?;
            let seconds = |from: Instant, to: Instant| to.since(from).as_secs_f64();
            let features: [f64; FEATURES] = [
                forwarding
                    .requested
                    .map_or(-1.0, |at| seconds(forwarding.first_sight, at)),
                seconds(body, forwarding.first_forward?),
                seconds(body, forwarding.last_forward),
                f64::from(u32::try_from(forwarding.peers.len()).unwrap_or(u32::MAX)),
                forwarding.bytes,
                forwarding.overtaken,
            ];
            Some((*hash, features))
        })
    }
}
