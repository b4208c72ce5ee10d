use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;

fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

#[test]
fn the_last_k_pieces_rebuild_the_envelope_in_every_class() {
    let mut rng = rng(1);
    for class in Class::ALL {
        let envelope = vec![0xa5; class.capacity()];
        let pieces = disperse(&mut rng, class, &envelope).unwrap();
        assert_eq!(pieces.len(), usize::from(class.n()));

        let first = class.n() - class.k();
        let last: Vec<_> = (first..class.n())
            .map(|index| (index, &*pieces[usize::from(index)]))
            .collect();
        assert_eq!(rebuild(class, &last).as_ref(), Ok(&envelope));
    }
}
