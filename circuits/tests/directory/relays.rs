//! Test relays with deterministic keys and real signatures and puzzles.

use circuits::directory::{
    Descriptor, DescriptorDraft, DescriptorInsertion, DescriptorRefusal, DescriptorSource,
    Directory, DirectoryLimits, EndpointKinds, PuzzleSearch, PuzzleSolution, RelayEndpoint,
    Requirements, SigningKey, Subnet,
};
use circuits::ids::{Epoch, LinkId, NetworkId, Profile, RelayId, ShortId};
use circuits::mixing::ArrivalRate;
use circuits::secret::Secret;
use circuits::time::{Instant, Now, UnixSecs};
use curve25519_dalek::montgomery::MontgomeryPoint;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

pub(crate) const EPOCH: Epoch = Epoch(40_000);
pub(crate) const START: UnixSecs = EPOCH.start();
pub(crate) const HOUR: u32 = 3_600;

/// The requirements of the main network, with a puzzle effort that suits a test.
pub(crate) fn terms() -> Requirements {
    let network = NetworkId::new(Profile::Main, "test");
    Requirements {
        effort: 1,
        ..Requirements::new(network, Profile::Main)
    }
}

pub(crate) fn directory() -> Directory {
    Directory::new(terms(), DirectoryLimits::default(), None, START)
}

pub(crate) fn at(unix: UnixSecs) -> Now {
    Now {
        mono: Instant::from_micros(u64::from(unix.0) * 1_000_000),
        unix,
    }
}

/// A peer in its own /16.
pub(crate) fn peer(name: u8) -> DescriptorSource {
    DescriptorSource::Peer {
        link: LinkId(u64::from(name)),
        peer: ShortId([name; 16]),
        subnet: Subnet::Ip4([9, name]),
    }
}

pub(crate) fn insert(
    directory: &mut Directory,
    now: UnixSecs,
    name: u8,
    raw: &[u8],
) -> Result<DescriptorInsertion, DescriptorRefusal> {
    directory.insert(at(now), peer(name), raw)
}

pub(crate) fn is_new(result: Result<DescriptorInsertion, DescriptorRefusal>) -> bool {
    matches!(result, Ok(DescriptorInsertion::New(_)))
}

pub(crate) struct TestRelay {
    pub(crate) key: SigningKey,
    number: u8,
}

impl TestRelay {
    pub(crate) fn new(number: u8) -> Self {
        let secret = Secret::init_with(|bytes| bytes.fill(number));
        Self {
            key: SigningKey::new(secret).unwrap(),
            number,
        }
    }

    pub(crate) fn id(&self) -> RelayId {
        self.key.public().id()
    }

    /// The onion key of an epoch, derived from the relay's number.
    pub(crate) fn onion(&self, epoch: Epoch) -> [u8; 32] {
        let mut secret = [self.number; 32];
        secret[8..12].copy_from_slice(&epoch.0.to_be_bytes());
        MontgomeryPoint::mul_base_clamped(secret).to_bytes()
    }

    pub(crate) fn draft(&self, epoch: Epoch) -> DescriptorDraft {
        DescriptorDraft {
            epoch,
            onion: self.onion(epoch),
            onion_next: self.onion(epoch.next()),
            endpoints: vec![RelayEndpoint::Ip4([8, self.number, 1, 1].into(), 20_819)],
            dials: EndpointKinds::IP,
            family: Vec::new(),
            arrivals: ArrivalRate::from_byte(7).unwrap(),
            ticket_bits: 17,
        }
    }

    pub(crate) fn solve(&self, epoch: Epoch) -> PuzzleSolution {
        let Requirements {
            network, effort, ..
        } = terms();
        let mut rng = ChaCha20Rng::from_seed([self.number; 32]);
        let mut search = PuzzleSearch::new(network, self.key.public(), epoch, effort, &mut rng);
        core::iter::repeat_with(|| search.step())
            .flatten()
            .next()
            .unwrap()
    }

    pub(crate) fn sign(&self, draft: DescriptorDraft) -> Vec<u8> {
        let puzzle = self.solve(draft.epoch);
        Descriptor::sign(draft, puzzle, &self.key, terms().network)
            .unwrap()
            .raw()
            .to_vec()
    }

    pub(crate) fn descriptor(&self, epoch: Epoch) -> Vec<u8> {
        self.sign(self.draft(epoch))
    }
}
