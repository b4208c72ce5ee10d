//! The node as clients of go-ethereum know it: keys, filters and posts behind `shh_*`.
//!
//! Clients leave their keys with the node and name them by random ids, install filters and fetch
//! what these took, and post messages whose every visible field they choose. All of it lives in
//! memory and is bounded. What a client is told when something fails has go-ethereum's words, since
//! programs compare them ([`ShhError`]).
//!
//! Privacy levels hold here too: a post at another level than `open` does not enter the network
//! here (see `post`).

mod command;
mod keys;
mod post;
mod subscriptions;

use circuits::ids::RelayKey;
use circuits::time::Now;
use sha3::{Digest, Keccak256};

pub use command::{Criteria, FilterKeyId, Post, PostTo, ShhCommand, ShhError, ShhInfo, ShhReply};

use self::keys::ClientKeys;
use self::post::PendingPosts;
use self::subscriptions::PolledFilters;
use super::input::CommandId;
use super::{Node, Output, Reply};

/// What clients of `shh_*` left with the node.
#[derive(Default)]
pub(super) struct ShhApi {
    keys: ClientKeys,
    polled: PolledFilters,
    pub(super) posts: PendingPosts,
}

impl Node {
    /// Carries out a command, and answers it unless that has to wait.
    pub(super) fn on_shh_command(&mut self, now: Now, id: CommandId, command: ShhCommand) {
        let answer = match command {
            ShhCommand::Post(post) => match self.post(now, id, &post).transpose() {
                Some(answer) => answer.map(ShhReply::Posted),
                None => return,
            },
            other => self.run_shh_command(now, other),
        };
        self.answer_shh(id, answer);
    }

    fn answer_shh(&mut self, id: CommandId, answer: Result<ShhReply, ShhError>) {
        let reply = Reply::Shh(answer);
        self.outputs.push_back(Output::Reply(id, Ok(reply)));
    }

    fn run_shh_command(&mut self, now: Now, command: ShhCommand) -> Result<ShhReply, ShhError> {
        let keys = &mut self.shh_api.keys;
        match command {
            ShhCommand::Info => Ok(ShhReply::Info(self.shh_info())),
            ShhCommand::TrustPeer(key) => match self.trust_peer(key) {
                true => Ok(ShhReply::Done),
                false => Err(no_peer(key)),
            },
            ShhCommand::NewKeyPair => keys.new_pair(&mut self.rng).map(ShhReply::Id),
            ShhCommand::AddKeyPair(key) => keys.add_pair(&mut self.rng, key).map(ShhReply::Id),
            ShhCommand::DeleteKeyPair(id) => keys.delete_pair(id).map(|()| ShhReply::Done),
            ShhCommand::HasKeyPair(id) => Ok(ShhReply::Known(keys.pair(&id).is_ok())),
            ShhCommand::PublicKey(id) => Ok(ShhReply::PublicKey(keys.pair(&id)?.public())),
            ShhCommand::PrivateKey(id) => keys.secret_of_pair(&id).map(ShhReply::Secret),
            ShhCommand::NewSymKey => keys.new_shared(&mut self.rng).map(ShhReply::Id),
            ShhCommand::AddSymKey(key) => keys.add_shared(&mut self.rng, key).map(ShhReply::Id),
            ShhCommand::DeleteSymKey(id) => Ok(ShhReply::Known(keys.delete_shared(&id))),
            ShhCommand::HasSymKey(id) => Ok(ShhReply::Known(keys.has_shared(&id))),
            ShhCommand::SymKey(id) => keys.secret_of_shared(&id).map(ShhReply::Secret),
            ShhCommand::NewFilter(criteria) => self.new_filter(now, criteria).map(ShhReply::Id),
            ShhCommand::Messages(id) => self.poll(now, &id).map(ShhReply::Messages),
            ShhCommand::DeleteFilter(id) => self.delete_filter(&id).map(|()| ShhReply::Done),
            ShhCommand::Subscribe(criteria) => {
                self.subscribe(now, criteria).map(ShhReply::Subscribed)
            }
            ShhCommand::Unsubscribe(filter) => Ok(ShhReply::Known(self.inbox.uninstall(filter))),
            // It does not come here: the answer waits for the seal.
            ShhCommand::Post(_) => Err(ShhError::Busy),
        }
    }

    fn shh_info(&self) -> ShhInfo {
        ShhInfo {
            memory: self.pool.iter().map(|pooled| pooled.envelope.size()).sum(),
            messages: self.inbox.waiting(),
            min_pow: self.gossip.min_pow().value(),
            max_message_size: self.gossip.max_size(),
        }
    }
}

/// go-ethereum names a peer by the hash of its key.
fn no_peer(key: RelayKey) -> ShhError {
    ShhError::NoPeer {
        id: super::hex(&Keccak256::digest(key.0)),
    }
}
