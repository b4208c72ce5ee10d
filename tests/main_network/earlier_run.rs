//! What an earlier run of a relay left in its data directory: its key, its onion keys, and its descriptors of
//! this epoch and the one before.
//!
//! A new relay of `main` publishes at a random time in the first six hours of an epoch, and states a rate of
//! cells only after a whole epoch. The test begins with a network that has both behind it.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::SystemTime;
use std::{io::Write, iter};

use circuits::directory::{
    Descriptor, DescriptorDraft, EndpointKinds, Layer, PuzzleSearch, RelayEndpoint, SigningKey,
};
use circuits::ids::{Epoch, NetworkId, Profile};
use circuits::keys::OnionSecret;
use circuits::mixing::ArrivalRate;
use circuits::relay::ReplayLog;
use circuits::time::UnixSecs;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use whisht::link::LinkKey;

use crate::EFFORT;

/// A relay, by its link key.
pub(crate) struct RelayIdentity {
    link: LinkKey,
}

impl RelayIdentity {
    pub(crate) fn new() -> Self {
        let link = LinkKey::generate(&mut rng());
        Self { link }
    }

    /// Relays of which this many are in each layer.
    pub(crate) fn of_every_layer(count: usize) -> Vec<Self> {
        let mut relays: Vec<Self> = Vec::new();
        while relays.len() < count * Layer::COUNT {
            let relay = Self::new();
            let alike = relays.iter().filter(|other| other.layer() == relay.layer());
            if alike.count() < count {
                relays.push(relay);
            }
        }
        relays
    }

    fn layer(&self) -> Layer {
        Layer::of(&self.link.public())
    }

    /// The enode URL at this address.
    pub(crate) fn enode(&self, [a, b, c, d]: [u8; 4]) -> String {
        let key = hex::encode(self.link.public().0);
        format!("enode://{key}@{a}.{b}.{c}.{d}:{PORT}")
    }

    /// Writes the data directory of a relay that has published in the epoch before and in this one.
    pub(crate) fn write_earlier_run(&self, dir: &Path, epoch: Epoch, address: [u8; 4]) {
        for part in ["", "onion", "descriptor"] {
            let mut private = DirBuilder::new();
            private
                .recursive(true)
                .mode(0o700)
                .create(dir.join(part))
                .unwrap();
        }
        let secret = self.link.to_bytes();
        write_private(
            &dir.join("nodekey"),
            hex::encode(secret.expose()).as_bytes(),
        );
        let epochs = [epoch.previous(), epoch, epoch.next()];
        let keys = epochs.map(|epoch| {
            let secret = OnionSecret::generate(&mut rng());
            let public = *secret.public();
            let (_log, header) = ReplayLog::create(epoch, &public);
            let file = |ending: &str| dir.join("onion").join(format!("{}.{ending}", epoch.0));
            write_private(
                &file("key"),
                hex::encode(secret.expose().expose()).as_bytes(),
            );
            write_private(&file("tags"), &header);
            *public.as_bytes()
        });
        for (epoch, keys) in epochs.into_iter().zip(keys.windows(2)) {
            let raw = self.descriptor(epoch, address, [keys[0], keys[1]]);
            write_private(&dir.join("descriptor").join(epoch.0.to_string()), &raw);
        }
    }

    fn descriptor(
        &self,
        epoch: Epoch,
        address: [u8; 4],
        [onion, onion_next]: [[u8; 32]; 2],
    ) -> Vec<u8> {
        let draft = DescriptorDraft {
            epoch,
            onion,
            onion_next,
            endpoints: vec![RelayEndpoint::Ip4(address.into(), PORT)],
            dials: EndpointKinds::IP,
            family: Vec::new(),
            arrivals: ArrivalRate::at_most(CELLS_PER_MILLION_SECS),
            ticket_bits: 17,
        };
        let network = NetworkId::new(Profile::Main, "whisht");
        let key = self.link.public();
        let mut search = PuzzleSearch::new(network, key, epoch, EFFORT, &mut rng());
        let puzzle = iter::repeat_with(|| search.step()).find_map(|found| found);
        let signing = SigningKey::new(self.link.to_bytes()).unwrap();
        let signed = Descriptor::sign(draft, puzzle.unwrap(), &signing, network).unwrap();
        signed.raw().to_vec()
    }
}

/// Writes a private file.
pub(crate) fn write_private(path: &Path, content: &[u8]) {
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .unwrap();
    file.write_all(content).unwrap();
}

/// A generator that nothing can predict: the keys of the nodes differ in every run.
fn rng() -> ChaCha20Rng {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).unwrap();
    ChaCha20Rng::from_seed(seed)
}

pub(crate) fn unix_secs() -> u32 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    u32::try_from(now).unwrap()
}

pub(crate) fn current_epoch() -> Epoch {
    Epoch::at(UnixSecs(unix_secs()))
}

/// The day of now, as a draft names it.
pub(crate) fn today() -> String {
    let output = std::process::Command::new("date")
        .args(["-u", "+%F"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

const PORT: u16 = 20_819;
/// The rate of a network in use. The delay class follows from it: 3 s from 20 cells a second on.
const CELLS_PER_MILLION_SECS: u64 = 23_000_000;
