//! The attackers: how many, what each does next, and what came of it.

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

use crate::arena::Target;
use crate::mutate::Mutator;

/// Attackers at work.
pub(crate) struct Crowd {
    over: Arc<AtomicBool>,
    tasks: JoinSet<Tally>,
}

impl Crowd {
    /// Lets so many loose.
    pub(crate) fn unleash(target: &Arc<Target>, seed: u64, count: usize) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let attacker = Attacker::new(Arc::clone(target), seed, number);
            tasks.spawn(attacker.rage(Arc::clone(&over)));
        }
        Self { over, tasks }
    }

    /// Waits until each has finished what it is at.
    pub(crate) async fn call_off(mut self) -> Tally {
        self.over.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        while let Some(one) = self.tasks.join_next().await {
            all.add(one.expect("an attacker does not fail by itself"));
        }
        all
    }
}

/// One attacker; all its choices come from its own seed.
pub(crate) struct Attacker {
    pub(crate) target: Arc<Target>,
    pub(crate) rng: ChaCha20Rng,
    name: String,
    mutators: BTreeMap<&'static str, (Mutator, Vec<Vec<u8>>)>,
}

impl Attacker {
    fn new(target: Arc<Target>, seed: u64, number: usize) -> Self {
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

    async fn rage(mut self, over: Arc<AtomicBool>) -> Tally {
        let mut tally = Tally::default();
        while !over.load(Ordering::Relaxed) {
            let attack = Attack::ALL[self.below(Attack::ALL.len())];
            // An attack that hangs is one that has worked on the attacker.
            let done = timeout(LONGEST_ATTACK, self.make(attack)).await;
            tally.note(attack, !matches!(done, Ok(Err(_))));
            let pause = u64::try_from(self.below(200)).unwrap();
            sleep(Duration::from_millis(pause)).await;
        }
        tally
    }

    async fn make(&mut self, attack: Attack) -> io::Result<()> {
        match attack {
            Attack::Silence => self.silence().await,
            Attack::Trickle => self.trickle().await,
            Attack::Noise => self.noise().await,
            Attack::Churn => self.churn().await,
            Attack::MutantAuth => self.mutant_auth().await,
            Attack::HalfHandshake => self.half_handshake().await,
            Attack::MutantHello => self.mutant_hello().await,
            Attack::BrokenFrames => self.broken_frames().await,
            Attack::UnfinishedFrame => self.unfinished_frame().await,
            Attack::SnappyBomb => self.snappy_bomb().await,
            Attack::Pings => self.pings().await,
            Attack::Quitter => self.quitter().await,
            Attack::Deaf => self.deaf().await,
            Attack::MutantShh => self.mutant_shh().await,
            Attack::MutantOld => self.mutant_old().await,
            Attack::Oversized => self.oversized().await,
            Attack::LowPow => self.low_pow().await,
            Attack::Untimely => self.untimely().await,
            Attack::Flood => self.flood().await,
            Attack::Repetition => self.repetition().await,
            Attack::Fickle => self.fickle().await,
            Attack::MutantDark => self.mutant_dark().await,
            Attack::Cells => self.cells().await,
            Attack::Stems => self.stems().await,
            Attack::Hashes => self.hashes().await,
            Attack::Descriptors => self.descriptors().await,
            Attack::LocalNoise => self.local_noise().await,
            Attack::LocalMutants => self.local_mutants().await,
            Attack::LocalHaste => self.local_haste().await,
            Attack::LocalGiant => self.local_giant().await,
            Attack::DoorNoise => self.door_noise().await,
            Attack::DoorMutants => self.door_mutants().await,
            Attack::DoorHaste => self.door_haste().await,
            Attack::SocketMutants => self.socket_mutants().await,
            Attack::SocketDeaf => self.socket_deaf().await,
            Attack::MutantMail => self.mutant_mail().await,
            Attack::HungryMail => self.hungry_mail().await,
            Attack::DeafMail => self.deaf_mail().await,
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

    /// A mutation of something else.
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

/// Lists the attacks once, for the draw and for the report.
macro_rules! attacks {
    ($($(#[$doc:meta])+ $attack:ident,)+) => {
        /// What an attacker can do.
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
    /// Connects and says nothing.
    Silence,
    /// A good handshake, a byte at a time.
    Trickle,
    /// Anything instead of a handshake.
    Noise,
    /// Comes and goes.
    Churn,
    /// A handshake packet with damage.
    MutantAuth,
    /// Agrees on keys and then says nothing, or goes.
    HalfHandshake,
    /// An introduction with damage.
    MutantHello,
    /// Frames with a wrong byte, or none.
    BrokenFrames,
    /// A frame of two megabytes that never ends.
    UnfinishedFrame,
    /// A payload that says it inflates to much, or does.
    SnappyBomb,
    /// The base protocol's questions, by the thousand.
    Pings,
    /// Says farewell in the middle of things.
    Quitter,
    /// Asks for all there is and reads none of it.
    Deaf,
    /// Packets of `shh/6` with damage.
    MutantShh,
    /// Packets of `shh/5` with damage.
    MutantOld,
    /// Packets beyond every limit.
    Oversized,
    /// Envelopes that nobody worked for.
    LowPow,
    /// Envelopes that are not alive.
    Untimely,
    /// Envelopes that are good and nobody's.
    Flood,
    /// The same envelope again and again.
    Repetition,
    /// Wants something else every moment.
    Fickle,
    /// Packets of `onion/1` with damage.
    MutantDark,
    /// Cells that nobody can open, and one that was there before.
    Cells,
    /// Envelopes on a stem that never ends.
    Stems,
    /// Hashes announced and asked for.
    Hashes,
    /// Relays that do not exist.
    Descriptors,
    /// Anything on the local socket.
    LocalNoise,
    /// Requests with damage.
    LocalMutants,
    /// Requests whose answers nobody reads.
    LocalHaste,
    /// A request without an end.
    LocalGiant,
    /// Anything over HTTP, without the token.
    DoorNoise,
    /// Requests over HTTP with damage.
    DoorMutants,
    /// Requests over HTTP whose answers nobody reads.
    DoorHaste,
    /// Requests over WebSocket with damage, and then anything.
    SocketMutants,
    /// Subscribes and asks over WebSocket, and reads nothing.
    SocketDeaf,
    /// Requests for mail with damage.
    MutantMail,
    /// Asks for all mail again and again.
    HungryMail,
    /// Asks for all mail and reads none of it.
    DeafMail,
}

/// How often each attack was made, and was not to be made.
#[derive(Default)]
pub(crate) struct Tally(BTreeMap<Attack, (u64, u64)>);

impl Tally {
    fn note(&mut self, attack: Attack, made: bool) {
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

    /// Fails if a run of this length left one out.
    pub(crate) fn every_attack_was_made(&self, time: Duration) {
        if time >= ENOUGH_FOR_ALL {
            let missing = |attack: &&Attack| !self.0.contains_key(attack);
            let missing: Vec<_> = Attack::ALL.iter().filter(missing).collect();
            assert!(missing.is_empty(), "never made: {missing:?}");
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum: u64 = self.0.values().map(|(made, cut_off)| made + cut_off).sum();
        write!(
            f,
            "attacks: {sum}, by kind (to the end, cut off by the node):"
        )?;
        for (attack, (made, cut_off)) in &self.0 {
            write!(f, "\n  {:16} {made:6} {cut_off:6}", format!("{attack:?}"))?;
        }
        Ok(())
    }
}

/// No attack goes on for longer.
const LONGEST_ATTACK: Duration = Duration::from_secs(20);
/// A run this long draws every attack, whatever the seed.
const ENOUGH_FOR_ALL: Duration = Duration::from_secs(300);
