//! Time of one nonce of the descriptor puzzle, which sets the price of a relay for half a day.
//!
//! At the effort of the main network 65,536 solutions are tried on average, and a nonce gives two:
//! the price of one descriptor is 32,768 times the measured time.

use circuits::directory::PuzzleSearch;
use circuits::ids::{Epoch, NetworkId, Profile, RelayKey};
use criterion::{Criterion, criterion_group, criterion_main};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

fn puzzle(criterion: &mut Criterion) {
    let mut rng = ChaCha20Rng::from_seed([7; 32]);
    let network = NetworkId::new(Profile::Main, "whisht");
    let effort = u32::MAX;
    let mut search = PuzzleSearch::new(network, RelayKey([7; 64]), Epoch(1), effort, &mut rng);
    criterion.bench_function("descriptor puzzle, one nonce", |bencher| {
        bencher.iter(|| search.step());
    });
}

criterion_group!(benches, puzzle);
criterion_main!(benches);
