use circuits::time::UnixSecs;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::envelope::{Topic, Ttl};
use crate::message::{ClientSecret, Padding, Plaintext, SymKey, seal_asymmetric, seal_symmetric};

struct Keys {
    rng: ChaCha20Rng,
    pair: Arc<ClientSecret>,
    shared: Arc<SymKey>,
}

impl Keys {
    fn new() -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(31);
        Self {
            pair: Arc::new(ClientSecret::generate(&mut rng)),
            shared: Arc::new(SymKey::generate(&mut rng)),
            rng,
        }
    }

    /// Our two keys, after `others` key pairs.
    fn snapshot(&mut self, others: usize) -> Arc<TrialKeys> {
        let others = (0..others).map(|_| ClientSecret::generate(&mut self.rng));
        let others: Vec<_> = others
            .map(|key| FilterKey::Asymmetric(Arc::new(key)))
            .collect();
        let ours = [
            FilterKey::Asymmetric(Arc::clone(&self.pair)),
            FilterKey::Symmetric(Arc::clone(&self.shared)),
        ];
        let keys = others.into_iter().chain(ours);
        Arc::new(TrialKeys::new(keys.map(|key| (KeyId::of(&key), key))))
    }

    fn envelope(
        &mut self,
        len: usize,
        seal: impl FnOnce(&mut Self, &Plaintext) -> Vec<u8>,
    ) -> Envelope {
        let payload = vec![7; len];
        let plaintext = Plaintext::build(&mut self.rng, &payload, Padding::Align, None).unwrap();
        let data = seal(self, &plaintext);
        Envelope::build(UnixSecs(1_700_000_000), Ttl(50), Topic([1; 4]), data, 1)
    }

    fn for_pair(&mut self, len: usize) -> Envelope {
        self.envelope(len, |keys, text| {
            seal_asymmetric(&mut keys.rng, &keys.pair.public(), text)
        })
    }

    fn for_shared(&mut self, len: usize) -> Envelope {
        self.envelope(len, |keys, text| {
            seal_symmetric(&mut keys.rng, &keys.shared, text)
        })
    }

    fn for_other(&mut self, len: usize) -> Envelope {
        let other = ClientSecret::generate(&mut self.rng).public();
        self.envelope(len, |keys, text| {
            seal_asymmetric(&mut keys.rng, &other, text)
        })
    }
}

/// Runs a batch; returns its results and the number of its steps.
fn run(keys: &Arc<TrialKeys>, envelopes: Vec<Envelope>) -> (Vec<TrialResult>, usize) {
    let mut batch = TrialBatch::new(Arc::clone(keys), envelopes);
    let mut steps = 0;
    loop {
        steps += 1;
        if let Some(results) = batch.step() {
            return (results, steps);
        }
    }
}

#[test]
fn batch_decrypts_every_envelope_for_us_in_order() {
    let mut world = Keys::new();
    let keys = world.snapshot(3);
    let envelopes = vec![
        world.for_other(20),
        world.for_shared(20),
        world.for_other(20),
        world.for_pair(20),
    ];
    let (results, _) = run(&keys, envelopes);
    let positions: Vec<usize> = results.iter().map(|result| result.envelope).collect();
    assert_eq!(positions, [1, 3]);
    assert!(matches!(results[0].key, KeyId::Symmetric(_)));
    assert!(matches!(results[1].key, KeyId::Asymmetric(_)));
    assert_eq!(results[1].message.payload.as_slice(), [7; 20]);
}

#[test]
fn batch_takes_equal_steps_on_hit_and_miss() {
    let mut world = Keys::new();
    let keys = world.snapshot(150);
    let hits = vec![world.for_pair(300), world.for_pair(300)];
    let misses = vec![world.for_other(300), world.for_other(300)];
    assert_eq!(keys.time(&hits[0]), keys.time(&misses[0]));
    let (found, steps_on_hit) = run(&keys, hits);
    let (none, steps_on_miss) = run(&keys, misses);
    assert_eq!((found.len(), none.len()), (2, 0));
    assert_eq!(steps_on_hit, steps_on_miss);
    assert!(steps_on_hit > 4, "150 keys do not fit one step");
}

#[test]
fn envelope_of_a_megabyte_is_tried_with_one_key_per_step() {
    let mut world = Keys::new();
    let keys = world.snapshot(4);
    let envelope = world.for_pair(1_000_000);
    let (results, steps) = run(&keys, vec![envelope]);
    assert_eq!(results.len(), 1);
    assert!(steps >= 5);
}

#[test]
fn batch_without_keys_costs_nothing() {
    let mut world = Keys::new();
    let keys = Arc::new(TrialKeys::new(core::iter::empty()));
    let envelopes: Vec<_> = (0..100).map(|_| world.for_shared(20)).collect();
    let batch = TrialBatch::new(Arc::clone(&keys), envelopes.clone());
    assert_eq!(batch.time(), Duration::ZERO);
    assert!(run(&keys, envelopes).0.is_empty());
}
