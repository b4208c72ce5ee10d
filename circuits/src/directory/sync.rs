//! How two neighbours find out what one of them lacks (spec F8, codes 1 and 2).
//!
//! A request names an epoch, perhaps a bucket (the first byte of the relay's id), and eight bytes
//! of the digest of every descriptor held. The answer is descriptors not among them, as many as
//! fit one packet, from a random place on, so that what the asker keeps refusing cannot block the
//! rest. A request also says what the asker knows, which counts as being told it: the rule of two
//! neighbours is there so that no relay is known to us alone, and it does not matter who told whom.

use rand_core::CryptoRng;

use super::{DescriptorSource, Directory};
use crate::distributions;
use crate::ids::Epoch;
use crate::time::Now;

/// What to ask a neighbour for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DescriptorRequest {
    /// The epoch of the descriptors.
    pub epoch: Epoch,
    /// Only relays whose id starts with this byte; all without it.
    pub bucket: Option<u8>,
    /// The digests of those that are known, eight bytes of each.
    pub have: Vec<[u8; 8]>,
}

impl Directory {
    /// The requests that bring this directory up to date for an epoch: one, or one for each bucket
    /// if one has not room enough.
    #[must_use]
    pub fn requests(&self, epoch: Epoch) -> Vec<DescriptorRequest> {
        let request = |bucket| DescriptorRequest {
            epoch,
            bucket,
            have: self.digests(epoch, bucket),
        };
        let all = request(None);
        if all.have.len() < MAX_PREFIXES {
            return vec![all];
        }
        (0..=u8::MAX).map(|byte| request(Some(byte))).collect()
    }

    /// Digest prefixes of the descriptors held for an epoch, [`MAX_PREFIXES`] at the most.
    #[must_use]
    pub fn digests(&self, epoch: Epoch, bucket: Option<u8>) -> Vec<[u8; 8]> {
        self.held(epoch, bucket)
            .map(|(prefix, _)| prefix)
            .take(MAX_PREFIXES)
            .collect()
    }

    /// Answers a neighbour's request: descriptors that it lacks, in one packet's worth of bytes.
    ///
    /// Empty if it lacks nothing, or asks too often. Notes that it knows what it says it has.
    pub fn lacking(
        &mut self,
        now: Now,
        source: DescriptorSource,
        request: &DescriptorRequest,
        rng: &mut impl CryptoRng,
    ) -> Vec<Vec<u8>> {
        if let DescriptorSource::Peer { link, .. } = source
            && !self.requests.take(now.mono, link)
        {
            return Vec::new();
        }
        let DescriptorRequest {
            epoch,
            bucket,
            ref have,
        } = *request;
        let mut have = have.clone();
        have.sort_unstable();
        self.note_known(now, source, epoch, bucket, &have);
        let mut lacking: Vec<_> = self
            .held(epoch, bucket)
            .filter(|(prefix, _)| have.binary_search(prefix).is_err())
            .map(|(_, raw)| raw)
            .collect();
        let places = u32::try_from(lacking.len()).unwrap_or(u32::MAX);
        let start = usize::try_from(distributions::below(rng, places)).unwrap_or(0);
        if start < lacking.len() {
            lacking.rotate_left(start);
        }
        let mut left = MAX_ANSWER_LEN;
        lacking
            .into_iter()
            .take(MAX_ANSWER_DESCRIPTORS)
            .map_while(|raw| {
                left = left.checked_sub(raw.len())?;
                Some(raw.to_vec())
            })
            .collect()
    }

    fn note_known(
        &mut self,
        now: Now,
        source: DescriptorSource,
        epoch: Epoch,
        bucket: Option<u8>,
        sorted: &[[u8; 8]],
    ) {
        let known: Vec<_> = self
            .table
            .bucket(bucket)
            .filter(|(_, record)| {
                record.held(epoch).is_some_and(|held| {
                    let prefix = held.descriptor.digest().prefix();
                    sorted.binary_search(&prefix).is_ok()
                })
            })
            .map(|(id, _)| *id)
            .collect();
        for id in known {
            self.table.record_report(now.unix, source, &id, epoch);
        }
    }

    /// Digest prefix and bytes of everything held for an epoch, proofs of equivocation included.
    fn held(&self, epoch: Epoch, bucket: Option<u8>) -> impl Iterator<Item = ([u8; 8], &[u8])> {
        let proofs = self
            .proofs()
            .filter(move |proof| {
                let [first, ..] = proof.relay().0;
                bucket.is_none_or(|byte| byte == first)
            })
            .flat_map(|proof| proof.descriptors())
            .filter(move |descriptor| descriptor.epoch() == epoch);
        self.table
            .bucket(bucket)
            .filter_map(move |(_, record)| record.held(epoch))
            .map(|held| &held.descriptor)
            .chain(proofs)
            .map(|descriptor| (descriptor.digest().prefix(), descriptor.raw()))
    }
}

/// Bytes of descriptors in one answer at the most: a packet of 16 KB less its list header.
pub const MAX_ANSWER_LEN: usize = 16_384 - 4;
/// Digest prefixes in one request at the most.
pub const MAX_PREFIXES: usize = 2_040;
/// Descriptors in one answer at the most.
const MAX_ANSWER_DESCRIPTORS: usize = 64;
