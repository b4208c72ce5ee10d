//! The `shh_*` API of go-ethereum: keys, filters and posts of API clients.
//!
//! Clients store keys here and refer to them by random ids, install filters and poll the messages
//! that these matched, and post messages whose visible fields they choose. Everything is held in
//! memory and bounded. Errors have go-ethereum's words, since programs compare them ([`ShhError`]).
//!
//! Privacy levels apply here too: a post at another level than `open` does not enter the network
//! here (see `post`). This component installs no filter and sends nothing itself; `commands` does.

mod command;
mod filters;
mod keys;
mod post;
mod post_queue;

use circuits::ids::RelayKey;
use sha3::{Digest, Keccak256};

pub use command::{Criteria, FilterKeyId, Post, PostTo, ShhCommand, ShhError, ShhInfo, ShhReply};

pub(super) use self::post::{PostRoute, SealedPost, check_pow_target, rejection};

use self::filters::PolledFilters;
use self::keys::ClientKeys;
use self::post::PendingPosts;
use super::command::Reply;
use super::effects::Effects;
use super::input::CommandId;

/// What API clients have stored in the node.
#[derive(Default)]
pub(super) struct ShhApi {
    keys: ClientKeys,
    polled: PolledFilters,
    posts: PendingPosts,
}

impl ShhApi {
    /// Carries out a command that concerns only stored keys; `Err` returns any other.
    pub(super) fn run_key_command(
        &mut self,
        fx: &mut Effects,
        command: ShhCommand,
    ) -> Result<Result<ShhReply, ShhError>, Box<ShhCommand>> {
        let keys = &mut self.keys;
        let rng = fx.key_rng();
        Ok(match command {
            ShhCommand::NewKeyPair => keys.new_pair(rng).map(ShhReply::Id),
            ShhCommand::AddKeyPair(key) => keys.add_pair(rng, key).map(ShhReply::Id),
            ShhCommand::DeleteKeyPair(id) => keys.delete_pair(id).map(|()| ShhReply::Done),
            ShhCommand::HasKeyPair(id) => Ok(ShhReply::Known(keys.pair(&id).is_ok())),
            ShhCommand::PublicKey(id) => keys
                .pair(&id)
                .map(|pair| ShhReply::PublicKey(pair.public())),
            ShhCommand::PrivateKey(id) => keys.secret_of_pair(&id).map(ShhReply::Secret),
            ShhCommand::NewSymKey => keys.new_shared(rng).map(ShhReply::Id),
            ShhCommand::AddSymKey(key) => keys.add_shared(rng, key).map(ShhReply::Id),
            ShhCommand::DeleteSymKey(id) => Ok(ShhReply::Known(keys.delete_shared(&id))),
            ShhCommand::HasSymKey(id) => Ok(ShhReply::Known(keys.has_shared(&id))),
            ShhCommand::SymKey(id) => keys.secret_of_shared(&id).map(ShhReply::Secret),
            other => return Err(Box::new(other)),
        })
    }
}

/// Answers a `shh_*` call.
pub(super) fn answer(fx: &mut Effects, command: CommandId, answer: Result<ShhReply, ShhError>) {
    fx.reply(command, Ok(Reply::Shh(answer)));
}

/// The error for a peer that is not connected. go-ethereum identifies a peer by the hash of its
/// key.
pub(super) fn no_peer(key: RelayKey) -> ShhError {
    ShhError::NoPeer {
        id: super::hex(&Keccak256::digest(key.0)),
    }
}

#[cfg(test)]
mod tests;
