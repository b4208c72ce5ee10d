//! Locates one or two wrong symbols by the checksum.
//!
//! The checksum is linear: the difference between the residue of a text and the residue that it should have
//! depends on the wrong symbols alone. The differences of all single errors make a table; two errors are
//! two entries of the table whose sum is the difference. Any two texts of this length with right checksums
//! differ in at least five symbols, so one or two wrong symbols have exactly one explanation. Of texts with
//! more wrong symbols about one in 650 has such an explanation too: the place is a hint, not a correction.

use bech32::primitives::checksum::{Checksum, Engine};
use bech32::{Bech32, Bech32m, Fe32, Hrp};

/// Where the wrong symbols are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Located {
    /// The index of the wrong symbol.
    One(usize),
    /// The indices of the wrong symbols, in order.
    Two(usize, usize),
    /// At least three symbols are wrong.
    Many,
    /// All symbols are right under the checksum of Bech32.
    OldChecksum,
}

/// Locates the wrong symbols of a text whose checksum is wrong.
pub(super) fn wrong_symbols(hrp: Hrp, symbols: &str) -> Located {
    let symbols: Vec<Fe32> = symbols
        .chars()
        .filter_map(|symbol| Fe32::from_char(symbol).ok())
        .collect();
    let mut engine = Engine::<Bech32m>::new();
    engine.input_hrp(hrp);
    let residue = residue(engine, &symbols);
    if residue == Bech32::TARGET_RESIDUE {
        return Located::OldChecksum;
    }
    explain(residue ^ Bech32m::TARGET_RESIDUE, symbols.len())
}

/// The one or two wrong symbols that explain a difference.
fn explain(difference: u32, len: usize) -> Located {
    let table = single_errors(len);
    let find = |wanted: u32| {
        let found = table.binary_search_by_key(&wanted, |(difference, _)| *difference);
        found.ok().and_then(|row| table.get(row)).map(|row| row.1)
    };
    if let Some(index) = find(difference) {
        return Located::One(index);
    }
    for (single, index) in &table {
        if let Some(other) = find(difference ^ single) {
            return Located::Two(other.min(*index), other.max(*index));
        }
    }
    Located::Many
}

/// The difference of each single error, with the index of its symbol, ordered by difference.
fn single_errors(len: usize) -> Vec<(u32, usize)> {
    let mut symbols = vec![Fe32::Q; len];
    let right = residue(Engine::new(), &symbols);
    let mut table = Vec::with_capacity(len * 31);
    for index in 0..len {
        for error in Fe32::iter_alpha().filter(|error| *error != Fe32::Q) {
            if let Some(symbol) = symbols.get_mut(index) {
                *symbol = error;
            }
            table.push((residue(Engine::new(), &symbols) ^ right, index));
        }
        if let Some(symbol) = symbols.get_mut(index) {
            *symbol = Fe32::Q;
        }
    }
    table.sort_unstable();
    table
}

fn residue(mut engine: Engine<Bech32m>, symbols: &[Fe32]) -> u32 {
    for symbol in symbols {
        engine.input_fe(*symbol);
    }
    *engine.residue()
}
