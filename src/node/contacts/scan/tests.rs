use circuits::time::UnixSecs;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use zeroize::Zeroizing;

use super::*;
use crate::contact::chain::StepKey;
use crate::contact::elligator::OuterSecret;
use crate::contact::id::ContactId;
use crate::contact::key_block::KeyBlock;
use crate::contact::outer::EnvelopeSealer;
use crate::contact::plaintext::{SealedBody, fill};
use crate::contact::scan::{FirstRecipient, ScanForm, ScanTag};
use crate::contact::x_wing::XWingSecret;
use crate::envelope::{NotExpired, SizeClass, Ttl, TtlClass};
use crate::envelope_pool::InsertOutcome;
use crate::node::output::Output;

const NOW: Now = Now {
    mono: Instant::ZERO,
    unix: UnixSecs(1_750_000_000),
};

/// Keys of a test: one recipient or none, and one step or none.
#[derive(Default)]
struct Keys {
    recipients: Arc<ScanKeys>,
    step: Option<[u8; 32]>,
}

impl WatchedKeys for Keys {
    fn recipients(&self) -> Arc<ScanKeys> {
        Arc::clone(&self.recipients)
    }

    fn candidates(&self, topic: Topic) -> Vec<ScanCandidate> {
        let keys = self
            .step
            .iter()
            .map(|step| StepKey::new(Zeroizing::new(*step)));
        let matching = keys.filter(|key| key.topic(0) == topic);
        matching
            .map(|key| ScanCandidate {
                tag: ScanTag(2),
                key,
                shard: 0,
            })
            .collect()
    }
}

struct Scene {
    fx: Effects,
    pool: Pool,
    scanner: ContactScanner,
    keys: Keys,
    rng: ChaCha20Rng,
    block: KeyBlock,
    recipient: Arc<FirstRecipient>,
    nonce: u64,
}

const STEP: [u8; 32] = [7; 32];
const ID: ContactId = ContactId([9; 32]);

impl Scene {
    fn new() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(19);
        let (outer, x_wing) = (OuterSecret::draw(&mut rng), XWingSecret::draw(&mut rng));
        let olm = *OuterSecret::draw(&mut rng).public();
        let block = KeyBlock::new(1, *outer.public(), olm, olm, x_wing.public()).unwrap();
        Self {
            fx: Effects::for_test(),
            pool: Pool::new(64 << 20),
            scanner: ContactScanner::default(),
            keys: Keys::default(),
            recipient: Arc::new(FirstRecipient::new(ID, block.kappa(), outer, x_wing)),
            block,
            rng,
            nonce: 0,
        }
    }

    fn listen(&mut self) {
        let recipients = [(ScanTag(1), Arc::clone(&self.recipient))];
        self.keys.recipients = Arc::new(ScanKeys::new(recipients));
    }

    fn pooled(&mut self, topic: Topic, data: Vec<u8>) -> Envelope {
        self.nonce += 1;
        let (expiry, ttl) = (NOW.unix.after(50), Ttl(50));
        let envelope = Envelope::build(expiry, ttl, topic, data, self.nonce);
        let alive = NotExpired::check(expiry, ttl, NOW.unix).unwrap();
        let pow = PowChecked::check(&envelope, alive, 0.0).unwrap();
        let inserted = self.pool.insert(envelope.clone(), pow, alive);
        assert_eq!(inserted, InsertOutcome::New);
        envelope
    }

    fn sealed(&mut self, sealer: &EnvelopeSealer) -> Envelope {
        let body = Zeroizing::new(b"body".to_vec());
        let encoded = SealedBody { resync: None, body }.encode();
        let plaintext = fill(&encoded, SizeClass::SMALLEST, TtlClass::Day).unwrap();
        let sealed = sealer.seal(&mut self.rng, 0, &plaintext);
        self.pooled(sealed.topic, sealed.data)
    }

    fn first(&mut self) -> Envelope {
        self.sealed(&EnvelopeSealer::first(&ID, &self.block.clone()))
    }

    fn step(&mut self) -> Envelope {
        let key = StepKey::new(Zeroizing::new(STEP));
        self.sealed(&EnvelopeSealer::Step(key))
    }

    fn arrive(&mut self, from: u64, envelope: &Envelope) {
        let pow = self.pool.get(&envelope.hash()).unwrap().pow;
        let from = Some(LinkId(from));
        self.scanner
            .on_pooled(&mut self.fx, NOW, from, envelope, pow);
    }

    fn dispatch(&mut self) -> Vec<(JobId, Job)> {
        self.scanner
            .dispatch(&mut self.fx, NOW.mono, &self.keys, &self.pool);
        let outputs = self.fx.take_outputs().into_iter();
        let jobs = outputs.filter_map(|output| match output {
            Output::Work(id, job) => Some((id, job)),
            _ => None,
        });
        jobs.collect()
    }

    /// Runs jobs until nothing waits. Returns the number of the jobs and the hits.
    fn run(&mut self) -> (usize, Vec<(EnvelopeHash, ScanHit)>) {
        let (mut number, mut hits, mut jobs) = (0, Vec::new(), self.dispatch());
        for _ in 0..10_000 {
            for (id, mut job) in core::mem::take(&mut jobs) {
                number += 1;
                let result = (0..1_000).find_map(|_| job.step());
                let Some(crate::node::jobs::JobResult::Contact(result)) = result else {
                    panic!("not a job of contact");
                };
                assert!(self.scanner.on_ended(&mut self.fx, id, Some(*result)));
                while let Some(ended) = self.scanner.take_ended() {
                    hits.extend(ended);
                }
            }
            if !self.scanner.is_busy() {
                return (number, hits);
            }
            jobs = self.dispatch();
        }
        panic!("the scan does not end");
    }
}

fn places(hits: &[(EnvelopeHash, ScanHit)]) -> Vec<(EnvelopeHash, u64)> {
    hits.iter().map(|(hash, hit)| (*hash, hit.tag.0)).collect()
}

#[test]
fn pooled_envelopes_are_scanned_once() {
    let mut scene = Scene::new();
    scene.listen();
    scene.keys.step = Some(STEP);
    let (first, step) = (scene.first(), scene.step());
    let other = scene.pooled(Topic([1; 4]), vec![1; 500]);
    for envelope in [&first, &other, &step] {
        scene.arrive(1, envelope);
    }
    assert!(scene.scanner.is_busy());
    let (jobs, hits) = scene.run();
    let expected = [(first.hash(), 1), (step.hash(), 2)];
    let mut found = places(&hits);
    found.sort_by_key(|(_, tag)| *tag);
    assert_eq!((jobs, found.as_slice()), (1, &expected[..]));
    assert!(matches!(
        hits.iter()
            .find(|(_, hit)| hit.tag.0 == 2)
            .map(|(_, hit)| hit.form),
        Some(ScanForm::Step(0))
    ));
    assert!(scene.run().1.is_empty());
}

#[test]
fn node_without_keys_starts_no_job() {
    let mut scene = Scene::new();
    for _ in 0..10 {
        let envelope = scene.first();
        scene.arrive(1, &envelope);
    }
    assert_eq!(scene.run().0, 0);
}

#[test]
fn added_topics_find_envelopes_that_came_before_without_trying_first_messages() {
    let mut scene = Scene::new();
    scene.listen();
    let step = scene.step();
    for _ in 0..20 {
        let envelope = scene.first();
        scene.arrive(1, &envelope);
    }
    scene.arrive(1, &step);
    assert_eq!(scene.run().1.len(), 20);
    scene.keys.step = Some(STEP);
    scene
        .scanner
        .rescan(&mut scene.fx, NOW.mono, Rescan::Topics);
    let (jobs, hits) = scene.run();
    assert_eq!((jobs, places(&hits)), (1, vec![(step.hash(), 2)]));
}

#[test]
fn added_recipient_finds_first_messages_that_came_before() {
    let mut scene = Scene::new();
    let first = scene.first();
    for number in 0..600_u64 {
        let topic = Topic([2; 4]);
        scene.pooled(topic, number.to_be_bytes().repeat(20));
    }
    scene.listen();
    scene
        .scanner
        .rescan(&mut scene.fx, NOW.mono, Rescan::Recipients);
    let (jobs, hits) = scene.run();
    assert_eq!(places(&hits), [(first.hash(), 1)]);
    assert!(jobs >= 3, "601 envelopes in batches of 256: {jobs}");
}

/// One link floods the queue with envelopes of more work. An envelope of another link is in the first batch.
#[test]
fn flood_of_one_link_does_not_delay_envelopes_of_another() {
    let mut scene = Scene::new();
    scene.listen();
    for number in 0..2_000_u64 {
        let data = number.to_be_bytes().repeat(8);
        let envelope = scene.pooled(Topic([2; 4]), data);
        scene.arrive(1, &envelope);
    }
    let first = scene.first();
    scene.arrive(2, &first);
    let jobs = scene.dispatch();
    assert_eq!(jobs.len(), MAX_SCAN_JOBS);
    let (id, mut job) = jobs.into_iter().next().unwrap();
    let result = (0..1_000).find_map(|_| job.step());
    let Some(crate::node::jobs::JobResult::Contact(result)) = result else {
        panic!("not a job of contact");
    };
    assert!(scene.scanner.on_ended(&mut scene.fx, id, Some(*result)));
    let hits = scene.scanner.take_ended().unwrap();
    assert_eq!(places(&hits), [(first.hash(), 1)]);
}

#[test]
fn lost_job_is_counted_and_does_not_block_the_queue() {
    let mut scene = Scene::new();
    scene.listen();
    let first = scene.first();
    scene.arrive(1, &first);
    let (id, _) = scene.dispatch().pop().unwrap();
    assert!(scene.scanner.take_ended().is_none());
    assert!(scene.scanner.on_ended(&mut scene.fx, id, None));
    assert!(
        scene
            .scanner
            .take_ended()
            .is_some_and(|hits| hits.is_empty())
    );
    assert_eq!(scene.fx.counted(Counter::PooledUntried), 1);
    assert!(!scene.scanner.on_ended(&mut scene.fx, id, None));
    let again = scene.first();
    scene.arrive(1, &again);
    assert_eq!(places(&scene.run().1), [(again.hash(), 1)]);
}

#[test]
fn dropped_envelope_is_not_scanned() {
    let mut scene = Scene::new();
    scene.listen();
    let first = scene.first();
    scene.arrive(1, &first);
    scene.scanner.on_dropped(&mut scene.fx, &[first.hash()]);
    assert!(!scene.scanner.is_busy());
    assert_eq!(scene.fx.counted(Counter::PooledUntried), 1);
}
