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
use circuits::time::{Instant, Now};

use super::command::{Post, PostTo, ShhError, ShhReply};
use super::no_peer;
use crate::compose::{self, Letter, Life, Recipient};
use crate::envelope::{Envelope, EnvelopeHash, Ttl, Unsealed};
use crate::gossip::{Refused, Rule};
use crate::message::{
    self, ClientPublic, ClientSecret, Padding, PayloadTooLong, Plaintext, SymKey,
};
use crate::node::input::CommandId;
use crate::node::work::{Job, JobId};
use crate::node::{Node, Output, Refusal, hex};
use crate::pow::{Generations, SealJob, TooMuchWork};

/// Posts that are being sealed.
#[derive(Default)]
pub(in crate::node) struct Posts(BTreeMap<JobId, Pending>);

struct Pending {
    command: CommandId,
    sealing: Sealing,
    /// When the client's patience is over.
    deadline: Instant,
}

/// A post that lacks only its seal.
struct Sealing {
    unsealed: Unsealed,
    way: Way,
    pow_target: f64,
    pow_time: u32,
}

/// Where a sealed envelope goes.
#[derive(Clone, Copy)]
enum Way {
    /// Into our own pool, and to every peer from there.
    Gossip,
    /// Into the network somewhere else.
    Hidden(Level),
    /// To this peer alone.
    Peer(RelayKey),
}

/// The keys that a post names.
struct PostKeys {
    reader: Reader,
    signer: Option<Arc<ClientSecret>>,
}

enum Reader {
    Public(ClientPublic),
    Shared(Arc<SymKey>),
}

impl Posts {
    /// When the next post is given up.
    pub(in crate::node) fn next_due(&self) -> Option<Instant> {
        self.0.values().map(|pending| pending.deadline).min()
    }

    /// The searches under way.
    pub(in crate::node) fn jobs(&self) -> impl Iterator<Item = JobId> {
        self.0.keys().copied()
    }

    fn overdue(&self, now: Instant) -> Option<JobId> {
        let overdue = |pending: &Pending| pending.deadline <= now;
        let found = self.0.iter().find(|(_, pending)| overdue(pending));
        found.map(|(job, _)| *job)
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
        let way = self.way(now, post)?;
        let (pow_target, pow_time) = (post.pow_target, post.pow_time);
        let too_slow = ShhError::SealTooSlow { seconds: pow_time };
        if pow_target > 0.0 && pow_time == 0 {
            return Err(too_slow);
        }
        self.enough_asked(way, pow_target)?;
        if self.whisper.posts.0.len() >= MOST_POSTS {
            return Err(ShhError::Busy);
        }
        let (unsealed, job) = match way {
            Way::Hidden(level) => self.draft_hidden(now, post, &keys, level)?,
            Way::Gossip | Way::Peer(_) => self.draft_plain(now, post, &keys)?,
        };
        let sealing = Sealing {
            unsealed,
            way,
            pow_target,
            pow_time,
        };
        let Some(job) = job else {
            let envelope = sealing.unsealed.seal(0);
            return self.send_post(now, &sealing, envelope).map(Some);
        };
        let search = job.search(&mut self.rng);
        let job = self.start(Job::Seal(Box::new(search)));
        let deadline = now.mono.after(Duration::from_secs(pow_time.into()));
        let pending = Pending {
            command,
            sealing,
            deadline,
        };
        self.whisper.posts.0.insert(job, pending);
        Ok(None)
    }

    /// The nonce of a post was found; `false` if the search was for something else.
    pub(in crate::node) fn on_post_sealed(&mut self, now: Now, job: JobId, nonce: u64) -> bool {
        let Some(pending) = self.whisper.posts.0.remove(&job) else {
            return false;
        };
        let envelope = pending.sealing.unsealed.seal(nonce);
        let sent = self.send_post(now, &pending.sealing, envelope);
        self.answer_shh(pending.command, sent.map(ShhReply::Posted));
        true
    }

    /// Gives up searches that took longer than their clients wanted to wait.
    pub(in crate::node) fn give_up_posts(&mut self, now: Now) {
        while let Some(job) = self.whisper.posts.overdue(now.mono) {
            self.outputs.push_back(Output::CancelWork(job));
            self.on_post_stopped(job);
        }
    }

    /// A search ended without a nonce.
    pub(in crate::node) fn on_post_stopped(&mut self, job: JobId) {
        if let Some(pending) = self.whisper.posts.0.remove(&job) {
            let seconds = pending.sealing.pow_time;
            self.answer_shh(pending.command, Err(ShhError::SealTooSlow { seconds }));
        }
    }

    fn post_keys(&self, post: &Post) -> Result<PostKeys, ShhError> {
        let keys = &self.whisper.keys;
        let signer = match &post.sign_as {
            Some(id) => Some(Arc::clone(keys.pair(id)?)),
            None => None,
        };
        let reader = match &post.to {
            PostTo::Public(key) => Reader::Public(*key),
            PostTo::Shared(_) if post.topic.0 == [0; 4] => return Err(ShhError::MissingTopic),
            PostTo::Shared(id) => Reader::Shared(Arc::clone(keys.shared(id)?)),
        };
        Ok(PostKeys { reader, signer })
    }

    fn way(&mut self, now: Now, post: &Post) -> Result<Way, ShhError> {
        if let Some(peer) = &post.peer {
            let key = peer.clone().map_err(ShhError::TargetPeer)?;
            return Ok(Way::Peer(key));
        }
        let level = post.level.unwrap_or(self.config.level);
        if level.rules().insertion == Insertion::Gossip {
            return Ok(Way::Gossip);
        }
        self.level_available(now, level)
            .map_err(ShhError::Refused)?;
        Ok(Way::Hidden(level))
    }

    /// Whether the client asked for as much work as this node demands. One peer alone is asked for
    /// none.
    fn enough_asked(&self, way: Way, pow_target: f64) -> Result<(), ShhError> {
        match way {
            Way::Gossip | Way::Hidden(_) if pow_target < self.gossip.min_pow().value() => {
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
    ) -> Result<(Unsealed, Option<SealJob>), ShhError> {
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
        .map_err(|PayloadTooLong { most }| ShhError::MessageTooLarge { most })?;
        let data = match &keys.reader {
            Reader::Public(key) => message::seal_asymmetric(&mut self.rng, key, &plaintext),
            Reader::Shared(key) => message::seal_symmetric(&mut self.rng, key, &plaintext),
        };
        let ttl = match post.ttl {
            Ttl(0) => DEFAULT_TTL,
            given => given,
        };
        let unsealed = Unsealed {
            expiry: now.unix.after(ttl.0),
            ttl,
            topic: post.topic,
            data,
        };
        if post.pow_target == 0.0 {
            return Ok((unsealed, None));
        }
        let job = self.plain_job(&unsealed, post.pow_target, post.pow_time);
        let job = job.map_err(|_| ShhError::SealTooSlow {
            seconds: post.pow_time,
        })?;
        Ok((unsealed, Some(job)))
    }

    /// The search that satisfies our peers: each judges by one of two rules and would hang up on us
    /// for a seal by the other. Where both are needed, both are sought if the time should do for
    /// that, and otherwise the one that more of the network goes by.
    fn plain_job(
        &self,
        unsealed: &Unsealed,
        pow_target: f64,
        pow_time: u32,
    ) -> Result<SealJob, TooMuchWork> {
        let rules = || self.gossip.peers().map(|(_, peer)| peer.rule);
        let legacy = rules().any(|rule| matches!(rule, Rule::Legacy | Rule::Both));
        let modern = rules().any(|rule| matches!(rule, Rule::Modern | Rule::Both));
        let job = |generations| SealJob::for_minimum(unsealed, generations, pow_target);
        match (legacy, modern) {
            (true, false) => job(Generations::Legacy),
            (false, _) => job(Generations::Modern),
            (true, true) => {
                let affordable = f64::from(pow_time) * SLOW_RATE;
                match job(Generations::Both) {
                    Ok(both) if both.expected_hashes() <= affordable => Ok(both),
                    _ => job(Generations::Modern),
                }
            }
        }
    }

    /// An envelope that looks like every other one of ours.
    fn draft_hidden(
        &mut self,
        now: Now,
        post: &Post,
        keys: &PostKeys,
        level: Level,
    ) -> Result<(Unsealed, Option<SealJob>), ShhError> {
        let rules = level.rules();
        let letter = Letter {
            topic: post.topic,
            recipient: match &keys.reader {
                Reader::Public(key) => Recipient::Asymmetric(key),
                Reader::Shared(key) => Recipient::Symmetric(key),
            },
            signer: keys.signer.as_deref(),
            payload: &post.payload,
            life: Life {
                travel: rules.hold + rules.delay.saturating_mul(rules.relays.into()),
                ..Life::at_least(Duration::from_secs(post.ttl.0.into()))
            },
            pow_minimum: self.config.min_pow.max(post.pow_target),
        };
        let draft = compose::draft(&mut self.rng, now.unix, &letter).map_err(|error| {
            ShhError::Refused(Refusal::usage(error.to_string(), error.remedy()))
        })?;
        let job = draft.seal_job(Generations::Modern);
        let job = job.map_err(|_| ShhError::SealTooSlow {
            seconds: post.pow_time,
        })?;
        Ok((draft.unsealed, Some(job)))
    }

    fn send_post(
        &mut self,
        now: Now,
        sealing: &Sealing,
        envelope: Envelope,
    ) -> Result<EnvelopeHash, ShhError> {
        let hash = envelope.hash();
        match sealing.way {
            Way::Peer(key) if self.connections.to_key(key).is_none() => return Err(no_peer(key)),
            Way::Peer(key) => self.hand_over(key, &envelope).map_err(ShhError::Refused)?,
            Way::Gossip => {
                self.enough_asked(sealing.way, sealing.pow_target)?;
                let judged = self.gossip.judge(now, &envelope);
                let (pow, in_time) = judged.map_err(|refused| refusal(refused, hash))?;
                self.pool_envelope(now, envelope, pow, in_time, None);
            }
            Way::Hidden(level) => {
                self.level_available(now, level)
                    .map_err(ShhError::Refused)?;
                self.send_sealed(now, level, envelope)
                    .map_err(ShhError::Refused)?;
            }
        }
        Ok(hash)
    }
}

/// Why our own gossip does not take an envelope, in go-ethereum's words.
fn refusal(refused: Refused, hash: EnvelopeHash) -> ShhError {
    let hash = hex(&hash.0);
    match refused {
        Refused::TooLarge => ShhError::Huge { hash },
        Refused::TopicNotWanted => ShhError::BloomMismatch { hash },
        Refused::LowPow => ShhError::PowTooLow,
        Refused::Untimely(_) => ShhError::NotAdded,
    }
}

/// The life of a post that names none.
const DEFAULT_TTL: Ttl = Ttl(50);

/// Hashes a second that the slowest machine in use should do, with some to spare for bad luck.
const SLOW_RATE: f64 = 500_000.0;

/// Posts that are being sealed at the most.
const MOST_POSTS: usize = 64;
