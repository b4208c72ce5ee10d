//! The signatures of a relay list: at most one of each signer, in the order of the set.

use std::collections::BTreeMap;

use circuits::directory::{SIGNATURE_LEN, SigningKey, signer_of};

use super::{BadRelayList, ListId, MAX_SIGNERS, SignerId, SignerSet};
use crate::rlp::{RlpReader, RlpWriter};

/// Signatures by the number of their signer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct ListSignatures(BTreeMap<u8, [u8; SIGNATURE_LEN]>);

impl ListSignatures {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Reads a list of `[number of the signer, signature]` in strictly ascending order.
    pub(super) fn decode(items: &mut RlpReader<'_>) -> Result<Self, BadRelayList> {
        let mut signatures = BTreeMap::new();
        while !items.is_empty() {
            let mut fields = items.list()?;
            let signer = u8::try_from(fields.integer()?).map_err(|_| BadRelayList::Malformed)?;
            let signature = fields.array()?;
            fields.finish()?;
            let last = signatures.last_key_value().map(|(last, _)| *last);
            if last.is_some_and(|last| signer <= last) {
                return Err(BadRelayList::SignatureOrder);
            }
            if usize::from(signer) >= MAX_SIGNERS {
                return Err(BadRelayList::Malformed);
            }
            signatures.insert(signer, signature);
        }
        Ok(Self(signatures))
    }

    pub(super) fn encode(&self, out: &mut RlpWriter) {
        out.list(|out| {
            for (signer, signature) in &self.0 {
                out.list(|out| {
                    out.integer(*signer).bytes(signature);
                });
            }
        });
    }

    /// Checks that every signature is valid, and that there are enough.
    pub(super) fn verify(&self, list: ListId, signers: &SignerSet) -> Result<(), BadRelayList> {
        let (signed, threshold) = (self.len(), signers.threshold());
        if signed < threshold {
            return Err(BadRelayList::TooFewSignatures { signed, threshold });
        }
        let mut signatures = self.0.iter();
        let invalid = signatures.find(|(number, _)| !self.is_valid(**number, list, signers));
        match invalid {
            Some((number, _)) => Err(BadRelayList::Signature(*number)),
            None => Ok(()),
        }
    }

    /// The signers whose signatures are valid, and the number of invalid signatures.
    pub(super) fn valid(&self, list: ListId, signers: &SignerSet) -> (Vec<SignerId>, usize) {
        let numbers = self.0.keys();
        let valid = numbers.filter(|number| self.is_valid(**number, list, signers));
        let valid: Vec<_> = valid.filter_map(|number| signers.get(*number)).collect();
        let invalid = self.len().saturating_sub(valid.len());
        (valid.into_iter().copied().collect(), invalid)
    }

    fn is_valid(&self, number: u8, ListId(digest): ListId, signers: &SignerSet) -> bool {
        let signer = self.0.get(&number).and_then(|signature| {
            let key = signer_of(digest, signature)?;
            Some(SignerId::of(&key))
        });
        signer.is_some() && signer.as_ref() == signers.get(number)
    }

    /// Adds the signature of a member of the set.
    pub(super) fn sign(
        &mut self,
        ListId(digest): ListId,
        signers: &SignerSet,
        key: &SigningKey,
    ) -> Result<SignerId, BadRelayList> {
        let signer = SignerId::of(&key.public());
        let number = signers.index_of(&signer).ok_or(BadRelayList::NotASigner)?;
        let signature = key.sign(digest).map_err(|_| BadRelayList::NotASigner)?;
        self.0.insert(number, signature);
        Ok(signer)
    }

    /// Adds the signatures that only `other` has.
    pub(super) fn merge(&mut self, other: &Self) {
        for (number, signature) in &other.0 {
            self.0.entry(*number).or_insert(*signature);
        }
    }
}
