//! Trials of many keys on many envelopes, apart from the filters that the keys belong to.
//!
//! [`TrialKeys`] is a snapshot of keys, and [`TrialBatch`] a computation in short steps that tries
//! them on envelopes. So trials can run on other threads, while the filters stay with their owner.
//! The work of a batch depends on the number of its keys and the sizes of its envelopes only, never
//! on which of them decrypt. Nothing here knows topics, signers or subscribers.

use core::fmt;
use core::ops::Range;
use core::time::Duration;
use std::sync::Arc;

use super::FilterKey;
use crate::envelope::{EncryptionHint, Envelope};
use crate::message::{self, ClientPublic, DecryptedMessage, TrialDecryption, UnverifiedMessage};

/// Identifies a key without containing it.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum KeyId {
    Asymmetric(ClientPublic),
    Symmetric([u8; 32]),
}

impl KeyId {
    pub(super) fn of(key: &FilterKey) -> Self {
        match key {
            FilterKey::Asymmetric(key) => Self::Asymmetric(key.public()),
            FilterKey::Symmetric(key) => Self::Symmetric(key.digest()),
        }
    }
}

/// Distinct keys to try, as they were at one moment.
pub struct TrialKeys {
    keys: Vec<(KeyId, FilterKey)>,
    /// Number of these that are key pairs.
    pairs: usize,
}

impl TrialKeys {
    pub(super) fn new(keys: impl Iterator<Item = (KeyId, FilterKey)>) -> Self {
        let keys: Vec<_> = keys.collect();
        let pairs = keys
            .iter()
            .filter(|(id, _)| matches!(id, KeyId::Asymmetric(_)));
        Self {
            pairs: pairs.count(),
            keys,
        }
    }

    /// Number of keys.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The time of one core to try all keys on this envelope, by `trial_time`.
    #[must_use]
    pub fn time(&self, envelope: &Envelope) -> Duration {
        if self.keys.is_empty() {
            return Duration::ZERO;
        }
        let times = |count: usize, is_pair| {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            trial_time(is_pair, envelope).saturating_mul(count)
        };
        let shared = self.keys.len().saturating_sub(self.pairs);
        RECOVERY_TIME
            .saturating_add(times(self.pairs, true))
            .saturating_add(times(shared, false))
    }

    /// The keys that decrypt this envelope, and the messages. The cost does not depend on success.
    pub(super) fn open(&self, envelope: &Envelope) -> Vec<(KeyId, DecryptedMessage)> {
        let decrypted = self.attempt(0..self.keys.len(), envelope);
        self.verify(decrypted, envelope)
    }

    /// Tries a range of the keys.
    ///
    /// An envelope of `shh/5` shows the kind of its key, and only keys of this kind are tried: the
    /// saved time depends on public data only.
    fn attempt(&self, range: Range<usize>, envelope: &Envelope) -> Vec<(KeyId, UnverifiedMessage)> {
        let Some(hint) = envelope.hint() else {
            return Vec::new();
        };
        let data = envelope.data();
        let mut shared = match hint {
            EncryptionHint::Absent => TrialDecryption::v6(data).ok(),
            EncryptionHint::Symmetric(nonce) => TrialDecryption::v5(nonce, data).ok(),
            EncryptionHint::Asymmetric => None,
        };
        let keys = self.keys.get(range).unwrap_or_default();
        let decrypted = keys.iter().filter_map(|(id, key)| {
            let opened = match (key, hint) {
                (
                    FilterKey::Asymmetric(key),
                    EncryptionHint::Absent | EncryptionHint::Asymmetric,
                ) => UnverifiedMessage::asymmetric(envelope.protocol(), key, data),
                (FilterKey::Symmetric(key), _) => shared.as_mut()?.attempt(key),
                (FilterKey::Asymmetric(_), EncryptionHint::Symmetric(_)) => return None,
            };
            Some((*id, opened.ok()?))
        });
        let decrypted = decrypted.collect();
        if let Some(shared) = shared {
            shared.finish();
        }
        decrypted
    }

    /// Recovers the signers of the messages of one envelope; takes the time of one recovery if
    /// there is none to recover.
    fn verify(
        &self,
        decrypted: Vec<(KeyId, UnverifiedMessage)>,
        envelope: &Envelope,
    ) -> Vec<(KeyId, DecryptedMessage)> {
        if !self.keys.is_empty() && !decrypted.iter().any(|(_, message)| message.is_signed()) {
            message::decoy_recovery(envelope.data());
        }
        let verified = decrypted
            .into_iter()
            .filter_map(|(id, message)| Some((id, message.verify().ok()?)));
        verified.collect()
    }
}

/// Keys, and the envelopes to try them on. Advances in steps of a few milliseconds.
pub struct TrialBatch {
    keys: Arc<TrialKeys>,
    envelopes: Vec<Envelope>,
    /// The envelope in progress, and the first key that was not tried on it.
    next: (usize, usize),
    /// Messages of the envelope in progress.
    decrypted: Vec<(KeyId, UnverifiedMessage)>,
    results: Vec<TrialResult>,
}

/// What one key decrypted in one envelope of a batch.
pub struct TrialResult {
    /// The position of the envelope in the batch.
    pub(crate) envelope: usize,
    pub(super) key: KeyId,
    pub(super) message: DecryptedMessage,
}

impl TrialBatch {
    /// A batch that tries every one of `keys` on every one of `envelopes`.
    #[must_use]
    pub const fn new(keys: Arc<TrialKeys>, envelopes: Vec<Envelope>) -> Self {
        Self {
            keys,
            envelopes,
            next: (0, 0),
            decrypted: Vec::new(),
            results: Vec::new(),
        }
    }

    /// Tries keys for about `STEP_TIME`. Returns all messages, in the order of the envelopes, when
    /// every key was tried on every envelope.
    pub fn step(&mut self) -> Option<Vec<TrialResult>> {
        let mut left = STEP_TIME;
        loop {
            let (number, first) = self.next;
            let Some(envelope) = self.envelopes.get(number) else {
                return Some(core::mem::take(&mut self.results));
            };
            if left.is_zero() {
                return None;
            }
            let (end, time) = self.affordable(first, left, envelope);
            left = left.saturating_sub(time);
            let decrypted = self.keys.attempt(first..end, envelope);
            self.decrypted.extend(decrypted);
            if end < self.keys.len() {
                self.next = (number, end);
                continue;
            }
            let decrypted = core::mem::take(&mut self.decrypted);
            for (key, message) in self.keys.verify(decrypted, envelope) {
                self.results.push(TrialResult {
                    envelope: number,
                    key,
                    message,
                });
            }
            left = left.saturating_sub(RECOVERY_TIME);
            self.next = (number.saturating_add(1), 0);
        }
    }

    /// The end of the keys from `first` on that fit the time that is left, at least one key, and
    /// their time.
    fn affordable(&self, first: usize, left: Duration, envelope: &Envelope) -> (usize, Duration) {
        let mut time = Duration::ZERO;
        let mut end = first;
        for (id, _) in self.keys.keys.iter().skip(first) {
            let is_pair = matches!(id, KeyId::Asymmetric(_));
            time = time.saturating_add(trial_time(is_pair, envelope));
            end = end.saturating_add(1);
            if time >= left {
                break;
            }
        }
        (end, time)
    }

    /// The time of one core for the whole batch, by `trial_time`.
    #[must_use]
    pub fn time(&self) -> Duration {
        let times = self.envelopes.iter().map(|one| self.keys.time(one));
        times.fold(Duration::ZERO, Duration::saturating_add)
    }
}

impl fmt::Debug for TrialKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrialKeys({})", self.keys.len())
    }
}

impl fmt::Debug for TrialResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TrialResult(..)")
    }
}

/// The time of one trial on the machine of docs/benchmarks.md. It divides work into steps and tells
/// a simulator what the work takes; nothing is measured against it.
fn trial_time(is_pair: bool, envelope: &Envelope) -> Duration {
    let bytes = u64::try_from(envelope.data().len()).unwrap_or(u64::MAX);
    // A key pair: one agreement, HMAC-SHA-256 and AES-CTR over the data. A shared key: GHASH.
    Duration::from_nanos(if is_pair {
        bytes.saturating_mul(4).saturating_add(36_000)
    } else {
        bytes.saturating_div(2).saturating_add(300)
    })
}

/// The time to recover one signer.
const RECOVERY_TIME: Duration = Duration::from_micros(40);

/// The time of one step. Jobs of one thread take turns of a step, so it bounds what they wait for.
const STEP_TIME: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests;
