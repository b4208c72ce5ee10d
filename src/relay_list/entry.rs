//! The relays of a list, and their encoding.

use std::collections::BTreeMap;

use circuits::directory::RelayEndpoint;
use circuits::ids::RelayKey;

use super::{BadRelayList, MAX_LISTED};
use crate::rlp::{RlpReader, RlpWriter};

/// Maximum number of relays with one family number.
pub const MAX_FAMILY_MEMBERS: usize = 64;

/// A relay that the signers vouch for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListedRelay {
    /// Its link key.
    pub key: RelayKey,
    /// The number that it shares with the other relays of its operator, as far as the signers know;
    /// 0 if it shares none.
    pub family: u16,
    /// Where it was reachable when the list was made, for a node that knows no peer. Its descriptor
    /// decides.
    pub hint: Option<RelayEndpoint>,
}

/// Reads `[key, family, [type, address, port]]` entries in strictly ascending order of their keys.
pub(super) fn decode_relays(items: &mut RlpReader<'_>) -> Result<Vec<ListedRelay>, BadRelayList> {
    let mut relays: Vec<ListedRelay> = Vec::new();
    while !items.is_empty() {
        if relays.len() == MAX_LISTED {
            return Err(BadRelayList::TooManyRelays);
        }
        let mut fields = items.list()?;
        relays.push(ListedRelay {
            key: RelayKey(fields.array()?),
            family: u16::try_from(fields.integer()?).map_err(|_| BadRelayList::Malformed)?,
            hint: decode_hint(&mut fields.list()?)?,
        });
        fields.finish()?;
    }
    check_relays(&relays)?;
    Ok(relays)
}

/// Checks the rules that concern the relays alone.
pub(super) fn check_relays(relays: &[ListedRelay]) -> Result<(), BadRelayList> {
    if relays.is_empty() {
        return Err(BadRelayList::NoRelay);
    }
    if relays.len() > MAX_LISTED {
        return Err(BadRelayList::TooManyRelays);
    }
    if !relays.is_sorted_by(|one, other| one.key < other.key) {
        return Err(BadRelayList::RelayOrder);
    }
    let mut members: BTreeMap<u16, usize> = BTreeMap::new();
    for relay in relays.iter().filter(|relay| relay.family != 0) {
        let count = members.entry(relay.family).or_default();
        *count = count.saturating_add(1);
        if *count > MAX_FAMILY_MEMBERS {
            return Err(BadRelayList::FamilyTooLarge);
        }
    }
    Ok(())
}

fn decode_hint(fields: &mut RlpReader<'_>) -> Result<Option<RelayEndpoint>, BadRelayList> {
    if fields.is_empty() {
        return Ok(None);
    }
    let kind = u8::try_from(fields.integer()?).map_err(|_| BadRelayList::Malformed)?;
    let address = fields.bytes()?;
    let port = u16::try_from(fields.integer()?).map_err(|_| BadRelayList::Malformed)?;
    if !fields.is_empty() {
        return Err(BadRelayList::Malformed);
    }
    let hint = RelayEndpoint::from_parts(kind, address, port).ok_or(BadRelayList::Malformed)?;
    Ok(Some(hint))
}

/// The encoded relays, which the header covers by their digest.
pub(super) fn encode_relays(relays: &[ListedRelay]) -> Vec<u8> {
    RlpWriter::only_list(|out| {
        for ListedRelay { key, family, hint } in relays {
            out.list(|out| {
                out.bytes(&key.0).integer(*family);
                out.list(|out| {
                    if let Some(hint) = hint {
                        out.integer(hint.kind()).bytes(&hint.address());
                        out.integer(hint.port());
                    }
                });
            });
        }
    })
}
