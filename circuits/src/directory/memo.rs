//! Verified descriptors that simulated nodes share.
//!
//! Every node of a network checks the same descriptors. In one process the check of the same bytes
//! under the same requirements has one result, so the first node's result serves the others, and
//! all of them hold one copy. A descriptor that fails is checked by every node anew.

use core::fmt;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{BadDescriptor, Descriptor, DescriptorDigest, Requirements, VerifiedDescriptor};

/// Verified descriptors by digest. Clones share their content.
#[derive(Clone, Default)]
pub struct DescriptorMemo(Arc<Mutex<Verified>>);

type Verified = BTreeMap<DescriptorDigest, (Requirements, VerifiedDescriptor)>;

impl DescriptorMemo {
    /// Verifies a descriptor, unless a node has done so under the same requirements.
    pub(super) fn verify(
        &self,
        descriptor: Descriptor,
        terms: &Requirements,
    ) -> Result<VerifiedDescriptor, BadDescriptor> {
        let digest = DescriptorDigest::of(descriptor.raw());
        let mut verified = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((under, known)) = verified.get(&digest)
            && under == terms
        {
            return Ok(known.clone());
        }
        let descriptor = descriptor.verify(terms)?;
        // Descriptors of past epochs go when no node holds them; the scan costs little, since the
        // number doubles between two of them.
        if verified.len().is_power_of_two() {
            verified.retain(|_, (_, one)| one.is_shared());
        }
        verified.insert(digest, (*terms, descriptor.clone()));
        Ok(descriptor)
    }
}

impl fmt::Debug for DescriptorMemo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DescriptorMemo").finish_non_exhaustive()
    }
}
