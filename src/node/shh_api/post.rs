//! Posts: messages that a client puts together, sealed here and sent.
//!
//! The checks and their words are go-ethereum's. So is a quirk that clients have learnt to live
//! with: what is compared with the node's minimum is the work that was asked for, not the work that
//! was done.
//!
//! At level `open` the envelope is exactly what the client says, and enters the pool here. At every
//! other level nothing visible is left to the client but the topic: size, life and work come from
//! the classes of our own messages, with the client's wishes as lower bounds, and the envelope
//! enters the network elsewhere. A level that cannot be kept is refused. A message handed to one
//! peer has no level: that peer knows whom it comes from.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use circuits::ids::RelayKey;
use circuits::level::{Insertion, Level};
use circuits::time::Now;

use super::command::{Post, PostTo, ShhError, ShhReply};
use super::no_peer;
use crate::envelope::{EncryptionHint, Envelope, EnvelopeHash, Ttl, UnminedEnvelope};
use crate::envelope_builder::{self, EncryptionKey, Life, OutgoingMessage};
use crate::gossip::EnvelopeRejected;
use crate::message::{
    self, ClientPublic, ClientSecret, Padding, PayloadTooLong, Plaintext, SymKey,
};
use crate::node::input::CommandId;
use crate::node::jobs::{Job, JobId};
use crate::node::{Node, Refusal, hex};
use crate::pow::{Generations, OutOfTime, PowGoal, PowJob, required_bits};

/// Posts that are being sealed.
#[derive(Default)]
pub(in crate::node) struct PendingPosts(BTreeMap<JobId, PendingPost>);

struct PendingPost {
    command: CommandId,
    draft: PostDraft,
}

/// A post that lacks only its seal.
struct PostDraft {
    unmined: UnminedEnvelope,
    route: PostRoute,
    pow_target: f64,
}

/// Where a sealed envelope goes.
#[derive(Clone, Copy)]
enum PostRoute {
    /// Into our own pool, and to every peer from there.
    Gossip,
    /// Into the network somewhere else.
    Hidden(Level),
    /// To this peer alone.
    Peer(RelayKey),
}

/// The keys that a post names.
struct PostKeys {
    reader: PostReader,
    signer: Option<Arc<ClientSecret>>,
}

enum PostReader {
    Public(ClientPublic),
    Shared(Arc<SymKey>),
}

impl PendingPosts {
    /// The searches under way.
    pub(in crate::node) fn jobs(&self) -> impl Iterator<Item = JobId> {
        self.0.keys().copied()
    }
}

impl Node {
    /// Takes on a post. Gives its hash if there is nothing to search for, and nothing if the answer
    /// has to wait for the seal.
    pub(super) fn post(
        &mut self,
        now: Now,
        command: CommandId,
        post: &Post,
    ) -> Result<Option<EnvelopeHash>, ShhError> {
        let keys = self.post_keys(post)?;
        let route = self.post_route(now, post)?;
        if post.pow_target > 0.0 && post.pow_time == 0 {
            return Err(OutOfTime { seconds: 0 }.into());
        }
        self.check_pow_target(route, post.pow_target)?;
        if self.shh_api.posts.0.len() >= MAX_PENDING_POSTS {
            return Err(ShhError::Busy);
        }
        let (unmined, job) = match route {
            PostRoute::Hidden(level) => self.draft_hidden(now, post, &keys, level)?,
            PostRoute::Gossip | PostRoute::Peer(_) => self.draft_plain(now, post, &keys)?,
        };
        let draft = PostDraft {
            unmined,
            route,
            pow_target: post.pow_target,
        };
        let Some(job) = job else {
            let envelope = draft.unmined.with_nonce(0);
            return self.send_post(now, &draft, envelope).map(Some);
        };
        let search = job.search(&mut self.rng);
        let job = self.start_job(Job::ProofOfWork(Box::new(search)));
        self.shh_api
            .posts
            .0
            .insert(job, PendingPost { command, draft });
        Ok(None)
    }

    /// The search for the nonce of a post is over; `false` if it was for something else.
    pub(in crate::node) fn on_post_nonce(
        &mut self,
        now: Now,
        job: JobId,
        nonce: Result<u64, OutOfTime>,
    ) -> bool {
        let Some(PendingPost { command, draft }) = self.shh_api.posts.0.remove(&job) else {
            return false;
        };
        let sent = nonce.map_err(ShhError::from).and_then(|nonce| {
            let envelope = draft.unmined.with_nonce(nonce);
            self.send_post(now, &draft, envelope)
        });
        self.answer_shh(command, sent.map(ShhReply::Posted));
        true
    }

    /// A search was stopped.
    pub(in crate::node) fn on_post_cancelled(&mut self, job: JobId) {
        if let Some(pending) = self.shh_api.posts.0.remove(&job) {
            self.answer_shh(pending.command, Err(ShhError::NotAdded));
        }
    }

    fn post_keys(&self, post: &Post) -> Result<PostKeys, ShhError> {
        let keys = &self.shh_api.keys;
        let signer = match &post.sign_as {
            Some(id) => Some(Arc::clone(keys.pair(id)?)),
            None => None,
        };
        let reader = match &post.to {
            PostTo::Public(key) => PostReader::Public(*key),
            PostTo::Shared(_) if post.topic.0 == [0; 4] => return Err(ShhError::MissingTopic),
            PostTo::Shared(id) => PostReader::Shared(Arc::clone(keys.shared(id)?)),
        };
        Ok(PostKeys { reader, signer })
    }

    fn post_route(&mut self, now: Now, post: &Post) -> Result<PostRoute, ShhError> {
        if let Some(peer) = &post.peer {
            let key = peer.clone().map_err(ShhError::TargetPeer)?;
            return Ok(PostRoute::Peer(key));
        }
        let level = post.level.unwrap_or(self.config.level);
        if level.rules().insertion == Insertion::Gossip {
            return Ok(PostRoute::Gossip);
        }
        self.check_level(now, level).map_err(ShhError::Refused)?;
        Ok(PostRoute::Hidden(level))
    }

    /// Whether the client asked for as much work as this node demands. One peer alone is asked for
    /// none.
    fn check_pow_target(&self, route: PostRoute, pow_target: f64) -> Result<(), ShhError> {
        match route {
            PostRoute::Gossip | PostRoute::Hidden(_)
                if pow_target < self.gossip.min_pow().value() =>
            {
                Err(ShhError::PowTooLow)
            }
            _ => Ok(()),
        }
    }

    /// The envelope that go-ethereum would make, and the search for its nonce.
    fn draft_plain(
        &mut self,
        now: Now,
        post: &Post,
        keys: &PostKeys,
    ) -> Result<(UnminedEnvelope, Option<PowJob>), ShhError> {
        let padding = match post.padding.as_slice() {
            [] => Padding::Align,
            given => Padding::Given(given),
        };
        let plaintext = Plaintext::build(
            &mut self.rng,
            &post.payload,
            padding,
            keys.signer.as_deref(),
        )
        .map_err(|PayloadTooLong { max }| ShhError::MessageTooLarge { most: max })?;
        let data = match &keys.reader {
            PostReader::Public(key) => message::seal_asymmetric(&mut self.rng, key, &plaintext),
            PostReader::Shared(key) => message::seal_symmetric(&mut self.rng, key, &plaintext),
        };
        let ttl = match post.ttl {
            Ttl(0) => DEFAULT_TTL,
            given => given,
        };
        let mut unmined = UnminedEnvelope {
            hint: EncryptionHint::Absent,
            expiry: now.unix.after(ttl.0),
            ttl,
            topic: post.topic,
            data,
        };
        let job = if post.pow_target > 0.0 {
            Some(self.job_for_peers(&unmined, post)?)
        } else if post.pow_target < 0.0 {
            // As much work as there is time for, and the time comes on top of the life.
            let search_timeout = search_timeout(post);
            unmined.expiry = unmined.expiry.after(post.pow_time.min(MAX_SEARCH_SECS));
            Some(job(
                &unmined,
                self.one_generation(),
                PowGoal::BestIn(search_timeout),
            )?)
        } else {
            None
        };
        Ok((unmined, job))
    }

    /// The search that satisfies our peers: each judges by one of two rules and would hang up on us
    /// for a seal by the other. Where both are wanted, both are sought if that should take half the
    /// time there is.
    fn job_for_peers(&self, unmined: &UnminedEnvelope, post: &Post) -> Result<PowJob, ShhError> {
        let size = unmined.size().max(unmined.without_nonce().len());
        let bits = required_bits(post.pow_target, size, unmined.ttl);
        let goal = PowGoal::BitsWithin(bits, search_timeout(post));
        if self.wants_both() {
            let both = job(unmined, Generations::Both, goal)?;
            let expected = self.expected_seconds(&both);
            if expected.is_some_and(|secs| 2.0 * secs <= search_timeout(post).as_secs_f64()) {
                return Ok(both);
            }
        }
        job(unmined, self.one_generation(), goal)
    }

    /// An envelope that looks like every other one of ours.
    fn draft_hidden(
        &mut self,
        now: Now,
        post: &Post,
        keys: &PostKeys,
        level: Level,
    ) -> Result<(UnminedEnvelope, Option<PowJob>), ShhError> {
        let rules = level.rules();
        let message = OutgoingMessage {
            topic: post.topic,
            recipient: match &keys.reader {
                PostReader::Public(key) => EncryptionKey::Asymmetric(key),
                PostReader::Shared(key) => EncryptionKey::Symmetric(key),
            },
            signer: keys.signer.as_deref(),
            payload: &post.payload,
            life: Life {
                travel: rules.hold + rules.delay.saturating_mul(rules.relays.into()),
                ..Life::at_least(Duration::from_secs(post.ttl.0.into()))
            },
            pow_minimum: self.config.min_pow.max(post.pow_target),
        };
        let draft =
            envelope_builder::draft(&mut self.rng, now.unix, &message).map_err(|error| {
                ShhError::Refused(Refusal::usage(error.to_string(), error.remedy()))
            })?;
        let goal = match post.pow_target > 0.0 {
            true => PowGoal::BitsWithin(draft.bits, search_timeout(post)),
            false => PowGoal::Bits(draft.bits),
        };
        let job = job(&draft.unmined, Generations::Modern, goal)?;
        Ok((draft.unmined, Some(job)))
    }

    fn send_post(
        &mut self,
        now: Now,
        draft: &PostDraft,
        envelope: Envelope,
    ) -> Result<EnvelopeHash, ShhError> {
        let hash = envelope.hash();
        match draft.route {
            PostRoute::Peer(key) if self.connections.to_key(key).is_none() => {
                return Err(no_peer(key));
            }
            PostRoute::Peer(key) => self
                .send_direct(key, &envelope)
                .map_err(ShhError::Refused)?,
            PostRoute::Gossip => {
                self.check_pow_target(draft.route, draft.pow_target)?;
                let judged = self.gossip.validate(now, &envelope);
                let (pow, not_expired) = judged.map_err(|refused| refusal(refused, hash))?;
                self.pool_envelope(now, envelope, pow, not_expired, None);
            }
            PostRoute::Hidden(level) => {
                self.check_level(now, level).map_err(ShhError::Refused)?;
                self.send_envelope(now, level, envelope)
                    .map_err(ShhError::Refused)?;
            }
        }
        Ok(hash)
    }
}

fn job(unmined: &UnminedEnvelope, rules: Generations, goal: PowGoal) -> Result<PowJob, ShhError> {
    let job = PowJob::over(unmined.without_nonce(), rules, goal);
    // Only a search without an end is refused.
    job.map_err(|error| ShhError::Refused(Refusal::usage(error.to_string(), "ask for less work")))
}

/// How long the client lets us search.
fn search_timeout(post: &Post) -> Duration {
    Duration::from_secs(post.pow_time.min(MAX_SEARCH_SECS).into())
}

/// Why our own gossip does not take an envelope, in go-ethereum's words.
fn refusal(refused: EnvelopeRejected, hash: EnvelopeHash) -> ShhError {
    let hash = hex(&hash.0);
    match refused {
        EnvelopeRejected::TooLarge => ShhError::Huge { hash },
        EnvelopeRejected::TopicNotWanted => ShhError::BloomMismatch { hash },
        EnvelopeRejected::LowPow => ShhError::PowTooLow,
        EnvelopeRejected::Expiry(_) => ShhError::NotAdded,
    }
}

/// The life of a post that names none.
const DEFAULT_TTL: Ttl = Ttl(50);

/// Seconds that a search takes at the most, whatever the client says.
const MAX_SEARCH_SECS: u32 = 3600;

/// Posts that are being sealed at the most.
const MAX_PENDING_POSTS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_search_lasts_longer_than_an_hour() {
        let post = |pow_time| Post {
            to: PostTo::Shared(String::new()),
            sign_as: None,
            ttl: Ttl(10),
            topic: crate::envelope::Topic([1; 4]),
            payload: Vec::new().into(),
            padding: Vec::new(),
            pow_target: 1e300,
            pow_time,
            peer: None,
            level: None,
        };
        assert_eq!(search_timeout(&post(u32::MAX)), Duration::from_secs(3600));
        assert_eq!(search_timeout(&post(2)), Duration::from_secs(2));
    }
}
