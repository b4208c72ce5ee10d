//! Arbitrary bytes as a relay descriptor, and as a stored record of a directory.
//!
//! A descriptor has one encoding. A descriptor that verifies is stored, found again, sent to peers
//! that lack it, and survives a restart; other input leaves the directory unchanged.

use circuits::directory::{
    Descriptor, DescriptorInsertion, DescriptorRefusal, DescriptorRequest, DescriptorSource,
    Directory, DirectoryLimits, Requirements,
};
use circuits::ids::{Epoch, NetworkId, Profile};
use circuits::time::{Instant, Now, UnixSecs};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

/// Reads, verifies and stores one descriptor. Panics if a rule is broken.
pub fn descriptor(data: &[u8]) {
    restore(data);
    let Ok(descriptor) = Descriptor::decode(data) else {
        let refused = directory().insert(now(), DescriptorSource::Own, data);
        assert!(matches!(refused, Err(DescriptorRefusal::Bad(_))));
        return;
    };
    assert_eq!(descriptor.raw(), data);
    let draft = descriptor.draft();
    assert!(!draft.endpoints.is_empty() && draft.endpoints.len() <= 3);

    let is_current = [EPOCH.previous(), EPOCH].contains(&draft.epoch);
    let verified = descriptor.verify(&requirements());
    let mut directory = directory();
    let inserted = directory.insert(now(), DescriptorSource::Own, data);
    match inserted {
        Ok(DescriptorInsertion::New(kept)) => {
            assert!(is_current && verified.is_ok());
            assert_eq!(kept.raw(), data);
        }
        Ok(other) => panic!("an empty directory knows {other:?}"),
        Err(_) => {
            assert!(!is_current || verified.is_err());
            assert!(directory.is_empty());
            return;
        }
    }
    keeps(&mut directory, data);
}

/// A stored descriptor is found, sent, and restored.
fn keeps(directory: &mut Directory, raw: &[u8]) {
    let again = directory.insert(now(), DescriptorSource::Own, raw);
    assert!(matches!(again, Ok(DescriptorInsertion::Known)));
    let kept = directory.iter().next().expect("one relay").clone();
    let found = directory
        .lookup(kept.id().short())
        .expect("by its short id");
    assert_eq!(found.raw(), raw);

    let everything = DescriptorRequest {
        epoch: kept.epoch(),
        bucket: None,
        have: Vec::new(),
    };
    let mut rng = ChaCha20Rng::from_seed([0; 32]);
    let answer = directory.lacking(now(), DescriptorSource::Own, &everything, &mut rng);
    assert_eq!(answer, [raw]);
    let requests = directory.requests(now().unix, DescriptorSource::Own, kept.epoch());
    let nothing = &requests[0];
    assert!(
        directory
            .lacking(now(), DescriptorSource::Own, nothing, &mut rng)
            .is_empty()
    );

    let mut restored = self::directory();
    restored.import(now().unix, directory.export());
    assert_eq!(restored.export(), directory.export());
}

/// The same bytes as a stored record: restored or skipped, and then written identically.
fn restore(data: &[u8]) {
    let mut directory = directory();
    directory.import(now().unix, [data]);
    let stored = directory.export();
    let mut again = self::directory();
    again.import(now().unix, &stored);
    assert_eq!(again.export(), stored);
}

fn directory() -> Directory {
    Directory::new(requirements(), DirectoryLimits::default(), None, now().unix)
}

fn requirements() -> Requirements {
    let network = NetworkId::new(Profile::Main, "vector");
    Requirements {
        effort: 1,
        ..Requirements::new(network, Profile::Main)
    }
}

fn now() -> Now {
    Now {
        mono: Instant::ZERO,
        unix: UnixSecs(EPOCH.start().0 + 7_200),
    }
}

/// The epoch of the recorded descriptor.
const EPOCH: Epoch = Epoch(41_234);
