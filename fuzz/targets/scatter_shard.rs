//! Shards of scattered messages at a reader: parsing, and a small reassembly under a hostile script.

use circuits::time::Instant;
use core::time::Duration;
use whisht::scatter::{
    Reassembled, Reassembly, ReassemblyLimits, ScatterProfile, ScatterShard, SetId,
};

/// Reads the input as a shard of each profile, and as a script of short shards. Panics if a rule is
/// broken.
pub fn scatter_shard(data: &[u8]) {
    for profile in ScatterProfile::ALL {
        if let Ok(shard) = ScatterShard::decode(profile, data) {
            assert_eq!(shard.encode().as_slice(), data);
        }
    }
    let limits = ReassemblyLimits {
        bytes_per_key: BOUND,
        bytes: BOUND * 2,
        timeout: Duration::from_secs(600),
    };
    let mut sets = Reassembly::new(limits);
    let mut now = Instant::ZERO;
    for step in data.chunks_exact(5) {
        let [set, row, index, fill, secs] = [step[0], step[1], step[2], step[3], step[4]];
        now = now.after(Duration::from_secs(secs.into()));
        let classes = whisht::scatter::ScatterClass::ALL;
        let class = classes[usize::from(row) % classes.len()];
        let shard = ScatterShard {
            set: SetId([set % 4; 8]),
            class,
            index: index % class.n(),
            bytes: vec![fill; usize::from(fill) * 2],
        };
        let outcome = sets.accept(now, &(set % 3), shard);
        assert!(
            !matches!(outcome, Reassembled::Complete(_)),
            "no package is whole"
        );
        assert!(sets.bytes() <= BOUND * 2);
    }
}

const BOUND: usize = 8_000;
