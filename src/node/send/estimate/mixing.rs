//! Estimates at levels that mix: how a message is divided, and what its cells wait for.

use core::time::Duration;

use circuits::dispersal::Class;
use circuits::level::{Dispersal, EmissionSchedule, Level};
use circuits::time::Now;

use super::{CELL_FRAME_LEN, SendContext, Sender, millis, whole};
use crate::envelope::SizeClass;
use crate::envelope_builder::{EncryptionKind, EnvelopeDraft, fits_smallest};
use crate::latency_model::{DEFAULT_LINK, Meeting, MixingModel};
use crate::message::{CopyTag, max_payload_len};
use crate::node::command::{ReaderKind, Recipient, Refusal, SendRequest};
use crate::node::views::EstimateView;
use crate::pow::{PowJob, class_bits};
use crate::scatter::ScatterClass;

/// How a message travels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct MixingPlan {
    envelopes: usize,
    envelope_bytes: usize,
    cells: usize,
    needed: usize,
    meeting: Meeting,
}

impl Sender {
    /// The cost of a message at a level that mixes. `draft` and `job` are those of the message in one
    /// envelope.
    pub(super) fn estimate_mixing(
        &self,
        now: Now,
        request: &SendRequest,
        level: Level,
        (draft, job): (&EnvelopeDraft, &PowJob),
        context: SendContext<'_>,
    ) -> Result<EstimateView, Refusal> {
        let plan = plan(request, level, draft.size.len())?;
        let rules = level.rules();
        let class = context.directory.mix_network(now).class();
        let slot = match rules.emission {
            EmissionSchedule::Stream { payload, .. } => payload,
            EmissionSchedule::OnDemand { gap } => gap,
            EmissionSchedule::None => Duration::ZERO,
        };
        let wait = context.emission.wait().max(slot);
        let slots = wait.as_millis().checked_div(slot.as_millis()).unwrap_or(1);
        let model = MixingModel {
            queued: usize::try_from(slots)
                .unwrap_or(usize::MAX)
                .saturating_sub(1),
            cells: plan.cells,
            needed: plan.needed,
            slot,
            relays: rules.relays.into(),
            delay: rules.delay.mean(class),
            hold: rules.hold,
            rendezvous: plan.meeting,
            link: DEFAULT_LINK,
        };
        let predicted = model.latency();
        let hashes = plan.expected_hashes((draft, job), context);
        let seconds = context.gossip.expected_seconds(job);
        let seconds = seconds.map(|seconds| seconds * hashes / job.expected_hashes());
        let mining = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let hops = usize::from(rules.relays).saturating_add(1);
        let cell_hops = plan.cells.saturating_mul(hops);
        Ok(EstimateView {
            level,
            envelope_bytes: plan.envelope_bytes,
            envelopes: plan.envelopes,
            expected_hashes: hashes,
            sealing_ms: mining.map(millis),
            cells: plan.cells,
            own_bytes: 0,
            network_bytes: whole(cell_hops).saturating_mul(CELL_FRAME_LEN),
            flood_bytes: whole(plan.envelopes.saturating_mul(plan.envelope_bytes)),
            wait_ms: millis(wait),
            median_ms: millis(predicted.latency.median),
            p95_ms: millis(predicted.latency.p95),
            first_attempt: Some(predicted.first_attempt),
            profile: self.profile,
        })
    }
}

impl MixingPlan {
    /// Mean number of hashes for all envelopes. Those of shards have one class.
    fn expected_hashes(
        &self,
        (draft, job): (&EnvelopeDraft, &PowJob),
        context: SendContext<'_>,
    ) -> f64 {
        if self.envelopes == 1 {
            return job.expected_hashes();
        }
        let minimum = context.gossip.configured_min_pow();
        let bits = class_bits(minimum, SizeClass::SMALLEST, draft.life);
        let bits = i32::try_from(bits).unwrap_or(i32::MAX);
        let envelopes = u32::try_from(self.envelopes).unwrap_or(u32::MAX);
        f64::from(envelopes) * 2.0_f64.powi(bits)
    }
}

/// Divides a message as the sending does. `envelope_bytes` is the length of the whole message in one
/// envelope.
///
/// # Errors
///
/// [`Refusal`] if the level has no form for it.
pub(super) fn plan(
    request: &SendRequest,
    level: Level,
    envelope_bytes: usize,
) -> Result<MixingPlan, Refusal> {
    let kind = match &request.to {
        Recipient::Public(..) => EncryptionKind::Asymmetric,
        Recipient::Shared(_) => EncryptionKind::Symmetric,
    };
    let (len, signed) = (request.payload.len(), request.sign_as.is_some());
    if fits_smallest(kind, len, signed) {
        return Ok(MixingPlan {
            envelopes: 1,
            envelope_bytes,
            cells: 1,
            needed: 1,
            meeting: Meeting::Apart,
        });
    }
    match (level.rules().dispersal, request.reader) {
        (Dispersal::Scatter | Dispersal::ByRecipient, ReaderKind::Whisht) => {
            let class = scatter_class(kind, len, signed).ok_or_else(|| {
                Refusal::usage(
                    format!("a message of {len} bytes is too long to be divided into envelopes"),
                    "send it in parts",
                )
            })?;
            Ok(MixingPlan {
                envelopes: class.n().into(),
                envelope_bytes: SizeClass::SMALLEST.len(),
                cells: class.n().into(),
                needed: class.k().into(),
                meeting: Meeting::Apart,
            })
        }
        (Dispersal::Scatter, ReaderKind::AnyClient) => Err(Refusal::policy(
            format!(
                "level `{level}` divides a message of this length into several envelopes, which only \
                 a reader with whisht puts together"
            ),
            "shorten it until it fits into one envelope, or choose another level yourself",
        )),
        _ => {
            let class = Class::converge(envelope_bytes).unwrap_or_else(Class::whole);
            Ok(MixingPlan {
                envelopes: 1,
                envelope_bytes,
                cells: class.n().into(),
                needed: class.k().into(),
                meeting: Meeting::Together,
            })
        }
    }
}

/// The smallest class that holds a message, its tag and its signature.
fn scatter_class(kind: EncryptionKind, len: usize, signed: bool) -> Option<ScatterClass> {
    let holds = |class: &ScatterClass| {
        let room = class.capacity(kind.profile()).saturating_sub(CopyTag::LEN);
        max_payload_len(room, signed).is_some_and(|longest| longest >= len)
    };
    ScatterClass::ALL.into_iter().find(holds)
}

#[cfg(test)]
mod tests {
    use circuits::secret::Secret;

    use super::*;
    use crate::envelope::Topic;
    use crate::message::ClientSecret;

    fn request(len: usize, reader: ReaderKind) -> SendRequest {
        let secret = ClientSecret::from_bytes(&Secret::init_with(|key| key.fill(9))).unwrap();
        SendRequest {
            to: Recipient::Public(secret.public(), Topic([2; 4])),
            sign_as: None,
            payload: vec![7; len].into(),
            level: None,
            life: Duration::from_secs(60),
            reader,
        }
    }

    #[test]
    fn message_of_one_cell_is_not_divided_at_any_mixing_level() {
        for level in [Level::Hush, Level::Dark] {
            for reader in [ReaderKind::Whisht, ReaderKind::AnyClient] {
                let plan = plan(&request(300, reader), level, 563).unwrap();
                assert_eq!((plan.envelopes, plan.cells, plan.needed), (1, 1, 1));
            }
        }
    }

    #[test]
    fn longer_message_is_scattered_for_whisht() {
        for level in [Level::Hush, Level::Dark] {
            let short = plan(&request(600, ReaderKind::Whisht), level, 1_178).unwrap();
            assert_eq!((short.envelopes, short.needed), (3, 2));
            let long = plan(&request(4_000, ReaderKind::Whisht), level, 4_868).unwrap();
            assert_eq!((long.envelopes, long.needed), (18, 12));
            assert_eq!((long.envelope_bytes, long.meeting), (563, Meeting::Apart));
        }
    }

    #[test]
    fn longer_message_for_any_client_converges_at_hush_and_is_refused_at_dark() {
        let request = request(600, ReaderKind::AnyClient);
        let hush = plan(&request, Level::Hush, 1_178).unwrap();
        assert_eq!((hush.envelopes, hush.cells, hush.needed), (1, 3, 2));
        assert_eq!(hush.meeting, Meeting::Together);
        assert!(plan(&request, Level::Dark, 1_178).is_err());
    }

    #[test]
    fn class_of_the_estimate_is_the_one_that_sending_uses() {
        use rand_chacha::ChaCha20Rng;
        use rand_core::SeedableRng;

        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        for len in [370, 600, 743, 744, 745, 746, 747, 748, 760, 3_000, 10_000] {
            let request = request(len, ReaderKind::Whisht);
            let Recipient::Public(key, topic) = &request.to else {
                panic!("the recipient is a key");
            };
            let delays = circuits::mixing::DelayClass::default();
            let life = crate::envelope_builder::Life::at_least(request.life);
            let message = crate::envelope_builder::OutgoingMessage {
                topic: *topic,
                recipient: crate::envelope_builder::EncryptionKey::Asymmetric(key),
                signer: None,
                payload: &request.payload,
                life: life.over(Level::Dark.rules(), delays),
                tag: CopyTag::draw(&mut rng),
                pow_minimum: 0.0,
            };
            let sent = crate::envelope_builder::scatter_message(&mut rng, &message).unwrap();
            let class = scatter_class(EncryptionKind::Asymmetric, len, false);
            assert_eq!(class, sent.first().map(|shard| shard.class), "{len}");
        }
    }
}
