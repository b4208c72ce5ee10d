//! Posts: messages of API clients, mined here and sent.
//!
//! The checks and their words are go-ethereum's. So is a quirk that clients rely on: the work that
//! the client asked for is compared with the node's minimum, not the work that was done.
//!
//! At level `open` the envelope is exactly what the client specifies, and enters the network here.
//! At every other level only the topic is the client's: size, life and work come from the classes of
//! our own messages, with the client's values as lower bounds, and the envelope enters the network
//! elsewhere. A level that is not available is refused. A message for one peer has no level: that
//! peer knows its sender.

use core::time::Duration;
use std::sync::Arc;

use circuits::ids::RelayKey;
use circuits::level::{Insertion, Level};
use circuits::mixing::DelayClass;
use circuits::time::Now;

use super::command::{Post, PostTo, ShhError};
use super::post_queue::{MAX_POSTS_PER_CLIENT, PostQueue};
use super::{ShhApi, answer};
use crate::envelope::{EncryptionHint, Envelope, EnvelopeHash, Ttl, UnminedEnvelope};
use crate::envelope_builder::{self, EncryptionKey, Life, OutgoingMessage};
use crate::gossip::EnvelopeRejected;
use crate::message::{
    self, ClientPublic, ClientSecret, CopyTag, Padding, PayloadTooLong, Plaintext, SymKey,
};
use crate::node::command::Refusal;
use crate::node::effects::Effects;
use crate::node::gossip::EnvelopeGossip;
use crate::node::hex;
use crate::node::input::CommandId;
use crate::node::jobs::{Job, JobId, JobOwner, JobResult};
use crate::node::send::SendContext;
use crate::pow::{Generations, OutOfTime, PowGoal, PowJob, required_bits};

/// Posts whose proof of work is being searched, or waits for it.
pub(super) type PendingPosts = PostQueue<WaitingPost, MiningPost>;

/// A post that waits for the turn of its client.
pub(super) struct WaitingPost {
    command: CommandId,
    post: Box<Post>,
    keys: PostKeys,
    route: PostRoute,
}

/// A post whose nonce is being searched.
pub(super) struct MiningPost {
    command: CommandId,
    draft: PostDraft,
}

/// A post that lacks only its nonce.
struct PostDraft {
    unmined: UnminedEnvelope,
    route: PostRoute,
    pow_target: f64,
}

/// A post that is ready to be sent.
pub(in crate::node) struct SealedPost {
    envelope: Envelope,
    route: PostRoute,
    pow_target: f64,
}

/// Where a post goes.
#[derive(Clone, Copy)]
pub(in crate::node) enum PostRoute {
    /// Into our own mempool, and from there to every peer.
    Gossip,
    /// Into the network elsewhere, at this level.
    Hidden(Level),
    /// To this peer alone.
    Peer(RelayKey),
}

impl PostDraft {
    fn complete(self, nonce: u64) -> SealedPost {
        SealedPost {
            envelope: self.unmined.with_nonce(nonce),
            route: self.route,
            pow_target: self.pow_target,
        }
    }
}

impl SealedPost {
    /// The envelope, where it goes, and the work that the client asked for.
    pub(in crate::node) fn into_parts(self) -> (Envelope, PostRoute, f64) {
        (self.envelope, self.route, self.pow_target)
    }
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

impl ShhApi {
    /// Accepts a post. Returns it if it needs no proof of work; otherwise it waits for the turn of
    /// its client, and the client is answered when its job ends.
    pub(in crate::node) fn begin_post(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        post: Box<Post>,
        default_level: Level,
        context: SendContext<'_>,
    ) -> Result<Option<SealedPost>, ShhError> {
        let keys = self.post_keys(&post)?;
        let route = route(now, &post, default_level, context)?;
        if post.pow_target > 0.0 && post.pow_time == 0 {
            return Err(OutOfTime { seconds: 0 }.into());
        }
        check_pow_target(route, post.pow_target, context.gossip)?;
        let needs_work = post.pow_target != 0.0;
        if !needs_work && !matches!(route, PostRoute::Hidden(_)) {
            let (unmined, _) = draft_plain(fx, now, &post, &keys, context.gossip)?;
            let draft = PostDraft {
                unmined,
                route,
                pow_target: post.pow_target,
            };
            return Ok(Some(draft.complete(0)));
        }
        if !self.posts.has_room(command.client) {
            return Err(ShhError::Busy(MAX_POSTS_PER_CLIENT));
        }
        let bytes = post.payload.len().saturating_add(post.padding.len());
        let waiting = WaitingPost {
            command,
            post,
            keys,
            route,
        };
        for displaced in self.posts.push(command.client, bytes, waiting) {
            answer(fx, displaced.command, Err(ShhError::Displaced));
        }
        let delays = context.directory.mix_network(now).class();
        self.mine_posts(fx, now, context.gossip, delays);
        Ok(None)
    }

    /// Starts the search for posts that wait, as far as their clients have a turn.
    pub(in crate::node) fn mine_posts(
        &mut self,
        fx: &mut Effects,
        now: Now,
        gossip: &EnvelopeGossip,
        delays: DelayClass,
    ) {
        while let Some((client, waiting)) = self.posts.next() {
            let command = waiting.command;
            match waiting.draft(fx, now, gossip, delays) {
                Ok((draft, job)) => {
                    let search = Job::ProofOfWork(Box::new(job.search(fx.rng())));
                    let job = fx.start_job(JobOwner::Post, search);
                    self.posts
                        .started(client, job, MiningPost { command, draft });
                }
                Err(error) => {
                    self.posts.skipped(client);
                    answer(fx, command, Err(error));
                }
            }
        }
    }

    /// The search for the nonce of a post has ended; `None` if the shell stopped it. Returns the
    /// post to send, and the command to answer.
    pub(in crate::node) fn on_job_ended(
        &mut self,
        job: JobId,
        result: Option<JobResult>,
    ) -> Option<(CommandId, Result<SealedPost, ShhError>)> {
        let MiningPost { command, draft } = self.posts.ended(job)?;
        let sealed = match result {
            Some(JobResult::Nonce(Ok(nonce))) => Ok(draft.complete(nonce)),
            Some(JobResult::Nonce(Err(out_of_time))) => Err(ShhError::from(out_of_time)),
            _ => Err(ShhError::NotAdded),
        };
        Some((command, sealed))
    }

    /// The node stops: cancels all posts, and answers their clients.
    pub(in crate::node) fn shut_down(&mut self, fx: &mut Effects) {
        let (mining, waiting) = self.posts.take();
        for (job, post) in mining {
            fx.cancel_job(job);
            answer(fx, post.command, Err(ShhError::NotAdded));
        }
        for post in waiting {
            answer(fx, post.command, Err(ShhError::NotAdded));
        }
    }

    fn post_keys(&self, post: &Post) -> Result<PostKeys, ShhError> {
        let signer = match &post.sign_as {
            Some(id) => Some(Arc::clone(self.keys.pair(id)?)),
            None => None,
        };
        let reader = match &post.to {
            PostTo::Public(key) => PostReader::Public(*key),
            PostTo::Shared(_) if post.topic.0 == [0; 4] => return Err(ShhError::MissingTopic),
            PostTo::Shared(id) => PostReader::Shared(Arc::clone(self.keys.shared(id)?)),
        };
        Ok(PostKeys { reader, signer })
    }
}

impl WaitingPost {
    /// The envelope without its nonce, and the search for the nonce. The life of the envelope begins
    /// here, not when the client asked.
    fn draft(
        self,
        fx: &mut Effects,
        now: Now,
        gossip: &EnvelopeGossip,
        delays: DelayClass,
    ) -> Result<(PostDraft, PowJob), ShhError> {
        let Self {
            post, keys, route, ..
        } = self;
        let (unmined, job) = match route {
            PostRoute::Hidden(level) => {
                draft_hidden(fx, now, &post, &keys, (level, delays), gossip)?
            }
            PostRoute::Gossip | PostRoute::Peer(_) => draft_plain(fx, now, &post, &keys, gossip)?,
        };
        let draft = PostDraft {
            unmined,
            route,
            pow_target: post.pow_target,
        };
        Ok((draft, job.ok_or(ShhError::NotAdded)?))
    }
}

fn route(
    now: Now,
    post: &Post,
    default_level: Level,
    context: SendContext<'_>,
) -> Result<PostRoute, ShhError> {
    if let Some(peer) = &post.peer {
        let key = peer.clone().map_err(ShhError::TargetPeer)?;
        return Ok(PostRoute::Peer(key));
    }
    let level = post.level.unwrap_or(default_level);
    if level.rules().insertion == Insertion::Gossip {
        context.clock.check(now)?;
        return Ok(PostRoute::Gossip);
    }
    context.check_level(now, level)?;
    Ok(PostRoute::Hidden(level))
}

/// Checks that the client asked for the work that this node requires. A message for one peer needs
/// none.
pub(in crate::node) fn check_pow_target(
    route: PostRoute,
    pow_target: f64,
    gossip: &EnvelopeGossip,
) -> Result<(), ShhError> {
    match route {
        PostRoute::Gossip | PostRoute::Hidden(_)
            if pow_target < gossip.machine().min_pow().value() =>
        {
            Err(ShhError::PowTooLow)
        }
        _ => Ok(()),
    }
}

/// The envelope that go-ethereum would make, and the search for its nonce.
fn draft_plain(
    fx: &mut Effects,
    now: Now,
    post: &Post,
    keys: &PostKeys,
    gossip: &EnvelopeGossip,
) -> Result<(UnminedEnvelope, Option<PowJob>), ShhError> {
    let padding = match post.padding.as_slice() {
        [] => Padding::Align,
        given => Padding::Given(given),
    };
    let plaintext = Plaintext::build(fx.key_rng(), &post.payload, padding, keys.signer.as_deref())
        .map_err(|PayloadTooLong { max }| ShhError::MessageTooLarge { most: max })?;
    let data = match &keys.reader {
        PostReader::Public(key) => message::seal_asymmetric(fx.key_rng(), key, &plaintext),
        PostReader::Shared(key) => message::seal_symmetric(fx.key_rng(), key, &plaintext),
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
        Some(job_for_peers(&unmined, post, gossip)?)
    } else if post.pow_target < 0.0 {
        // As much work as the time limit allows; that time is added to the life.
        let search_timeout = search_timeout(post);
        unmined.expiry = unmined.expiry.after(post.pow_time.min(MAX_SEARCH_SECS));
        Some(job(
            &unmined,
            gossip.one_generation(),
            PowGoal::BestIn(search_timeout),
        )?)
    } else {
        None
    };
    Ok((unmined, job))
}

/// The search that satisfies our peers. Each applies one of two formulas, and would disconnect for
/// work by the other. Where both are wanted, both are searched if that takes at most half of the
/// time limit; if the time ends first, a nonce for one of them is used (see [`PowGoal`]).
fn job_for_peers(
    unmined: &UnminedEnvelope,
    post: &Post,
    gossip: &EnvelopeGossip,
) -> Result<PowJob, ShhError> {
    let size = unmined.size().max(unmined.without_nonce().len());
    let bits = required_bits(post.pow_target, size, unmined.ttl);
    let goal = PowGoal::BitsWithin(bits, search_timeout(post));
    if gossip.wants_both() {
        let both = job(unmined, Generations::Both, goal)?;
        let expected = gossip.expected_seconds(&both);
        if expected.is_some_and(|secs| 2.0 * secs <= search_timeout(post).as_secs_f64()) {
            return Ok(both);
        }
    }
    job(unmined, gossip.one_generation(), goal)
}

/// An envelope that looks like all of ours.
fn draft_hidden(
    fx: &mut Effects,
    now: Now,
    post: &Post,
    keys: &PostKeys,
    (level, delays): (Level, DelayClass),
    gossip: &EnvelopeGossip,
) -> Result<(UnminedEnvelope, Option<PowJob>), ShhError> {
    let life = Life::at_least(Duration::from_secs(post.ttl.0.into()));
    let message = OutgoingMessage {
        topic: post.topic,
        recipient: match &keys.reader {
            PostReader::Public(key) => EncryptionKey::Asymmetric(key),
            PostReader::Shared(key) => EncryptionKey::Symmetric(key),
        },
        signer: keys.signer.as_deref(),
        payload: &post.payload,
        life: life.over(level.rules(), delays),
        tag: CopyTag::draw(fx.key_rng()),
        pow_minimum: gossip.configured_min_pow().max(post.pow_target),
    };
    let draft = envelope_builder::draft(fx.key_rng(), now.unix, &message)
        .map_err(|error| ShhError::Refused(Refusal::usage(error.to_string(), error.remedy())))?;
    let goal = if post.pow_target > 0.0 {
        PowGoal::BitsWithin(draft.bits, search_timeout(post))
    } else {
        PowGoal::Bits(draft.bits)
    };
    let job = job(&draft.unmined, Generations::Modern, goal)?;
    Ok((draft.unmined, Some(job)))
}

fn job(unmined: &UnminedEnvelope, rules: Generations, goal: PowGoal) -> Result<PowJob, ShhError> {
    let job = PowJob::over(unmined.without_nonce(), rules, goal);
    // Only a search that would never end is refused.
    job.map_err(|error| ShhError::Refused(Refusal::usage(error.to_string(), "ask for less work")))
}

/// Time limit of the search, as the client set it.
fn search_timeout(post: &Post) -> Duration {
    Duration::from_secs(post.pow_time.min(MAX_SEARCH_SECS).into())
}

/// Why our own gossip rejects an envelope, in go-ethereum's words.
pub(in crate::node) fn rejection(refused: EnvelopeRejected, hash: EnvelopeHash) -> ShhError {
    let hash = hex(&hash.0);
    match refused {
        EnvelopeRejected::TooLarge => ShhError::Huge { hash },
        EnvelopeRejected::TopicNotWanted => ShhError::BloomMismatch { hash },
        EnvelopeRejected::LowPow | EnvelopeRejected::Shed => ShhError::PowTooLow,
        EnvelopeRejected::Expiry(_) => ShhError::NotAdded,
    }
}

/// The life of a post that specifies none.
const DEFAULT_TTL: Ttl = Ttl(50);

/// Maximum time limit of a search in seconds.
const MAX_SEARCH_SECS: u32 = 3600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_timeout_is_at_most_an_hour() {
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
