//! What an observer of all envelopes learns from the outside of one: not its kind, its level or its maker.
//!
//! The observer has thousands of examples of both kinds, learns from half of them everything that a single
//! field can show, and ranks the other half. Half of all pairs in the wrong order (.50) means that nothing was
//! learned.

use circuits::distributions::exponential_within;
use rand_core::Rng;
use zeroize::Zeroizing;

use super::*;
use crate::contact::address_key::AddressKey;
use crate::contact::card::key::CardKey;
use crate::contact::card::signer::CardSigner;
use crate::contact::card::{CardRank, CardTerms, SignedCard};
use crate::contact::chain::StepKey;
use crate::contact::generation::GenerationKeys;
use crate::contact::id::ContactId;
use crate::contact::key_block::KeyBlock;
use crate::contact::outer::EnvelopeSealer;
use crate::contact::period::Period;
use crate::contact::plaintext::SealedBody;
use crate::pow::PowValues;
use crate::scatter::ScatterShard;

/// An envelope when it enters the network: with its time of insertion.
struct Seen {
    envelope: Envelope,
    inserted: UnixSecs,
}

/// What an observer without keys can turn into a number. The order of the point that a key stands for is
/// examined where keys are encoded (`contact::outer`).
const FEATURES: usize = 11;

fn features(seen: &Seen) -> [f64; FEATURES] {
    use curve25519_dalek::montgomery::MontgomeryPoint;
    let envelope = &seen.envelope;
    let data = envelope.data();
    let wire = *data.first_chunk::<32>().unwrap();
    let truth = |is: bool| if is { 1.0 } else { 0.0 };
    let start = envelope.expiry().0 - envelope.ttl().0;
    let nonce = envelope.nonce();
    let ones = |bytes: &[u8]| f64::from(bytes.iter().map(|byte| byte.count_ones()).sum::<u32>());
    let topic = u32::from_be_bytes(envelope.topic().0);
    [
        truth(MontgomeryPoint(wire).to_edwards(0).is_some()),
        f64::from(wire[31]),
        ones(&wire),
        ones(data) / f64::from(u32::try_from(data.len()).unwrap()),
        f64::from(*data.last().unwrap()),
        f64::from(topic),
        f64::from(u32::try_from(nonce >> 32).unwrap()),
        f64::from(nonce.trailing_zeros()),
        PowValues::of(envelope).best().log2(),
        f64::from(seen.inserted.0 - start),
        f64::from(start % 86_400),
    ]
}

/// A maker of envelopes: how fast it searches, and how wrong its clock is.
#[derive(Clone, Copy)]
struct Device {
    hashes_per_second: f64,
    clock_ahead: u32,
    clock_behind: u32,
}

/// A computer whose search takes no time, with the right time.
const FAST: Device = Device {
    hashes_per_second: f64::INFINITY,
    clock_ahead: 0,
    clock_behind: 0,
};

/// Makes envelopes and inserts them, by the rules of nodes.
struct Maker {
    rng: ChaCha20Rng,
    reader: ContactId,
    block: KeyBlock,
    card: SignedCard,
    class: DelayClass,
    device: Device,
}

impl Maker {
    fn new(seed: u64) -> Self {
        let mut rng = rng(seed);
        let key = AddressKey::from_seed(Zeroizing::new([9; 32]));
        let keys = GenerationKeys::create(&mut rng, TODAY.generation());
        let signer = CardSigner::issue(&mut rng, &key, TODAY);
        let rank = CardRank {
            serial: TODAY,
            revision: 0,
        };
        let card = signer.sign(TODAY, rank, keys.block(), CardTerms::default());
        Self {
            rng,
            reader: key.id(),
            block: keys.block().clone(),
            card: card.unwrap(),
            class: DelayClass::LONGEST,
            device: FAST,
        }
    }

    fn first(&self) -> EnvelopeSealer {
        EnvelopeSealer::first(&self.reader, &self.block)
    }

    fn step(&mut self) -> EnvelopeSealer {
        let mut key = Zeroizing::new([0; 32]);
        self.rng.fill_bytes(&mut *key);
        EnvelopeSealer::Step(StepKey::new(key))
    }

    fn life(&self, wanted: Duration, level: Level) -> Life {
        Life {
            choice: LifeChoice::Any,
            ..Life::at_least(wanted).over(level.rules(), self.class)
        }
    }

    /// A time at which a user writes, by the clock of the device.
    fn now(&mut self) -> UnixSecs {
        NOW.after(distributions::below(&mut self.rng, 30 * 86_400))
    }

    /// A card of an owner of its own, published at `bulletin`.
    fn card(&mut self) -> Seen {
        let mut owner = ContactId([0; 32]);
        self.rng.fill_bytes(&mut owner.0);
        let slots: Vec<_> = CardKey::of_periods(&owner, [TODAY].into_iter()).collect();
        let key = distributions::pick(&mut self.rng, &slots).unwrap();
        let data = key.seal(&mut self.rng, &self.card);
        let life = self.life(Duration::ZERO, Level::Bulletin);
        let now = self.now();
        let draft = draft_prepared(&mut self.rng, now, (key.topic(), &data), life, POW);
        self.insert(&draft.unwrap(), now, Level::Bulletin)
    }

    /// A body of 1,500 bytes, whole, in the class of cards, for three days.
    fn whole(&mut self, sealer: &EnvelopeSealer, level: Level) -> Seen {
        self.whole_for(sealer, level, MAX_LIFE)
    }

    fn whole_for(&mut self, sealer: &EnvelopeSealer, level: Level, wanted: Duration) -> Seen {
        let mut body = Zeroizing::new(vec![0; 1_500]);
        self.rng.fill_bytes(&mut body);
        let body = SealedBody { resync: None, body };
        let life = Life {
            choice: LifeChoice::Shortest,
            ..self.life(wanted, level)
        };
        let now = self.now();
        let message = SealedMessage {
            sealer,
            body: &body,
            life,
            pow_minimum: POW,
        };
        let draft = draft_sealed(&mut self.rng, now, &message).unwrap();
        self.insert(&draft, now, level)
    }

    /// A shard of a body, at `dark`.
    fn shard(&mut self, sealer: &EnvelopeSealer, shards: &[ScatterShard]) -> Seen {
        let body = SealedBody {
            resync: None,
            body: Zeroizing::new(Vec::new()),
        };
        let message = SealedMessage {
            sealer,
            body: &body,
            life: self.life(Duration::from_secs(3_600), Level::Dark),
            pow_minimum: POW,
        };
        let shard = distributions::pick(&mut self.rng, shards).unwrap();
        let now = self.now();
        let draft = draft_sealed_shard(&mut self.rng, now, &message, shard);
        self.insert(&draft.unwrap(), now, Level::Dark)
    }

    /// An envelope without content, at `dark`.
    fn dummy(&mut self) -> Seen {
        let life = self.life(Duration::from_secs(3_600), Level::Dark);
        let now = self.now();
        let draft = dummy(&mut self.rng, now, life, POW).unwrap();
        self.insert(&draft, now, Level::Dark)
    }

    fn shards(&mut self) -> Vec<ScatterShard> {
        let mut body = Zeroizing::new(vec![0; 3_000]);
        self.rng.fill_bytes(&mut body);
        let body = SealedBody { resync: None, body };
        let message = SealedMessage {
            sealer: &self.first(),
            body: &body,
            life: self.life(Duration::from_secs(3_600), Level::Dark),
            pow_minimum: POW,
        };
        scatter_sealed(&mut self.rng, &message).unwrap()
    }

    /// The search takes its time, then the path does.
    fn insert(&mut self, draft: &EnvelopeDraft, now: UnixSecs, level: Level) -> Seen {
        let job = draft.pow_job(Generations::Modern).unwrap();
        let mut search = job.search(&mut self.rng);
        let nonce = std::iter::from_fn(|| Some(search.step(1 << 10)))
            .flatten()
            .next()
            .unwrap();
        let rules = level.rules();
        let slot = match rules.emission {
            circuits::level::EmissionSchedule::None => Duration::ZERO,
            circuits::level::EmissionSchedule::OnDemand { gap } => gap,
            circuits::level::EmissionSchedule::Stream { payload, .. } => payload,
        };
        let relays = core::iter::repeat_n(rules.delay.mean(self.class), rules.relays.into());
        let waits = [slot, rules.hold].into_iter().chain(relays);
        let longest = Duration::from_secs(600);
        let way: Duration = waits
            .map(|mean| exponential_within(&mut self.rng, mean, longest))
            .sum();
        // The main network asks for .2; the search of the test is a fraction of that.
        let hashes = f64::from(1_u32 << draft.bits) * (MAIN_POW / POW);
        let searched = Duration::from_secs_f64(hashes / self.device.hashes_per_second);
        let after = u32::try_from((way + searched).as_secs()).unwrap();
        let true_now = now
            .before(self.device.clock_ahead)
            .after(self.device.clock_behind);
        Seen {
            envelope: draft.unmined.with_nonce(nonce),
            inserted: true_now.after(after),
        }
    }
}

/// The rate at which the observer ranks an envelope of `b` above one of `a`, after it has learned from examples.
fn rate(a: &[Seen], b: &[Seen]) -> f64 {
    let halves = |seen: &[Seen]| {
        let all: Vec<_> = seen.iter().map(features).collect();
        let (learn, rank) = all.split_at(all.len() / 2);
        (learn.to_vec(), rank.to_vec())
    };
    let ((learn_a, rank_a), (learn_b, rank_b)) = (halves(a), halves(b));
    let tables: Vec<_> = (0..FEATURES)
        .map(|at| Evidence::learn(at, &learn_a, &learn_b))
        .collect();
    let score =
        |one: &[f64; FEATURES]| -> f64 { tables.iter().map(|table| table.of(one[table.at])).sum() };
    let mut scores: Vec<(f64, bool)> = rank_a.iter().map(|one| (score(one), false)).collect();
    scores.extend(rank_b.iter().map(|one| (score(one), true)));
    scores.sort_by(|one, other| one.0.total_cmp(&other.0));
    // The rank sum, with the mean rank of equal scores.
    let (mut sum, mut from) = (0.0, 0);
    while from < scores.len() {
        let equal = scores[from..].partition_point(|one| one.0 <= scores[from].0);
        let of_b = scores[from..from + equal]
            .iter()
            .filter(|one| one.1)
            .count();
        let mean_rank = number(2 * from + equal + 1) / 2.0;
        sum += number(of_b) * mean_rank;
        from += equal;
    }
    let (a, b) = (number(rank_a.len()), number(rank_b.len()));
    (sum - b * (b + 1.0) / 2.0) / (a * b)
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap())
}

/// What a feature says for `b`: the logarithm of the ratio of frequencies, by bin.
struct Evidence {
    at: usize,
    cuts: Vec<f64>,
    by_bin: Vec<f64>,
}

impl Evidence {
    fn learn(at: usize, a: &[[f64; FEATURES]], b: &[[f64; FEATURES]]) -> Self {
        let mut values: Vec<f64> = a.iter().chain(b).map(|one| one[at]).collect();
        values.sort_by(f64::total_cmp);
        let mut cuts: Vec<f64> = (1..16).map(|bin| values[values.len() * bin / 16]).collect();
        cuts.dedup();
        let count = |kind: &[[f64; FEATURES]]| {
            let mut counts = vec![1.0_f64; cuts.len() + 1];
            for one in kind {
                counts[cuts.partition_point(|cut| *cut <= one[at])] += 1.0;
            }
            counts
        };
        let (a, b) = (count(a), count(b));
        let by_bin = a.iter().zip(&b).map(|(a, b)| (b / a).ln()).collect();
        Self { at, cuts, by_bin }
    }

    fn of(&self, value: f64) -> f64 {
        self.by_bin[self.cuts.partition_point(|cut| *cut <= value)]
    }
}

/// Envelopes of each kind: half to learn from, half to rank.
const EXAMPLES: usize = 12_800;
/// The deviation of a rate between 6,400 and 6,400 that are alike is .0051.
const ALIKE: core::ops::Range<f64> = 0.483..0.517;
/// Work of these envelopes, so that a search takes a few hashes.
const POW: f64 = 1e-8;
const MAIN_POW: f64 = 0.2;
const TODAY: Period = Period(20_834);

fn many(mut one: impl FnMut() -> Seen) -> Vec<Seen> {
    (0..EXAMPLES).map(|_| one()).collect()
}

/// Fewer, where many kinds are compared.
fn some(mut one: impl FnMut() -> Seen) -> Vec<Seen> {
    (0..EXAMPLES / 3).map(|_| one()).collect()
}

/// The deviation of a rate between 2,133 and 2,133 that are alike is .0088.
const ALIKE_OF_SOME: core::ops::Range<f64> = 0.471..0.529;

#[test]
fn observer_cannot_tell_card_first_message_and_step() {
    let mut maker = Maker::new(1);
    let cards = many(|| maker.card());
    let first = maker.first();
    let firsts = many(|| maker.whole(&first, Level::Dark));
    let steps = many(|| {
        let step = maker.step();
        maker.whole(&step, Level::Dark)
    });
    for (what, a, b) in [
        ("card, first message", &cards, &firsts),
        ("card, step", &cards, &steps),
        ("first message, step", &firsts, &steps),
    ] {
        let rate = rate(a, b);
        println!("{what}: {rate:.4}");
        assert!(ALIKE.contains(&rate), "{what}: {rate}");
    }
}

#[test]
fn observer_cannot_tell_shard_of_first_message_shard_of_step_and_dummy() {
    let mut maker = Maker::new(2);
    let shards = maker.shards();
    let first = maker.first();
    let firsts = many(|| maker.shard(&first, &shards));
    let steps = many(|| {
        let step = maker.step();
        maker.shard(&step, &shards)
    });
    let dummies = many(|| maker.dummy());
    for (what, a, b) in [
        ("shard of first message, dummy", &firsts, &dummies),
        ("shard of step, dummy", &steps, &dummies),
        ("shards of both", &firsts, &steps),
    ] {
        let rate = rate(a, b);
        println!("{what}: {rate:.4}");
        assert!(ALIKE.contains(&rate), "{what}: {rate}");
    }
}

/// The time of the insertion is known to the observer, and differs by minutes between levels; the lag hides
/// that, in networks with the shortest and with the longest delays.
#[test]
fn observer_cannot_tell_levels_by_envelopes() {
    for class in [DelayClass::LOCAL, DelayClass::LONGEST] {
        let mut maker = Maker::new(3);
        maker.class = class;
        let mut of_level = |level: Level| {
            some(|| {
                let step = maker.step();
                maker.whole_for(&step, level, Duration::from_secs(300))
            })
        };
        let dark = of_level(Level::Dark);
        for level in [Level::Open, Level::Normal, Level::Hush, Level::Bulletin] {
            let rate = rate(&dark, &of_level(level));
            println!("dark, {level} at {class}: {rate:.4}");
            assert!(
                ALIKE_OF_SOME.contains(&rate),
                "dark, {level} at {class}: {rate}"
            );
        }
    }
}

/// A phone that tries a million nonces a second, and machines whose clocks are two seconds wrong, which is what
/// peers tolerate.
#[test]
fn observer_cannot_tell_fast_slow_and_skewed_devices() {
    let mut maker = Maker::new(4);
    let mut of_device = |device: Device| {
        maker.device = device;
        some(|| {
            let step = maker.step();
            maker.whole_for(&step, Level::Dark, Duration::from_secs(3_600))
        })
    };
    let fast = of_device(FAST);
    for (what, device) in [
        (
            "slow",
            Device {
                hashes_per_second: 1e6,
                ..FAST
            },
        ),
        (
            "clock ahead",
            Device {
                clock_ahead: 2,
                ..FAST
            },
        ),
        (
            "clock behind",
            Device {
                clock_behind: 2,
                ..FAST
            },
        ),
    ] {
        let rate = rate(&fast, &of_device(device));
        println!("{what}: {rate:.4}");
        assert!(ALIKE_OF_SOME.contains(&rate), "{what}: {rate}");
    }
}
