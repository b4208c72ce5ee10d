//! A relay cannot infer its position on a path from the bytes of a cell.

use circuits::cell::Cell;

use crate::path::{EPOCH, PathStop, forward, rng, sealed, stops};
use crate::reference;

/// Number of cells for each path length.
const CELLS: usize = 400;

/// All bytes that the last relay of a path of `len` can decrypt and that its own slot does not
/// define: next hop and tag of the slot, and the slots that follow.
fn seen_at_the_end(len: usize) -> Vec<Vec<u8>> {
    // A seed for each length; equal draws at two lengths would give equal padding.
    let mut rng = rng(500 + u64::try_from(len).unwrap());
    let stops = stops(&mut rng, len);
    let mut relays: Vec<_> = stops.iter().map(PathStop::relay).collect();
    let mut views = Vec::new();
    for _ in 0..CELLS {
        let (mut cell, _) = sealed(&mut rng, &stops);
        for relay in &mut relays[..len - 1] {
            cell = forward(relay, cell);
        }
        views.push(last_view(&stops[len - 1], &cell));
    }
    views
}

fn last_view(stop: &PathStop, cell: &Cell) -> Vec<u8> {
    let alpha = *cell.view().alpha();
    let shared = x25519_dalek::x25519(stop.secret, alpha);
    let layer = reference::layer(alpha, shared, stop.reference(), EPOCH.0);
    let slots = reference::slots(&layer, cell.as_bytes());
    // The slot that shifts in is this relay's own stream at every length, so it is excluded.
    [&slots[..16], &slots[20..216]].concat()
}

/// Chi-square of the byte counts against the uniform distribution: 255 degrees of freedom.
fn chi_square<'a>(bytes: impl Iterator<Item = &'a u8>) -> f64 {
    let mut counts = [0_u32; 256];
    bytes.for_each(|byte| counts[usize::from(*byte)] += 1);
    let expected = f64::from(counts.iter().sum::<u32>()) / 256.0;
    counts
        .iter()
        .map(|count| (f64::from(*count) - expected).powi(2) / expected)
        .sum()
}

#[test]
fn path_length_is_not_visible_to_last_relay() {
    for len in 1..=6 {
        let views = seen_at_the_end(len);
        // 255 +- 22.6. The seed is fixed, and six standard deviations are far from chance.
        let all = chi_square(views.iter().flatten());
        assert!((120.0..390.0).contains(&all), "length {len}: {all}");
        for place in 0..views[0].len() {
            // 400 draws of 256 values: 14 equal values at one position are not chance.
            let mut counts = [0_u32; 256];
            views
                .iter()
                .for_each(|view| counts[usize::from(view[place])] += 1);
            let most = counts.iter().max().unwrap();
            assert!(
                *most < 14,
                "length {len}, place {place}: a value {most} times"
            );
        }
    }
}

#[test]
fn padding_slots_are_neither_zero_nor_repeated() {
    let mut slots: Vec<Vec<u8>> = Vec::new();
    for len in 1..=6 {
        for view in seen_at_the_end(len) {
            slots.extend(view[32..].chunks(36).map(<[u8]>::to_vec));
        }
    }
    assert!(
        slots
            .iter()
            .all(|slot| slot.iter().filter(|byte| **byte == 0).count() < 8)
    );
    let count = slots.len();
    slots.sort();
    slots.dedup();
    assert_eq!(slots.len(), count);
}

#[test]
fn cell_bytes_after_header_are_uniform_at_every_hop() {
    let mut rng = rng(52);
    let stops = stops(&mut rng, 6);
    let mut relays: Vec<_> = stops.iter().map(PathStop::relay).collect();
    let mut at_hop: Vec<Vec<u8>> = vec![Vec::new(); 6];
    for _ in 0..60 {
        let (mut cell, _) = sealed(&mut rng, &stops);
        for (place, seen) in at_hop.iter_mut().enumerate() {
            assert_eq!(cell.as_bytes()[0], 0x10 | EPOCH.hint());
            // Byte 32 ends the element, whose top bit is always zero.
            seen.extend(&cell.as_bytes()[1..32]);
            seen.extend(&cell.as_bytes()[33..]);
            if place < 5 {
                cell = forward(&mut relays[place], cell);
            }
        }
    }
    for (place, seen) in at_hop.iter().enumerate() {
        let chi = chi_square(seen.iter());
        assert!((120.0..390.0).contains(&chi), "hop {place}: {chi}");
    }
}

#[test]
fn peeled_cell_shares_no_bytes_with_incoming_cell() {
    let mut rng = rng(53);
    let stops = stops(&mut rng, 6);
    let (mut cell, _) = sealed(&mut rng, &stops);
    for stop in &stops[..5] {
        let next = forward(&mut stop.relay(), cell.clone());
        let windows: Vec<_> = cell.as_bytes().windows(4).collect();
        let common = next
            .as_bytes()
            .windows(4)
            .filter(|four| windows.contains(four))
            .count();
        assert_eq!(common, 0);
        cell = next;
    }
}
