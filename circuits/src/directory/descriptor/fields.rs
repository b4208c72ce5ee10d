//! The fields of a descriptor and their canonical RLP encoding.
//!
//! The crate `rlp` accepts several encodings of a value. The caller of [`DescriptorFields::read`]
//! must therefore compare its input with [`DescriptorFields::encode`]. Every list is bounded before
//! it is walked, and nothing recurses.

use rlp::{Rlp, RlpStream};

use super::{BadDescriptor, DescriptorDraft, MAX_FAMILY};
use crate::directory::arrival_rate::ArrivalRate;
use crate::directory::endpoint::{EndpointKinds, RelayEndpoint};
use crate::directory::puzzle::PuzzleSolution;
use crate::directory::signature::SIGNATURE_LEN;
use crate::ids::{Epoch, RelayId, RelayKey};

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct DescriptorFields {
    pub(super) key: RelayKey,
    pub(super) draft: DescriptorDraft,
    pub(super) puzzle: PuzzleSolution,
    pub(super) signature: [u8; SIGNATURE_LEN],
}

impl DescriptorFields {
    pub(super) fn read(raw: &[u8]) -> Result<Self, BadDescriptor> {
        let fields = Rlp::new(raw);
        if uint(&fields, 0)? != u64::from(VERSION) {
            return Err(BadDescriptor::Version);
        }
        Ok(Self {
            key: RelayKey(array(&fields, 1)?),
            draft: DescriptorDraft {
                epoch: Epoch(number(&fields, 2)?),
                onion: array(&fields, 3)?,
                onion_next: array(&fields, 4)?,
                endpoints: list(&fields, 5, MAX_ENDPOINTS, endpoint)?,
                dials: EndpointKinds::from_bits(number(&fields, 6)?).ok_or(BadDescriptor::Dials)?,
                family: list(&fields, 7, MAX_FAMILY, |id| Ok(RelayId(bytes(id)?)))?,
                arrivals: ArrivalRate::from_byte(number(&fields, 8)?)
                    .ok_or(BadDescriptor::ArrivalRate)?,
                ticket_bits: number(&fields, 9)?,
            },
            puzzle: PuzzleSolution {
                nonce: array(&fields, 10)?,
                solution: array(&fields, 11)?,
            },
            signature: array(&fields, 12)?,
        })
    }

    /// The whole descriptor.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = RlpStream::new_list(13);
        self.append_unsigned(&mut out);
        out.append(&self.signature.as_slice());
        out.out().into()
    }

    /// The signed part: a list of all fields except the signature.
    pub(super) fn encode_unsigned(&self) -> Vec<u8> {
        let mut out = RlpStream::new_list(12);
        self.append_unsigned(&mut out);
        out.out().into()
    }

    fn append_unsigned(&self, out: &mut RlpStream) {
        let Self {
            key, draft, puzzle, ..
        } = self;
        out.append(&VERSION)
            .append(&key.0.as_slice())
            .append(&draft.epoch.0)
            .append(&draft.onion.as_slice())
            .append(&draft.onion_next.as_slice());
        out.begin_list(draft.endpoints.len());
        for endpoint in &draft.endpoints {
            out.begin_list(3)
                .append(&endpoint.kind())
                .append(&endpoint.address())
                .append(&endpoint.port());
        }
        out.append(&draft.dials.bits());
        out.begin_list(draft.family.len());
        for id in &draft.family {
            out.append(&id.0.as_slice());
        }
        out.append(&draft.arrivals.byte())
            .append(&draft.ticket_bits)
            .append(&puzzle.nonce.as_slice())
            .append(&puzzle.solution.as_slice());
    }
}

fn endpoint(fields: &Rlp<'_>) -> Result<RelayEndpoint, BadDescriptor> {
    let address = fields.at(1).map_err(malformed)?;
    RelayEndpoint::from_parts(
        number(fields, 0)?,
        address.data().map_err(malformed)?,
        number(fields, 2)?,
    )
    .ok_or(BadDescriptor::Malformed)
}

/// Reads a list of at most `max` items. Reading stops after one item more.
fn list<T>(
    fields: &Rlp<'_>,
    index: usize,
    max: usize,
    read: impl Fn(&Rlp<'_>) -> Result<T, BadDescriptor>,
) -> Result<Vec<T>, BadDescriptor> {
    let list = fields.at(index).map_err(malformed)?;
    if !list.is_list() {
        return Err(BadDescriptor::Malformed);
    }
    let items: Vec<T> = list
        .iter()
        .take(max.saturating_add(1))
        .map(|item| read(&item))
        .collect::<Result<_, _>>()?;
    if items.len() > max {
        return Err(BadDescriptor::Malformed);
    }
    Ok(items)
}

fn array<const N: usize>(fields: &Rlp<'_>, index: usize) -> Result<[u8; N], BadDescriptor> {
    bytes(&fields.at(index).map_err(malformed)?)
}

fn bytes<const N: usize>(item: &Rlp<'_>) -> Result<[u8; N], BadDescriptor> {
    let data = item.data().map_err(malformed)?;
    data.try_into().map_err(|_| BadDescriptor::Malformed)
}

fn number<T: TryFrom<u64>>(fields: &Rlp<'_>, index: usize) -> Result<T, BadDescriptor> {
    T::try_from(uint(fields, index)?).map_err(|_| BadDescriptor::Malformed)
}

fn uint(fields: &Rlp<'_>, index: usize) -> Result<u64, BadDescriptor> {
    fields.val_at(index).map_err(malformed)
}

fn malformed(_: rlp::DecoderError) -> BadDescriptor {
    BadDescriptor::Malformed
}

const MAX_ENDPOINTS: usize = 3;
const VERSION: u8 = 1;
