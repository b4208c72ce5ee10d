//! Drafting a relay list before the signers sign it.

use circuits::ids::{Epoch, NetworkId};

use super::entry::{check_relays, encode_relays};
use super::header::relays_digest;
use super::{
    BadRelayList, ListHeader, ListSignatures, ListedRelay, MAX_LIST_LEN, MAX_ROTATIONS, RelayList,
    SignedHeader, SignerSet,
};

/// The content of a list, without signatures.
#[derive(Clone, Debug)]
pub struct ListDraft {
    /// The network of the relays.
    pub network: NetworkId,
    /// The first epoch in which the list is valid.
    pub from: Epoch,
    /// The first epoch in which it is not valid any more.
    pub until: Epoch,
    /// The signers of this list.
    pub signers: SignerSet,
    /// The signers of later lists, if they change.
    pub next: Option<SignerSet>,
    /// The relays, in any order.
    pub relays: Vec<ListedRelay>,
}

impl RelayList {
    /// A list without signatures. With `previous`, it carries the rotations up to that list, so that
    /// nodes which pin earlier signers can verify it.
    ///
    /// # Errors
    ///
    /// The first rule of the format that the draft breaks.
    pub fn draft(draft: ListDraft, previous: Option<&Self>) -> Result<Self, BadRelayList> {
        let ListDraft {
            network,
            from,
            until,
            signers,
            next,
            mut relays,
        } = draft;
        relays.sort_by_key(|relay| relay.key);
        check_relays(&relays)?;
        let header = ListHeader {
            network,
            from,
            until,
            signers,
            next,
            relays: relays_digest(&encode_relays(&relays)),
        };
        header.check()?;
        let rotations = previous.map_or_else(Vec::new, Self::rotations_after);
        if rotations.len() > MAX_ROTATIONS {
            return Err(BadRelayList::TooManyRotations);
        }
        let last = rotations.last().map(|rotation| &rotation.header);
        if last.is_some_and(|last| last.from >= header.from) {
            return Err(BadRelayList::RotationOrder);
        }
        let list = Self {
            signed: SignedHeader {
                header,
                signatures: ListSignatures::default(),
            },
            relays,
            rotations,
        };
        let len = list.encode().len();
        if len > MAX_LIST_LEN {
            return Err(BadRelayList::Oversize(len));
        }
        Ok(list)
    }
}
