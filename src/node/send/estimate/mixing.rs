//! Estimates at levels that mix: how a message is divided, and what its cells wait for.

use core::time::Duration;

use circuits::dispersal::Class;
use circuits::level::{EmissionSchedule, Level};
use circuits::time::Now;

use super::{CELL_FRAME_LEN, SendContext, Sender, millis, whole};
use crate::envelope::SizeClass;
use crate::envelope_builder::EnvelopeDraft;
use crate::latency_model::{DEFAULT_LINK, Meeting, MixingModel};
use crate::node::command::{ReaderKind, Refusal};
use crate::node::send::content::MessageContent;
use crate::node::send::mixed::{MixedForm, form_of};
use crate::node::views::EstimateView;
use crate::pow::{PowJob, class_bits};

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
        plan: &MixingPlan,
        level: Level,
        (draft, job): (&EnvelopeDraft, &PowJob),
        context: SendContext<'_>,
    ) -> EstimateView {
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
        // The limit of shards holds for all messages together.
        let limited = match plan.envelopes {
            0 | 1 => Duration::ZERO,
            _ => self.window.wait(now.mono, plan.cells),
        };
        let hashes = plan.expected_hashes((draft, job), context);
        let seconds = context.gossip.expected_seconds(job);
        let seconds = seconds.map(|seconds| seconds * hashes / job.expected_hashes());
        let mining = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let hops = usize::from(rules.relays).saturating_add(1);
        let cell_hops = plan.cells.saturating_mul(hops);
        EstimateView {
            level,
            envelope_bytes: plan.envelope_bytes,
            envelopes: plan.envelopes,
            expected_hashes: hashes,
            sealing_ms: mining.map(millis),
            cells: plan.cells,
            own_bytes: 0,
            network_bytes: whole(cell_hops).saturating_mul(CELL_FRAME_LEN),
            flood_bytes: whole(plan.envelopes.saturating_mul(plan.envelope_bytes)),
            wait_ms: millis(wait.saturating_add(limited)),
            median_ms: millis(predicted.latency.median.saturating_add(limited)),
            p95_ms: millis(predicted.latency.p95.saturating_add(limited)),
            first_attempt: Some(predicted.first_attempt),
            profile: self.profile,
        }
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
    content: &MessageContent<'_>,
    reader: ReaderKind,
    level: Level,
    envelope_bytes: usize,
) -> Result<MixingPlan, Refusal> {
    match form_of(level, reader, content)? {
        MixedForm::Whole => Ok(MixingPlan {
            envelopes: 1,
            envelope_bytes,
            cells: 1,
            needed: 1,
            meeting: Meeting::Apart,
        }),
        MixedForm::Scatter => {
            let class = content.scatter_class().ok_or_else(|| {
                Refusal::usage(
                    format!(
                        "a message of {} bytes is too long to be divided into envelopes",
                        content.len()
                    ),
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
        MixedForm::Converge => {
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

#[cfg(test)]
mod tests {
    use circuits::mixing::DelayClass;
    use circuits::secret::Secret;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::envelope::Topic;
    use crate::envelope_builder::{
        EncryptionKey, Life, OutgoingMessage, SealedShape, ShapedMessage,
    };
    use crate::message::{ClientSecret, CopyTag};

    const TOPIC: Topic = Topic([2; 4]);

    /// Passes a message of this length to `run`.
    fn with_message<T>(len: usize, run: impl FnOnce(&OutgoingMessage<'_>) -> T) -> T {
        let secret = ClientSecret::from_bytes(&Secret::init_with(|key| key.fill(9))).unwrap();
        let (public, payload) = (secret.public(), vec![7; len]);
        let life = Life::at_least(Duration::from_secs(60));
        run(&OutgoingMessage {
            topic: TOPIC,
            recipient: EncryptionKey::Asymmetric(&public),
            signer: None,
            payload: &payload,
            life: life.over(Level::Dark.rules(), DelayClass::default()),
            tag: CopyTag::draw(&mut ChaCha20Rng::from_seed([1; 32])),
            pow_minimum: 0.0,
        })
    }

    fn plan_of(
        len: usize,
        reader: ReaderKind,
        level: Level,
        bytes: usize,
    ) -> Result<MixingPlan, Refusal> {
        with_message(len, |message| {
            plan(&MessageContent::Whisper(*message), reader, level, bytes)
        })
    }

    #[test]
    fn message_of_one_cell_is_not_divided_at_any_mixing_level() {
        for level in [Level::Hush, Level::Dark] {
            for reader in [ReaderKind::Whisht, ReaderKind::AnyClient] {
                let plan = plan_of(300, reader, level, 563).unwrap();
                assert_eq!((plan.envelopes, plan.cells, plan.needed), (1, 1, 1));
            }
        }
    }

    #[test]
    fn longer_message_is_scattered_for_whisht() {
        for level in [Level::Hush, Level::Dark] {
            let short = plan_of(600, ReaderKind::Whisht, level, 1_178).unwrap();
            assert_eq!((short.envelopes, short.needed), (3, 2));
            let long = plan_of(4_000, ReaderKind::Whisht, level, 4_868).unwrap();
            assert_eq!((long.envelopes, long.needed), (18, 12));
            assert_eq!((long.envelope_bytes, long.meeting), (563, Meeting::Apart));
        }
    }

    #[test]
    fn longer_message_for_any_client_converges_at_hush_and_is_refused_at_dark() {
        let hush = plan_of(600, ReaderKind::AnyClient, Level::Hush, 1_178).unwrap();
        assert_eq!((hush.envelopes, hush.cells, hush.needed), (1, 3, 2));
        assert_eq!(hush.meeting, Meeting::Together);
        assert!(plan_of(600, ReaderKind::AnyClient, Level::Dark, 1_178).is_err());
    }

    #[test]
    fn class_of_the_estimate_is_the_one_that_sending_uses() {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        for len in [370, 600, 743, 744, 745, 746, 747, 748, 760, 3_000, 10_000] {
            with_message(len, |message| {
                let content = MessageContent::Whisper(*message);
                let sent = content.scatter(&mut rng).unwrap().unwrap();
                let class = sent.first().map(|shard| shard.class);
                assert_eq!(content.scatter_class(), class, "{len}");
            });
        }
    }

    #[test]
    fn class_of_the_estimate_of_a_body_is_that_of_its_length() {
        // A shard has 472 bytes, the package 52 and the form of a body 5 (docs/wire/contact.md).
        for (len, needed) in [(481, 1), (482, 2), (887, 2), (888, 3), (30_151, 64)] {
            let content = shaped(len);
            let plan = plan(&content, ReaderKind::Whisht, Level::Dark, 563).unwrap();
            assert_eq!(plan.needed, needed, "{len}");
        }
        let too_long = plan(&shaped(30_152), ReaderKind::Whisht, Level::Dark, 563);
        assert!(too_long.is_err());
    }

    fn shaped(body_len: usize) -> MessageContent<'static> {
        MessageContent::Shaped(ShapedMessage {
            shape: SealedShape {
                body_len,
                is_resync: false,
            },
            life: Life::at_least(Duration::from_secs(60)),
            pow_minimum: 0.0,
        })
    }
}
