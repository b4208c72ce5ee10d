//! Scanning: which envelopes are first messages to this user, or steps of its conversations.
//!
//! First messages have no topic that is known before, so each is tried with the outer key of every live
//! generation: one map, and one X25519 for each key. Steps have topics that both ends know; the caller looks
//! the topic up and gives the keys of this topic as candidates. A batch takes the envelopes in their order,
//! in steps of a few milliseconds, on another thread than the node's. What is found is reported and nothing
//! else: the caller decides about replays, shards and boxes.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use super::chain::StepKey;
use super::elligator::{EphemeralPoint, OuterSecret};
use super::first_contact::{FirstBox, FirstContent, FirstError};
use super::id::ContactId;
use super::key_block::Kappa;
use super::outer::{FirstOpener, PREFIX_LEN, open_step};
use super::plaintext::{BadPlaintext, OuterPlaintext};
use super::x_wing::XWingSecret;
use crate::envelope::Envelope;

/// The caller's name for a key.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ScanTag(pub u64);

/// The secret keys behind one key block: a generation of an address, or a source of letters.
pub struct FirstRecipient {
    opener: FirstOpener,
    id: ContactId,
    kappa: Kappa,
    x_wing: XWingSecret,
}

impl FirstRecipient {
    /// The recipient of first messages that name `id` and the key block with the hash `kappa`.
    #[must_use]
    pub const fn new(id: ContactId, kappa: Kappa, outer: OuterSecret, x_wing: XWingSecret) -> Self {
        Self {
            opener: FirstOpener::new(id, outer),
            id,
            kappa,
            x_wing,
        }
    }

    /// The id that first messages name.
    #[must_use]
    pub const fn id(&self) -> &ContactId {
        &self.id
    }

    /// The hash of the key block.
    #[must_use]
    pub const fn kappa(&self) -> &Kappa {
        &self.kappa
    }

    /// Opens the box of a body, as [`FirstBox::open`] does.
    ///
    /// # Errors
    ///
    /// [`FirstError`] names the check that failed.
    pub fn open_box(&self, body: &[u8]) -> Result<(FirstBox, FirstContent), FirstError> {
        FirstBox::open(&self.x_wing, &self.id, &self.kappa, body)
    }
}

impl fmt::Debug for FirstRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FirstRecipient(..)")
    }
}

/// The recipients of first messages, as they were at one moment.
#[derive(Debug, Default)]
pub struct ScanKeys(Vec<(ScanTag, Arc<FirstRecipient>)>);

impl ScanKeys {
    /// The keys of these recipients.
    #[must_use]
    pub fn new(recipients: impl IntoIterator<Item = (ScanTag, Arc<FirstRecipient>)>) -> Self {
        Self(recipients.into_iter().collect())
    }

    /// Whether there is no key: then only candidates are tried.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The time of one core for one envelope, by the figures below.
    #[must_use]
    pub fn time(&self) -> Duration {
        if self.0.is_empty() {
            return Duration::ZERO;
        }
        let keys = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        AGREEMENT_TIME.saturating_mul(keys).saturating_add(MAP_TIME)
    }
}

/// A key whose topic is that of an envelope.
pub struct ScanCandidate {
    /// The caller's name for the key.
    pub tag: ScanTag,
    /// The key of the step.
    pub key: StepKey,
    /// The shard that the topic stands for.
    pub shard: u8,
}

/// An envelope to scan.
pub struct ScanEnvelope {
    /// The envelope.
    pub envelope: Envelope,
    /// The keys whose topic it has.
    pub candidates: Vec<ScanCandidate>,
}

/// Keys, and the envelopes to try them on.
pub struct ScanBatch {
    keys: Arc<ScanKeys>,
    envelopes: Vec<ScanEnvelope>,
    next: usize,
    hits: Vec<ScanHit>,
}

/// An envelope of a batch that a key opened.
#[derive(Debug)]
pub struct ScanHit {
    /// The place of the envelope in the batch.
    pub envelope: usize,
    /// The key.
    pub tag: ScanTag,
    /// What the envelope is.
    pub form: ScanForm,
    /// What stands in it, or the rule that it breaks.
    pub plaintext: Result<OuterPlaintext, BadPlaintext>,
}

/// The form of an envelope that a key opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ScanForm {
    /// A first message, with its ephemeral key as on the wire.
    First([u8; 32]),
    /// A step, with the shard of its topic.
    Step(u8),
}

impl ScanBatch {
    /// A batch that tries all of `keys` on each of `envelopes`, and the candidates of each.
    #[must_use]
    pub const fn new(keys: Arc<ScanKeys>, envelopes: Vec<ScanEnvelope>) -> Self {
        Self {
            keys,
            envelopes,
            next: 0,
            hits: Vec::new(),
        }
    }

    /// Scans for about `STEP_TIME`. Returns all hits, in the order of the envelopes, when every envelope
    /// was scanned.
    pub fn step(&mut self) -> Option<Vec<ScanHit>> {
        let mut left = STEP_TIME;
        while let Some(scanned) = self.envelopes.get(self.next) {
            if left.is_zero() {
                return None;
            }
            left = left.saturating_sub(self.time_of(scanned));
            let mut found = Vec::new();
            scan_first(&self.keys, self.next, &scanned.envelope, &mut found);
            scan_steps(self.next, scanned, &mut found);
            self.hits.append(&mut found);
            self.next = self.next.saturating_add(1);
        }
        Some(core::mem::take(&mut self.hits))
    }

    /// The time of one core for the whole batch.
    #[must_use]
    pub fn time(&self) -> Duration {
        let times = self.envelopes.iter().map(|one| self.time_of(one));
        times.fold(Duration::ZERO, Duration::saturating_add)
    }

    fn time_of(&self, scanned: &ScanEnvelope) -> Duration {
        let candidates = u32::try_from(scanned.candidates.len()).unwrap_or(u32::MAX);
        let bytes = u64::try_from(scanned.envelope.data().len()).unwrap_or(u64::MAX);
        let decryption = Duration::from_nanos(bytes.saturating_mul(3).saturating_add(2_000));
        let steps = decryption.saturating_mul(candidates);
        self.keys.time().saturating_add(steps)
    }
}

impl fmt::Debug for ScanBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScanBatch({})", self.envelopes.len())
    }
}

/// Tries every recipient, also after a hit, so that the work does not depend on which one it is.
fn scan_first(keys: &ScanKeys, number: usize, envelope: &Envelope, hits: &mut Vec<ScanHit>) {
    if keys.is_empty() {
        return;
    }
    let data = envelope.data();
    let Some((wire, _)) = data.split_first_chunk::<PREFIX_LEN>() else {
        return;
    };
    let point = EphemeralPoint::of(wire);
    for (tag, recipient) in &keys.0 {
        if let Some(opened) = recipient.opener.open(&point, envelope.topic(), data) {
            hits.push(ScanHit {
                envelope: number,
                tag: *tag,
                form: ScanForm::First(*wire),
                plaintext: OuterPlaintext::decode(&opened),
            });
        }
    }
}

fn scan_steps(number: usize, scanned: &ScanEnvelope, hits: &mut Vec<ScanHit>) {
    let envelope = &scanned.envelope;
    for ScanCandidate { tag, key, shard } in &scanned.candidates {
        if let Some(opened) = open_step(key, *shard, envelope.topic(), envelope.data()) {
            hits.push(ScanHit {
                envelope: number,
                tag: *tag,
                form: ScanForm::Step(*shard),
                plaintext: OuterPlaintext::decode(&opened),
            });
        }
    }
}

/// The time to map 32 bytes to a point, on the machine of docs/benchmarks.md. These figures divide work
/// into steps and tell a simulator what the work takes; nothing is measured against them.
const MAP_TIME: Duration = Duration::from_micros(28);
/// The time of one agreement and the derivation of one topic.
const AGREEMENT_TIME: Duration = Duration::from_micros(70);
/// The time of one step. Jobs of one thread take turns of a step, so it bounds what they wait for.
const STEP_TIME: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests;
