//! The properties of every store, checked in memory, in a file and in PostgreSQL.

use std::collections::BTreeMap;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::Value;

use super::cluster::Cluster;
use super::*;
use crate::envelope::EnvelopeHash;

/// A property of every store; the argument is an empty store.
type BackendTest = fn(&mut dyn ArchiveBackend);

/// The properties of every store.
const CONTRACT: [(&str, BackendTest); 9] = [
    ("empty_archive_finds_nothing", nothing_in_nothing),
    ("stored_envelopes_are_found_in_order", in_order),
    ("duplicate_envelope_is_stored_once", twice_is_once),
    ("ranges_equal_go_ethereum", recorded_ranges),
    ("pages_cover_range_without_duplicates", pages),
    ("page_stays_within_bounds", bounds),
    ("forged_cursor_stays_within_range", forged_cursors),
    ("expired_envelopes_are_deleted", too_old),
    ("excess_is_deleted_oldest_first", too_much),
];

#[test]
fn sqlite_in_memory_meets_contract() {
    for (name, clause) in CONTRACT {
        eprintln!("{name}");
        clause(&mut Sqlite::in_memory().unwrap());
    }
}

#[test]
fn sqlite_file_meets_contract() {
    for (name, clause) in CONTRACT {
        eprintln!("{name}");
        let scratch = tempfile::tempdir().unwrap();
        clause(&mut Sqlite::open(&dir(scratch.path())).unwrap());
    }
}

#[test]
fn postgres_meets_contract() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    for (name, clause) in CONTRACT {
        eprintln!("{name}");
        let url = cluster.database(name).parse().unwrap();
        clause(&mut Postgres::open(url).unwrap());
    }
}

fn nothing_in_nothing(backend: &mut dyn ArchiveBackend) {
    assert_eq!(backend.find(&query(0, u32::MAX)).unwrap(), Page::default());
    assert_eq!(backend.contents().unwrap().oldest, None);
    assert!(!backend.trim(UnixSecs(u32::MAX), 1 << 30).unwrap());
}

fn in_order(backend: &mut dyn ArchiveBackend) {
    let mut envelopes: Vec<Envelope> = (0..50).map(|n| envelope(7_000 - n % 7, n)).collect();
    backend.keep(&envelopes).unwrap();
    envelopes.sort_by_key(Position::of);
    let page = backend.find(&query(0, u32::MAX)).unwrap();
    assert_eq!((page.envelopes, page.more), (envelopes, None));
    let oldest = backend.contents().unwrap().oldest;
    assert_eq!(oldest, Some(UnixSecs(6_994)));
}

fn twice_is_once(backend: &mut dyn ArchiveBackend) {
    let envelopes: Vec<Envelope> = (0..20).map(|n| envelope(100, n)).collect();
    backend.keep(&envelopes).unwrap();
    backend.keep(&envelopes).unwrap();
    backend
        .keep(&[envelopes[3].clone(), envelope(101, 99)])
        .unwrap();
    let page = backend.find(&query(0, u32::MAX)).unwrap();
    assert_eq!(page.envelopes.len(), 21);
}

/// Envelopes and ranges as recorded from go-ethereum's own archive. One case is not followed: its
/// upper bound wraps at the last second of the range, so that an open end finds nothing.
fn recorded_ranges(backend: &mut dyn ArchiveBackend) {
    let file = include_str!("../../../../tests/vectors/mailserver_request.json");
    let file: Value = serde_json::from_str(file).unwrap();
    let stored: Vec<Envelope> = list(&file["archive"])
        .iter()
        .map(|stored| Envelope::decode(&bytes(&stored["rlp"])).unwrap())
        .collect();
    backend.keep(&stored).unwrap();
    for case in list(&file["query_cases"]) {
        let bloom = Bloom(bytes(&case["bloom"]).try_into().unwrap());
        let asked = PageQuery {
            bloom,
            ..query(int(&case["lower"]), int(&case["upper"]))
        };
        let found = backend.find(&asked).unwrap().envelopes;
        let hashes: Vec<Vec<u8>> = found.iter().map(|found| found.hash().0.to_vec()).collect();
        let recorded: Vec<Vec<u8>> = list(&case["result_hashes"]).iter().map(bytes).collect();
        match asked.upper {
            UnixSecs(u32::MAX) => assert_eq!((hashes.len(), recorded.len()), (stored.len(), 0)),
            _ => assert_eq!(hashes, recorded, "{}", case["name"]),
        }
    }
}

fn pages(backend: &mut dyn ArchiveBackend) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let all: BTreeMap<Position, Envelope> = (0..400)
        .map(|number| envelope(1_000 + rng.next_u32() % 50, number))
        .map(|envelope| (Position::of(&envelope), envelope))
        .collect();
    backend
        .keep(&all.values().cloned().collect::<Vec<_>>())
        .unwrap();
    for _ in 0..20 {
        let lower = 990 + rng.next_u32() % 60;
        let mut bloom = Bloom::EMPTY;
        for byte in &mut bloom.0 {
            *byte = rng.next_u32().to_be_bytes()[0] | rng.next_u32().to_be_bytes()[0];
        }
        let mut asked = PageQuery {
            bloom,
            limit: 1 + usize::try_from(rng.next_u32() % 40).unwrap(),
            bytes: 100 + usize::try_from(rng.next_u32() % 4_000).unwrap(),
            effort: 1 + usize::try_from(rng.next_u32() % 90).unwrap(),
            ..query(lower, lower + rng.next_u32() % 40)
        };
        let mut found = Vec::new();
        loop {
            let page = backend.find(&asked).unwrap();
            assert!(page.envelopes.len() <= asked.limit && page.effort <= asked.effort);
            found.extend(page.envelopes);
            match page.more {
                Some(place) => {
                    assert!(Some(place) > asked.after, "pages go forward");
                    asked.after = Some(place);
                }
                None => break,
            }
        }
        let expected: Vec<&Envelope> = all.values().filter(|one| asked.wants(one)).collect();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected);
    }
}

fn bounds(backend: &mut dyn ArchiveBackend) {
    let envelopes: Vec<Envelope> = (0..10).map(|n| envelope(100 + n, n)).collect();
    backend.keep(&envelopes).unwrap();
    let len = envelopes[0].as_rlp().len();
    let found = |backend: &mut dyn ArchiveBackend, limit, bytes, effort| {
        let asked = PageQuery {
            limit,
            bytes,
            effort,
            ..query(0, u32::MAX)
        };
        let page = backend.find(&asked).unwrap();
        let last = page.envelopes.last().map(Position::of);
        assert_eq!(page.more, last.filter(|_| page.envelopes.len() < 10));
        page.envelopes.len()
    };
    assert_eq!(found(backend, 3, 1 << 20, 100), 3);
    assert_eq!(found(backend, 10, 1 << 20, 100), 10);
    assert_eq!(found(backend, 100, 4 * len, 100), 4);
    assert_eq!(
        found(backend, 100, 1, 100),
        1,
        "the first envelope is returned despite its length"
    );
    assert_eq!(found(backend, 100, 1 << 20, 5), 5);
    assert_eq!(found(backend, 100, 1 << 20, 10), 10);
}

fn forged_cursors(backend: &mut dyn ArchiveBackend) {
    let envelopes: Vec<Envelope> = (0..10).map(|n| envelope(100 + n, n)).collect();
    backend.keep(&envelopes).unwrap();
    let found = |backend: &mut dyn ArchiveBackend, sent, hash| {
        let asked = PageQuery {
            after: Some(Position {
                sent: UnixSecs(sent),
                hash: EnvelopeHash([hash; 32]),
            }),
            ..query(103, 105)
        };
        backend.find(&asked).unwrap().envelopes
    };
    assert_eq!(found(backend, 0, 0xff), &envelopes[3..=5]);
    assert_eq!(found(backend, 104, 0), &envelopes[4..=5]);
    assert_eq!(found(backend, 104, 0xff), &envelopes[5..=5]);
    assert!(found(backend, 106, 0).is_empty());
    assert!(found(backend, u32::MAX, 0xff).is_empty());
}

fn too_old(backend: &mut dyn ArchiveBackend) {
    let envelopes: Vec<Envelope> = (0..1_200).map(|n| envelope(100 + n, n)).collect();
    backend.keep(&envelopes).unwrap();
    while backend.trim(UnixSecs(1_250), 1 << 30).unwrap() {}
    let left = backend.find(&query(0, u32::MAX)).unwrap().envelopes;
    assert_eq!(left, &envelopes[1_150..]);
}

fn too_much(backend: &mut dyn ArchiveBackend) {
    let large: Vec<Envelope> = (0..1_500).map(|n| sized(100 + n, n, 2_000)).collect();
    backend.keep(&large).unwrap();
    let most = 1_000_000;
    while backend.trim(UnixSecs(0), most).unwrap() {}
    let mut left = Vec::new();
    let mut asked = query(0, u32::MAX);
    loop {
        let page = backend.find(&asked).unwrap();
        left.extend(page.envelopes);
        asked.after = page.more;
        if page.more.is_none() {
            break;
        }
    }
    let bytes: usize = left.iter().map(|left| left.as_rlp().len()).sum();
    assert!(bytes <= usize::try_from(most).unwrap() && !left.is_empty());
    assert_eq!(left, &large[1_500 - left.len()..], "the oldest go first");
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn int(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap()).unwrap()
}
