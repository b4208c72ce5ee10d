//! Synchronisation: how two peers exchange the descriptors that one of them lacks (spec F8, codes 1
//! and 2).
//!
//! A request names an epoch, optionally a bucket (the first byte of the relay's id), and eight
//! bytes of the digest of every descriptor that the requester has. The response contains other
//! descriptors, as many as fit into one packet. It starts at a random descriptor, so that
//! descriptors which the requester refuses every time cannot block the rest. A request also counts
//! as a report of the descriptors that it lists: the rule of two peers only ensures that a relay is
//! not known to this node alone, whichever side reported it.

use rand_core::CryptoRng;

use super::table::HeldDescriptor;
use super::{DescriptorSource, Directory, Subnet, VerifiedDescriptor};
use crate::distributions;
use crate::ids::Epoch;
use crate::time::{Now, UnixSecs};

/// A request for descriptors.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DescriptorRequest {
    /// The epoch of the descriptors.
    pub epoch: Epoch,
    /// Restricts the request to relays whose id starts with this byte; `None` requests all relays.
    pub bucket: Option<u8>,
    /// Digest prefixes of the descriptors that the requester has, eight bytes each.
    pub have: Vec<[u8; 8]>,
}

impl Directory {
    /// The requests to a peer that complete this directory for an epoch: a single one, or one for each bucket
    /// if the known digests exceed the limit of one request.
    ///
    /// A [young](Self::is_young) directory leaves out the descriptors for which it lacks this peer's report. The
    /// peer sends them again, which is a report: without it, relays that the first peer has sent would wait
    /// for others to be flooded in later epochs.
    #[must_use]
    pub fn requests(
        &self,
        now: UnixSecs,
        to: DescriptorSource,
        epoch: Epoch,
    ) -> Vec<DescriptorRequest> {
        let lacks_reports = self.listed.is_none() && self.is_young(now);
        let subnet = to.subnet().filter(|_| lacks_reports);
        let request = |bucket| DescriptorRequest {
            epoch,
            bucket,
            have: self.digests_but(epoch, bucket, subnet),
        };
        let all = request(None);
        if all.have.len() < MAX_PREFIXES {
            return vec![all];
        }
        (0..=u8::MAX).map(|byte| request(Some(byte))).collect()
    }

    /// Digest prefixes of the stored descriptors of an epoch, at most [`MAX_PREFIXES`].
    #[must_use]
    pub fn digests(&self, epoch: Epoch, bucket: Option<u8>) -> Vec<[u8; 8]> {
        self.digests_but(epoch, bucket, None)
    }

    /// The same without the descriptors for which a report from this subnet would be one more.
    fn digests_but(
        &self,
        epoch: Epoch,
        bucket: Option<u8>,
        unreported_by: Option<Subnet>,
    ) -> Vec<[u8; 8]> {
        let is_reported = |held: &&HeldDescriptor| {
            unreported_by.is_none_or(|subnet| !held.reported_from.lacks(subnet))
        };
        let held = self.table.bucket(bucket);
        let held = held.filter_map(|(_, record)| record.held(epoch));
        let stored = held.filter(is_reported).map(|held| &held.descriptor);
        stored
            .chain(self.proven(epoch, bucket))
            .map(|descriptor| descriptor.digest().prefix())
            .take(MAX_PREFIXES)
            .collect()
    }

    /// Answers a peer's request with descriptors that the peer lacks, at most one packet.
    ///
    /// The answer is empty if the peer lacks nothing or exceeds its quota. The descriptors that the
    /// peer lists count as reported by it.
    pub fn lacking(
        &mut self,
        now: Now,
        source: DescriptorSource,
        request: &DescriptorRequest,
        rng: &mut impl CryptoRng,
    ) -> Vec<Vec<u8>> {
        if let DescriptorSource::Peer { link, .. } = source
            && !self.requests.take(link, now.mono)
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
        let count = u32::try_from(lacking.len()).unwrap_or(u32::MAX);
        let start = usize::try_from(distributions::below(rng, count)).unwrap_or(0);
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

    /// Digest prefix and bytes of every stored descriptor of an epoch, including proofs of
    /// equivocation.
    fn held(&self, epoch: Epoch, bucket: Option<u8>) -> impl Iterator<Item = ([u8; 8], &[u8])> {
        self.table
            .bucket(bucket)
            .filter_map(move |(_, record)| record.held(epoch))
            .map(|held| &held.descriptor)
            .chain(self.proven(epoch, bucket))
            .map(|descriptor| (descriptor.digest().prefix(), descriptor.raw()))
    }

    /// The descriptors of an epoch that are proofs of equivocation.
    fn proven(
        &self,
        epoch: Epoch,
        bucket: Option<u8>,
    ) -> impl Iterator<Item = &VerifiedDescriptor> {
        self.proofs()
            .filter(move |proof| {
                let [first, ..] = proof.relay().0;
                bucket.is_none_or(|byte| byte == first)
            })
            .flat_map(|proof| proof.descriptors())
            .filter(move |descriptor| descriptor.epoch() == epoch)
    }
}

/// Maximum number of descriptor bytes in one answer: a packet of 16 KB minus its list header.
pub const MAX_ANSWER_LEN: usize = 16_384 - 4;
/// Maximum number of digest prefixes in one request.
pub const MAX_PREFIXES: usize = 2_040;
/// Maximum number of descriptors in one answer.
const MAX_ANSWER_DESCRIPTORS: usize = 64;
