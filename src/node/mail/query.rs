//! The query of a fetch: which server is asked, and what it learns of the user's wishes.

use circuits::ids::RelayKey;
use circuits::time::Now;

use super::Mail;
use crate::endpoint::PeerAddr;
use crate::mail::client::MailQuery;
use crate::mail::query_padding;
use crate::node::command::{FetchRequest, MailSource, Refusal};
use crate::node::peers::Peers;

impl Mail {
    /// The server that a request is for.
    pub(super) fn source(
        &self,
        named: Option<MailSource>,
        peers: &Peers,
    ) -> Result<MailSource, Refusal> {
        let is_connected = |key: RelayKey| peers.to_key(key).is_some();
        let source = match named {
            Some(MailSource::Peer(key)) if !is_connected(key) => {
                let known = self.trusted_peer(|peer| peer.key == key);
                known.map(MailSource::At).ok_or_else(|| {
                    Refusal::usage(
                        "no connected peer has this key",
                        "give the server's whole enode URL",
                    )
                })?
            }
            Some(source) => source,
            None => {
                let chosen = self.trusted_peer(|peer| is_connected(peer.key));
                let chosen = chosen.or_else(|| self.trusted_peer(|_| true));
                chosen.map(MailSource::At).ok_or_else(|| {
                    Refusal::usage(
                        "no mail server is known",
                        "name one with --from, or in the setting trusted-peers",
                    )
                })?
            }
        };
        if source.key() == self.own_key {
            return Err(Refusal::usage(
                "this is the node's own address",
                "name another node",
            ));
        }
        Ok(source)
    }

    fn trusted_peer(&self, suits: impl Fn(&PeerAddr) -> bool) -> Option<PeerAddr> {
        self.trusted_peers.iter().copied().find(|peer| suits(peer))
    }

    /// What the server learns of a request.
    pub(super) fn query(&self, now: Now, request: &FetchRequest) -> Result<MailQuery, Refusal> {
        let until = request.until.unwrap_or(now.unix);
        if request.since > until {
            return Err(Refusal::usage(
                "the range ends before it begins",
                "give an earlier beginning, or a later end",
            ));
        }
        if request.narrow && request.topics.is_empty() {
            return Err(Refusal::usage(
                "there is no topic to narrow the request to",
                "name topics, or ask for everything",
            ));
        }
        if request.topics.len() > MAX_TOPICS {
            return Err(Refusal::usage(
                format!("there are more than {MAX_TOPICS} topics"),
                "ask for everything: so many topics are nearly that",
            ));
        }
        let (lower, upper) = query_padding::whole_hours(request.since, until, now.unix);
        let bloom = if request.narrow {
            query_padding::exact_bloom(&request.topics)
        } else {
            self.padding.bloom(&request.topics)
        };
        Ok(MailQuery {
            lower,
            upper,
            bloom,
        })
    }
}

impl MailSource {
    /// The server's key.
    pub(super) const fn key(&self) -> RelayKey {
        match self {
            Self::At(peer) => peer.key,
            Self::Peer(key) => *key,
        }
    }
}

/// Maximum number of topics of a request: with more, most of the bloom filter is theirs.
const MAX_TOPICS: usize = 64;
