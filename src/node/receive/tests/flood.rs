//! A flood in simulated time: two cores try keys, and honest envelopes arrive between the junk.

use std::collections::BTreeMap;

use circuits::time::Instant;

use super::*;
use crate::envelope::EncryptionHint;
use crate::message::seal_asymmetric;

/// Envelopes of junk per second: the flood of the attack that lost mail.
const JUNK_RATE: u64 = 7_850;
/// Cores that try keys.
const CORES: u32 = 2;
/// The link of the flood.
const FLOOD: u64 = 1;

/// A receiver under a flood.
struct Flood {
    test: Fixture,
    reader: ClientPublic,
    now: Instant,
    /// Jobs that run, and when they end.
    running: Vec<(Instant, (JobId, Job))>,
    /// When the honest envelopes arrived.
    sent: BTreeMap<String, Instant>,
    /// What the received ones waited for.
    delays: Vec<Duration>,
    junk: u32,
}

impl Flood {
    /// A receiver with so many key pairs.
    fn new(keys: u16) -> Self {
        let mut test = Fixture::new(|config| config.pool_bytes = 64 << 20);
        let mut reader = None;
        for number in 0..keys {
            let secret = ClientSecret::generate(test.fx.rng());
            reader = Some(secret.public());
            let identity = Identity::KeyPair(secret);
            let (fx, name) = (&mut test.fx, format!("identity {number}"));
            test.receive
                .add_identity(fx, START, name, identity)
                .unwrap();
        }
        assert!(begin(&mut test).is_empty());
        Self {
            test,
            reader: reader.unwrap(),
            now: Instant::ZERO,
            running: Vec::new(),
            sent: BTreeMap::new(),
            delays: Vec::new(),
            junk: 0,
        }
    }

    fn honest(&mut self, link: u64) {
        let rng = self.test.fx.rng();
        let plaintext = Plaintext::build(rng, b"in time?", Padding::Align, None).unwrap();
        let unmined = UnminedEnvelope {
            hint: EncryptionHint::Absent,
            expiry: START.unix.after(50),
            ttl: Ttl(50),
            topic: TOPIC,
            data: seal_asymmetric(rng, &self.reader, &plaintext),
        };
        // Honest senders work more than the least that is accepted.
        let works = |envelope: &Envelope| PowHashes::of(envelope).modern[0] == 0;
        let envelope = (0..)
            .map(|nonce| unmined.clone().with_nonce(nonce))
            .find(works);
        let envelope = envelope.unwrap();
        self.sent.insert(hex(&envelope.hash().0), self.now);
        pool(&mut self.test, envelope, link);
    }

    /// Lets so much time pass in which junk arrives.
    fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        let interval = Duration::from_secs(1) / u32::try_from(JUNK_RATE).unwrap();
        while self.now < end {
            self.now = self.now.after(interval);
            self.junk += 1;
            pool(&mut self.test, junk(self.junk), FLOOD);
            self.work();
        }
    }

    /// Ends jobs whose time has come, and starts others.
    fn work(&mut self) {
        let (ended, running) = core::mem::take(&mut self.running)
            .into_iter()
            .partition(|(due, _)| *due <= self.now);
        self.running = running;
        let ended: Vec<_> = ended;
        if ended.is_empty() && self.running.is_empty() {
            let pool = self.test.gossip.pool();
            self.test
                .receive
                .try_decrypt(&mut self.test.fx, START, pool);
        }
        for (_, job) in ended {
            finish(&mut self.test, job);
        }
        for output in self.test.fx.take_outputs() {
            match output {
                Output::Work(id, job) => {
                    let Job::Trials(batch) = &job else {
                        panic!("another job")
                    };
                    // Four jobs share the cores.
                    let due = self.now.after(batch.time() * (4 / CORES));
                    self.running.push((due, (id, job)));
                }
                Output::Notify(Event::Message(message)) => {
                    let sent = self.sent.remove(&message.id).expect("it was sent");
                    self.delays.push(self.now.since(sent));
                }
                _ => {}
            }
        }
    }

    /// The median delay of the honest envelopes; fails if one is missing.
    fn median(mut self) -> Duration {
        assert!(self.sent.is_empty(), "{} are lost", self.sent.len());
        self.delays.sort();
        self.delays[self.delays.len() / 2]
    }
}

#[test]
fn mail_is_in_time_at_7850_junk_envelopes_a_second_whichever_link_brings_it() {
    let mut flood = Flood::new(1);
    for round in 0..12 {
        flood.honest(if round % 2 == 0 { FLOOD } else { 2 });
        flood.pass(Duration::from_millis(100));
    }
    flood.pass(Duration::from_millis(300));
    let median = flood.median();
    assert!(median <= Duration::from_millis(200), "{median:?}");
}

#[test]
fn mail_over_another_link_is_in_time_although_the_flood_exceeds_the_processor() {
    let mut flood = Flood::new(64);
    for _ in 0..6 {
        flood.honest(2);
        flood.pass(Duration::from_millis(50));
    }
    flood.pass(Duration::from_millis(500));
    assert!(flood.test.receive.waiting() > 2_000, "the flood is behind");
    let median = flood.median();
    assert!(median <= Duration::from_secs(1), "{median:?}");
}
