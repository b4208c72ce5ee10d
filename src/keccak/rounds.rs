//! Keccak-f\[1600\] over any vector type.
//!
//! The rounds are the same for every vector type; addition and rotation are not. A macro generates
//! them, because functions that require a processor feature can be inlined only into functions with
//! the same feature, which generic code cannot express.

/// Defines `permute` and `digests`, which run the sponges in 25 vectors.
///
/// Requires in scope: `Sponges` and `Digests`, `load` and `store` for a vector's words, `splat`, `xor`; `parity` of the
/// columns on both sides of one and `add` of that to a word (theta); `rotate::<N, { 64 - N }>`
/// (rho); `chi` of three adjacent words.
macro_rules! keccak_over {
    ($vector:ty, $lanes:literal, $feature:literal) => {
        #[target_feature(enable = $feature)]
        fn permute(sponges: &mut Sponges<$lanes>) {
            let permuted = rounds(load_all(sponges), &ROUND_CONSTANTS);
            for (words, vector) in sponges.iter_mut().zip(permuted) {
                *words = store(vector);
            }
        }

        #[target_feature(enable = $feature)]
        fn digests(sponges: &Sponges<$lanes>, padding_follows: bool) -> Digests<$lanes> {
            let mut a = load_all(sponges);
            if padding_follows {
                a = rounds(a, &ROUND_CONSTANTS);
                let [(_, first), (_, last)] = crate::keccak::PADDING;
                a[0] = xor(a[0], splat(first));
                a[16] = xor(a[16], splat(last));
            }
            let [but_last @ .., last] = &ROUND_CONSTANTS;
            // Only the row with the digest is used of the last round, so only this row is computed.
            let b = mix(&rounds(a, but_last));
            [
                store(xor(chi(b[0], b[1], b[2]), splat(*last))),
                store(chi(b[1], b[2], b[3])),
                store(chi(b[2], b[3], b[4])),
                store(chi(b[3], b[4], b[0])),
            ]
        }

        #[inline]
        #[target_feature(enable = $feature)]
        fn load_all(sponges: &Sponges<$lanes>) -> [$vector; 25] {
            let mut vectors = [splat(0); 25];
            for (vector, words) in vectors.iter_mut().zip(sponges) {
                *vector = load(*words);
            }
            vectors
        }

        crate::keccak::rounds::keccak_rounds!($vector, $feature);
    };
}

/// Defines `rounds` alone.
///
/// Requires in scope what [`keccak_over`] requires, except for `load` and `store`.
macro_rules! keccak_rounds {
    ($vector:ty, $feature:literal) => {
        #[inline]
        #[target_feature(enable = $feature)]
        fn rounds(mut a: [$vector; 25], constants: &[u64]) -> [$vector; 25] {
            for constant in constants {
                let b = mix(&a);
                a = [
                    xor(chi(b[0], b[1], b[2]), splat(*constant)),
                    chi(b[1], b[2], b[3]),
                    chi(b[2], b[3], b[4]),
                    chi(b[3], b[4], b[0]),
                    chi(b[4], b[0], b[1]),
                    chi(b[5], b[6], b[7]),
                    chi(b[6], b[7], b[8]),
                    chi(b[7], b[8], b[9]),
                    chi(b[8], b[9], b[5]),
                    chi(b[9], b[5], b[6]),
                    chi(b[10], b[11], b[12]),
                    chi(b[11], b[12], b[13]),
                    chi(b[12], b[13], b[14]),
                    chi(b[13], b[14], b[10]),
                    chi(b[14], b[10], b[11]),
                    chi(b[15], b[16], b[17]),
                    chi(b[16], b[17], b[18]),
                    chi(b[17], b[18], b[19]),
                    chi(b[18], b[19], b[15]),
                    chi(b[19], b[15], b[16]),
                    chi(b[20], b[21], b[22]),
                    chi(b[21], b[22], b[23]),
                    chi(b[22], b[23], b[24]),
                    chi(b[23], b[24], b[20]),
                    chi(b[24], b[20], b[21]),
                ];
            }
            a
        }

        /// Theta, rho and pi: adds the parities of the adjacent columns to each word, rotates it,
        /// and moves it.
        #[inline]
        #[target_feature(enable = $feature)]
        fn mix(a: &[$vector; 25]) -> [$vector; 25] {
            let c0 = sum(a[0], a[5], a[10], a[15], a[20]);
            let c1 = sum(a[1], a[6], a[11], a[16], a[21]);
            let c2 = sum(a[2], a[7], a[12], a[17], a[22]);
            let c3 = sum(a[3], a[8], a[13], a[18], a[23]);
            let c4 = sum(a[4], a[9], a[14], a[19], a[24]);
            let d0 = parity(c4, rotate::<1, 63>(c1));
            let d1 = parity(c0, rotate::<1, 63>(c2));
            let d2 = parity(c1, rotate::<1, 63>(c3));
            let d3 = parity(c2, rotate::<1, 63>(c4));
            let d4 = parity(c3, rotate::<1, 63>(c0));
            [
                add(a[0], d0),
                rotate::<44, 20>(add(a[6], d1)),
                rotate::<43, 21>(add(a[12], d2)),
                rotate::<21, 43>(add(a[18], d3)),
                rotate::<14, 50>(add(a[24], d4)),
                rotate::<28, 36>(add(a[3], d3)),
                rotate::<20, 44>(add(a[9], d4)),
                rotate::<3, 61>(add(a[10], d0)),
                rotate::<45, 19>(add(a[16], d1)),
                rotate::<61, 3>(add(a[22], d2)),
                rotate::<1, 63>(add(a[1], d1)),
                rotate::<6, 58>(add(a[7], d2)),
                rotate::<25, 39>(add(a[13], d3)),
                rotate::<8, 56>(add(a[19], d4)),
                rotate::<18, 46>(add(a[20], d0)),
                rotate::<27, 37>(add(a[4], d4)),
                rotate::<36, 28>(add(a[5], d0)),
                rotate::<10, 54>(add(a[11], d1)),
                rotate::<15, 49>(add(a[17], d2)),
                rotate::<56, 8>(add(a[23], d3)),
                rotate::<62, 2>(add(a[2], d2)),
                rotate::<55, 9>(add(a[8], d3)),
                rotate::<39, 25>(add(a[14], d4)),
                rotate::<41, 23>(add(a[15], d0)),
                rotate::<2, 62>(add(a[21], d1)),
            ]
        }
    };
}

pub(super) use {keccak_over, keccak_rounds};

/// The constants that the rounds add to the first word, which make each round different (iota).
pub(super) const ROUND_CONSTANTS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];
