//! Drafts of relay lists: a text that people write and review.
//!
//! ```toml
//! network = "whisht"
//! from = "2026-12-01"
//! days = 28
//! threshold = 2
//! signers = ["<id>", "<id>", "<id>"]
//!
//! [[relays]]
//! enode = "enode://<key>@203.0.113.7:20819"
//! family = "example.org"
//! ```
//!
//! The same text gives the same list everywhere: it contains the epoch, and no clock is read for it
//! unless `from` is left out.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::Path;

use circuits::directory::RelayEndpoint;
use circuits::ids::{Epoch, NetworkId, Profile};
use circuits::time::UnixSecs;
use serde::Deserialize;

use crate::cli::Failure;
use crate::cli::date::UtcTime;
use crate::config::value::{self, NetworkName};
use crate::endpoint::{Endpoint, PeerAddr};
use crate::relay_list::{ListDraft, ListedRelay, SignerId, SignerSet};

/// The keys of a draft.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct DraftText {
    #[serde(default = "public_network")]
    network: String,
    #[serde(default = "main_profile")]
    profile: String,
    /// The first day; the list begins with the first epoch of that day or after it.
    from: Option<String>,
    #[serde(default = "default_days")]
    days: u32,
    threshold: Option<usize>,
    signers: Vec<String>,
    next_threshold: Option<usize>,
    #[serde(default)]
    next_signers: Vec<String>,
    relays: Vec<RelayText>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RelayText {
    enode: String,
    family: Option<String>,
}

fn public_network() -> String {
    "whisht".to_owned()
}

fn main_profile() -> String {
    Profile::Main.label().to_owned()
}

const fn default_days() -> u32 {
    28
}

/// Reads a draft. Without `from`, the list begins with the epoch after the next one, so that every node
/// has it in time.
pub(super) fn parse(path: &Path, text: &str, now: UnixSecs) -> Result<ListDraft, Failure> {
    let at = |cause: &dyn Display| Failure::usage(format_args!("{}: {cause}", path.display()));
    let draft: DraftText = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| {
            let before = text.get(..span.start).unwrap_or_default();
            before.matches('\n').count().saturating_add(1)
        });
        let shown = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        Failure::usage(format_args!(
            "{}:{line}: {shown}: {}; docs/relay-lists.md shows a draft",
            path.display(),
            error.message()
        ))
    })?;
    let profile = value::profile(&draft.profile)
        .map_err(|error| at(&format_args!("`profile` = {:?}: {error}", draft.profile)))?;
    let network: NetworkName = value::parsed(&draft.network)
        .map_err(|error| at(&format_args!("`network` = {:?}: {error}", draft.network)))?;
    let from = match &draft.from {
        Some(text) => begin(text).map_err(|cause| at(&cause))?,
        None => Epoch::at(now).next().next(),
    };
    let epochs = draft.days.saturating_mul(2);
    let signers = signer_set("signers", &draft.signers, draft.threshold);
    let next = if !draft.next_signers.is_empty() {
        signer_set("next-signers", &draft.next_signers, draft.next_threshold).map(Some)
    } else if draft.next_threshold.is_some() {
        Err(
            "`next-threshold` has no effect without `next-signers`; name them, or leave it out"
                .into(),
        )
    } else {
        Ok(None)
    };
    Ok(ListDraft {
        network: NetworkId::new(profile, &String::from(network)),
        from,
        until: Epoch(from.0.saturating_add(epochs)),
        signers: signers.map_err(|cause| at(&cause))?,
        next: next.map_err(|cause: String| at(&cause))?,
        relays: relays(&draft.relays, profile).map_err(|cause| at(&cause))?,
    })
}

/// The first epoch that begins at this time or after it.
fn begin(text: &str) -> Result<Epoch, String> {
    let UtcTime(unix) = text
        .parse()
        .map_err(|error| format!("`from` = {text:?}: {error}"))?;
    Ok(Epoch(unix.div_ceil(Epoch::SECS)))
}

fn signer_set(key: &str, ids: &[String], threshold: Option<usize>) -> Result<SignerSet, String> {
    let ids = ids.iter().map(|id| {
        id.parse::<SignerId>()
            .map_err(|error| format!("`{key}`: {id:?}: {error}"))
    });
    let ids: Vec<SignerId> = ids.collect::<Result<_, _>>()?;
    let threshold = threshold.unwrap_or_else(|| SignerSet::majority(ids.len()));
    SignerSet::new(threshold, ids).map_err(|error| format!("`{key}`: {error}"))
}

/// The relays. Families are numbered from 1 in the order of their names. An address that no node of the profile
/// dials is refused here, before a signer signs: nodes refuse the whole list for it, and a signer signs one list
/// for an epoch.
fn relays(texts: &[RelayText], profile: Profile) -> Result<Vec<ListedRelay>, String> {
    let families: BTreeSet<&str> = texts
        .iter()
        .filter_map(|text| text.family.as_deref())
        .collect();
    let number = |family: &str| {
        let before = families.iter().take_while(|name| **name <= family).count();
        u16::try_from(before).map_err(|_| "there are more than 65,535 families".to_owned())
    };
    let relay = |text: &RelayText| {
        let peer: PeerAddr = text
            .enode
            .parse()
            .map_err(|error| format!("`enode` = {:?}: {error}", text.enode))?;
        let hint = hint(peer.endpoint);
        if !hint.allowed(profile) {
            return Err(format!(
                "`enode` = {:?}: nodes of profile {} do not dial this address, and refuse a list that has it; {}",
                text.enode,
                profile.label(),
                match profile {
                    Profile::Main =>
                        "name the public address, or set `profile = \"local\"` for a test network",
                    Profile::Local => "name a loopback address",
                }
            ));
        }
        Ok(ListedRelay {
            key: peer.key,
            family: text.family.as_deref().map_or(Ok(0), number)?,
            hint: Some(hint),
        })
    };
    texts.iter().map(relay).collect()
}

const fn hint(endpoint: Endpoint) -> RelayEndpoint {
    match endpoint {
        Endpoint::Tcp(std::net::SocketAddr::V4(address)) => {
            RelayEndpoint::Ip4(*address.ip(), address.port())
        }
        Endpoint::Tcp(std::net::SocketAddr::V6(address)) => {
            RelayEndpoint::Ip6(*address.ip(), address.port())
        }
        Endpoint::Onion(key, port) => RelayEndpoint::Onion(key, port),
    }
}

#[cfg(test)]
mod tests;
