//! The attackers: their number, their choice of attacks, and the results.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use circuits::distributions;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::mutate::Mutator;
use crate::testbed::TargetNode;

/// The running attackers.
pub(crate) struct AttackerPool {
    over: Arc<AtomicBool>,
    tasks: JoinSet<AttackCounts>,
}

impl AttackerPool {
    /// Starts this many attackers.
    pub(crate) fn start(target: &Arc<TargetNode>, seed: u64, count: usize) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let attacker = Attacker::new(Arc::clone(target), seed, number);
            tasks.spawn(attacker.run(Arc::clone(&over)));
        }
        Self { over, tasks }
    }

    /// Waits until each has finished its attack.
    pub(crate) async fn stop(mut self) -> AttackCounts {
        self.over.store(true, Ordering::Relaxed);
        let mut all = AttackCounts::default();
        while let Some(one) = self.tasks.join_next().await {
            all.add(one.expect("an attacker does not fail"));
        }
        all
    }
}

/// One attacker; its seed determines all its choices.
pub(crate) struct Attacker {
    pub(crate) target: Arc<TargetNode>,
    pub(crate) rng: ChaCha20Rng,
    name: String,
    mutators: BTreeMap<&'static str, (Mutator, Vec<Vec<u8>>)>,
}

impl Attacker {
    fn new(target: Arc<TargetNode>, seed: u64, number: usize) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        bytes[8..16].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
        Self {
            target,
            rng: ChaCha20Rng::from_seed(bytes),
            name: format!("{seed}/{number}"),
            mutators: BTreeMap::new(),
        }
    }

    async fn run(mut self, over: Arc<AtomicBool>) -> AttackCounts {
        let mut counts = AttackCounts::default();
        while !over.load(Ordering::Relaxed) {
            let attack = Attack::ALL[self.below(Attack::ALL.len())];
            // A hanging attack counts as cut off.
            let done = timeout(ATTACK_TIMEOUT, self.perform(attack)).await;
            counts.record(attack, !matches!(done, Ok(Err(_))));
            let pause = u64::try_from(self.below(200)).unwrap();
            sleep(Duration::from_millis(pause)).await;
        }
        counts
    }

    async fn perform(&mut self, attack: Attack) -> io::Result<()> {
        match attack {
            Attack::Silence => self.silence().await,
            Attack::SlowHandshake => self.slow_handshake().await,
            Attack::Noise => self.noise().await,
            Attack::Churn => self.churn().await,
            Attack::MutantAuth => self.mutant_auth().await,
            Attack::HalfHandshake => self.half_handshake().await,
            Attack::MutantHello => self.mutant_hello().await,
            Attack::BrokenFrames => self.broken_frames().await,
            Attack::UnfinishedFrame => self.unfinished_frame().await,
            Attack::SnappyBomb => self.snappy_bomb().await,
            Attack::Pings => self.pings().await,
            Attack::EarlyDisconnect => self.early_disconnect().await,
            Attack::NeverReads => self.never_reads().await,
            Attack::MutantShh => self.mutant_shh().await,
            Attack::MutantShh5 => self.mutant_shh5().await,
            Attack::Oversized => self.oversized().await,
            Attack::LowPow => self.low_pow().await,
            Attack::BadExpiry => self.bad_expiry().await,
            Attack::Flood => self.flood().await,
            Attack::Repetition => self.repetition().await,
            Attack::PolicyFlapping => self.policy_flapping().await,
            Attack::MutantOnion => self.mutant_onion().await,
            Attack::Cells => self.cells().await,
            Attack::Stems => self.stems().await,
            Attack::Hashes => self.hashes().await,
            Attack::Descriptors => self.descriptors().await,
            Attack::IpcNoise => self.ipc_noise().await,
            Attack::IpcMutants => self.ipc_mutants().await,
            Attack::IpcFlood => self.ipc_flood().await,
            Attack::IpcOversized => self.ipc_oversized().await,
            Attack::HttpNoise => self.http_noise().await,
            Attack::HttpMutants => self.http_mutants().await,
            Attack::HttpFlood => self.http_flood().await,
            Attack::WebSocketMutants => self.websocket_mutants().await,
            Attack::WebSocketNeverReads => self.websocket_never_reads().await,
            Attack::MutantMailRequest => self.mutant_mail_request().await,
            Attack::MailFlood => self.mail_flood().await,
            Attack::MailNeverReads => self.mail_never_reads().await,
            Attack::PaidTrickle => self.paid_trickle().await,
            Attack::CurvePoints => self.curve_points().await,
            Attack::IdleCellLinks => self.idle_cell_links().await,
            Attack::IdleGossipLinks => self.idle_gossip_links().await,
            Attack::SilentConnections => self.silent_connections().await,
            Attack::UnfinishedFrames => self.unfinished_frames().await,
            Attack::Arrivals => self.arrivals().await,
            Attack::BatchBomb => self.batch_bomb().await,
            Attack::Passwords => self.passwords().await,
        }
    }

    /// Uniform below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let drawn = distributions::below(&mut self.rng, u32::try_from(bound).unwrap());
        usize::try_from(drawn).unwrap()
    }

    /// Random bytes, fewer than `bound`.
    pub(crate) fn junk(&mut self, bound: usize) -> Vec<u8> {
        let mut bytes = vec![0; self.below(bound)];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    /// A mutation of one of the fuzzer's inputs for this target.
    pub(crate) fn mutant(&mut self, corpus: &'static str) -> Vec<u8> {
        let name = format!("{}/{corpus}", self.name);
        let (mutator, inputs) = self.mutators.entry(corpus).or_insert_with(|| {
            let inputs = inputs(corpus);
            (Mutator::new(&name, inputs.clone()), inputs)
        });
        let count = u32::try_from(inputs.len()).unwrap();
        let choice = usize::try_from(distributions::below(&mut self.rng, count)).unwrap();
        mutator.mutate(&inputs[choice]).0
    }

    /// A mutation of an input.
    pub(crate) fn mutate(&mut self, input: &[u8]) -> Vec<u8> {
        let name = format!("{}/any", self.name);
        let (mutator, _) = self
            .mutators
            .entry("")
            .or_insert_with(|| (Mutator::new(&name, Vec::new()), Vec::new()));
        mutator.mutate(input).0
    }
}

/// The fuzzer's inputs for one target, in the order of their names.
fn inputs(corpus: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(corpus);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Lists the attacks once, for the random choice and for the report.
macro_rules! attacks {
    ($($(#[$doc:meta])+ $attack:ident,)+) => {
        /// An attack.
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
        pub(crate) enum Attack {
            $($(#[$doc])+ $attack,)+
        }

        impl Attack {
            const ALL: &[Self] = &[$(Self::$attack),+];
        }
    };
}

attacks! {
    /// Connects and sends nothing.
    Silence,
    /// A valid handshake, a byte at a time.
    SlowHandshake,
    /// Random bytes instead of a handshake.
    Noise,
    /// Connects and disconnects repeatedly.
    Churn,
    /// A mutated handshake packet.
    MutantAuth,
    /// Agrees on keys and then sends nothing, or disconnects.
    HalfHandshake,
    /// A mutated Hello.
    MutantHello,
    /// Frames with a wrong byte, or a missing one.
    BrokenFrames,
    /// A frame of two megabytes that is never completed.
    UnfinishedFrame,
    /// A payload that announces a large decompressed size, or has one.
    SnappyBomb,
    /// Thousands of Pings of the base protocol.
    Pings,
    /// Sends Disconnect during an exchange.
    EarlyDisconnect,
    /// Requests everything and reads none of it.
    NeverReads,
    /// Mutated packets of `shh/6`.
    MutantShh,
    /// Mutated packets of `shh/5`.
    MutantShh5,
    /// Packets above every size limit.
    Oversized,
    /// Envelopes without proof of work.
    LowPow,
    /// Envelopes that are expired or dated in the future.
    BadExpiry,
    /// Valid envelopes that no key decrypts.
    Flood,
    /// The same envelope repeatedly.
    Repetition,
    /// Changes its PoW minimum and bloom filter continually.
    PolicyFlapping,
    /// Mutated packets of `onion/1`.
    MutantOnion,
    /// Cells that do not peel, and a replayed one.
    Cells,
    /// Envelopes on a stem without an end.
    Stems,
    /// Announced and requested hashes.
    Hashes,
    /// Descriptors of relays that do not exist.
    Descriptors,
    /// Random bytes on the local socket.
    IpcNoise,
    /// Mutated requests.
    IpcMutants,
    /// Requests whose answers are never read.
    IpcFlood,
    /// A request without an end.
    IpcOversized,
    /// Random bytes over HTTP, without the token.
    HttpNoise,
    /// Mutated requests over HTTP.
    HttpMutants,
    /// Requests over HTTP whose answers are never read.
    HttpFlood,
    /// Mutated requests over WebSocket, and then random bytes.
    WebSocketMutants,
    /// Subscribes and requests over WebSocket, and reads nothing.
    WebSocketNeverReads,
    /// Mutated mail requests.
    MutantMailRequest,
    /// Requests all mail repeatedly.
    MailFlood,
    /// Requests all mail and reads none of it.
    MailNeverReads,
    /// Tiny, short-lived, paid envelopes in a steady stream.
    PaidTrickle,
    /// Envelopes that cost each key pair a whole decryption.
    CurvePoints,
    /// Many links for cells that bring none.
    IdleCellLinks,
    /// Many gossip peers that bring nothing.
    IdleGossipLinks,
    /// Many connections without a handshake.
    SilentConnections,
    /// Many links, each with a frame of megabytes that is never completed.
    UnfinishedFrames,
    /// Peers that come and go.
    Arrivals,
    /// A short batch of requests with a long answer.
    BatchBomb,
    /// Many passwords to derive keys from.
    Passwords,
}

/// The number of times that each attack ran, to the end or cut off.
#[derive(Default)]
pub(crate) struct AttackCounts(BTreeMap<Attack, (u64, u64)>);

impl AttackCounts {
    fn record(&mut self, attack: Attack, made: bool) {
        let (to_the_end, cut_off) = self.0.entry(attack).or_default();
        *to_the_end += u64::from(made);
        *cut_off += u64::from(!made);
    }

    fn add(&mut self, other: Self) {
        for (attack, (to_the_end, cut_off)) in other.0 {
            let (ours, ours_cut_off) = self.0.entry(attack).or_default();
            *ours += to_the_end;
            *ours_cut_off += cut_off;
        }
    }

    /// Fails if a run of this length omitted an attack.
    pub(crate) fn assert_every_attack_ran(&self, time: Duration) {
        if time >= FULL_COVERAGE_TIME {
            let missing = |attack: &&Attack| !self.0.contains_key(attack);
            let missing: Vec<_> = Attack::ALL.iter().filter(missing).collect();
            assert!(missing.is_empty(), "never made: {missing:?}");
        }
    }
}

impl fmt::Display for AttackCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum: u64 = self.0.values().map(|(made, cut_off)| made + cut_off).sum();
        write!(
            f,
            "attacks: {sum}, by kind (to the end, cut off by the node):"
        )?;
        for (attack, (made, cut_off)) in &self.0 {
            write!(f, "\n  {:19} {made:6} {cut_off:6}", format!("{attack:?}"))?;
        }
        Ok(())
    }
}

/// Maximum duration of an attack.
const ATTACK_TIMEOUT: Duration = Duration::from_secs(20);
/// A run of this length draws every attack, for all seeds.
const FULL_COVERAGE_TIME: Duration = Duration::from_secs(300);
