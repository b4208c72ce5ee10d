use std::fs;
use std::path::Path;
use std::sync::mpsc::channel;

use circuits::ids::{Epoch, Profile};
use circuits::keys::OnionSecret;
use circuits::relay::{ReplayLog, ReplayTag};
use circuits::secret::Secret;

use super::*;
use crate::node::Restored;

fn dir(path: &Path) -> Arc<DataDir> {
    Arc::new(DataDir::open(&path.join("data"), Profile::Main, "test").unwrap())
}

fn key(byte: u8) -> Secret<32> {
    Secret::init_with(|bytes| bytes.fill(byte))
}

/// Stores records like a driver, and returns what the next start loads.
fn store_and_load(path: &Path, records: Vec<Record>) -> Restored {
    let dir = dir(path);
    let (report, reports) = channel();
    let store = Store::open(
        Storage::Disk(Arc::clone(&dir)),
        move |id| {
            report.send(id).unwrap();
        },
        || (),
    )
    .unwrap();
    let mut last = 0;
    for record in records {
        last += 1;
        store.put(StoreId(last), record);
    }
    let mut stored = 0;
    while stored < last {
        let StoreId(id) = reports.recv().unwrap();
        assert!(id > stored, "reports go upwards");
        stored = id;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(store.finish());
    load(&dir).unwrap()
}

#[test]
fn onion_key_restores_with_all_durable_tags() {
    let scratch = tempfile::tempdir().unwrap();
    let tags = (0..100).map(|tag| Record::ReplayTags(Epoch(7), vec![tag; 3]));
    let records = [
        Record::OnionKey(Epoch(7), key(1)),
        Record::OnionKey(Epoch(8), key(2)),
    ];
    let restored = store_and_load(scratch.path(), records.into_iter().chain(tags).collect());

    let [(first, one, log), (second, two, empty)] = restored.onion_keys.as_slice() else {
        panic!("two keys, not {}", restored.onion_keys.len());
    };
    assert_eq!((*first, *second), (Epoch(7), Epoch(8)));
    assert_eq!((one.expose(), two.expose()), (&[1; 32], &[2; 32]));
    assert_eq!(*log, (0..100).flat_map(|tag| [tag; 3]).collect::<Vec<u8>>());
    assert!(empty.is_empty());
}

#[test]
fn replay_log_continues_after_restart() {
    let scratch = tempfile::tempdir().unwrap();
    store_and_load(
        scratch.path(),
        vec![
            Record::OnionKey(Epoch(7), key(1)),
            Record::ReplayTags(Epoch(7), b"one".to_vec()),
        ],
    );
    let more = vec![Record::ReplayTags(Epoch(7), b"two".to_vec())];
    let restored = store_and_load(scratch.path(), more);
    assert_eq!(restored.onion_keys.first().unwrap().2, b"onetwo");
}

#[test]
fn replay_log_torn_by_crash_keeps_its_key_and_all_complete_blocks() {
    let scratch = tempfile::tempdir().unwrap();
    let secret = OnionSecret::from_secret(key(1));
    let (mut log, header) = ReplayLog::create(Epoch(7), secret.public());
    let whole = [
        header,
        log.append(&[ReplayTag([1; 16]), ReplayTag([2; 16])]),
    ]
    .concat();
    let torn = log.append(&[ReplayTag([3; 16])]);
    let records = [&whole[..], &torn[..torn.len() - 1]].concat();
    let restored = store_and_load(
        scratch.path(),
        vec![
            Record::OnionKey(Epoch(7), key(1)),
            Record::ReplayTags(Epoch(7), records),
        ],
    );
    let [(_, restored_key, kept)] = restored.onion_keys.as_slice() else {
        panic!("one key, not {}", restored.onion_keys.len());
    };
    assert_eq!(restored_key.expose(), &[1; 32]);
    assert_eq!(*kept, whole, "the torn block is cut off");

    // The log continues behind its last complete block.
    let (mut log, _) = ReplayLog::read(kept, Epoch(7), secret.public(), 10).unwrap();
    let more = log.append(&[ReplayTag([4; 16])]);
    let restored = store_and_load(
        scratch.path(),
        vec![Record::ReplayTags(Epoch(7), more.clone())],
    );
    let kept = &restored.onion_keys.first().unwrap().2;
    assert_eq!(*kept, [whole, more].concat());
    let (_, seen) = ReplayLog::read(kept, Epoch(7), secret.public(), 10).unwrap();
    assert_eq!(seen.len(), 3);
}

#[test]
fn expired_key_and_log_are_erased() {
    let scratch = tempfile::tempdir().unwrap();
    let restored = store_and_load(
        scratch.path(),
        vec![
            Record::OnionKey(Epoch(7), key(1)),
            Record::ReplayTags(Epoch(7), b"tag".to_vec()),
            Record::EraseOnionKey(Epoch(7)),
        ],
    );
    assert!(restored.onion_keys.is_empty());
    assert_eq!(
        fs::read_dir(scratch.path().join("data/onion"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn onion_key_without_log_is_erased() {
    let scratch = tempfile::tempdir().unwrap();
    store_and_load(scratch.path(), vec![Record::OnionKey(Epoch(7), key(1))]);
    fs::remove_file(scratch.path().join("data/onion/7.tags")).unwrap();
    assert!(load(&dir(scratch.path())).unwrap().onion_keys.is_empty());
    assert!(!scratch.path().join("data/onion/7.key").exists());
}

#[test]
fn descriptors_of_current_and_last_epoch_are_kept() {
    let scratch = tempfile::tempdir().unwrap();
    let records =
        (5..9).map(|epoch| Record::OwnDescriptor(Epoch(epoch), vec![u8::try_from(epoch).unwrap()]));
    let restored = store_and_load(scratch.path(), records.collect());
    assert_eq!(
        restored.own_descriptors,
        [(Epoch(7), vec![7]), (Epoch(8), vec![8])]
    );
}

#[test]
fn directory_restores_last_state() {
    let scratch = tempfile::tempdir().unwrap();
    let lists = [
        vec![b"old".to_vec()],
        vec![b"new".to_vec(), Vec::new(), vec![0; 1000]],
    ];
    let records = lists.clone().map(Record::Directory).into();
    let [_, last] = lists;
    assert_eq!(store_and_load(scratch.path(), records).directory, last);
}

#[test]
fn damaged_directory_is_ignored() {
    let scratch = tempfile::tempdir().unwrap();
    store_and_load(
        scratch.path(),
        vec![Record::Directory(vec![b"relay".to_vec()])],
    );
    let path = scratch.path().join("data/directory.bin");
    let mut bytes = fs::read(&path).unwrap();
    for damaged in 0..bytes.len() {
        bytes[damaged] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert!(load(&dir(scratch.path())).unwrap().directory.is_empty());
        bytes[damaged] ^= 1;
    }
    fs::write(&path, bytes.get(..20).unwrap()).unwrap();
    assert!(load(&dir(scratch.path())).unwrap().directory.is_empty());
}

#[test]
fn failing_disk_reports_records_after_recovery() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = dir(scratch.path());
    // A directory in the place of the log: it can be neither replaced nor opened.
    let obstacle = scratch.path().join("data/onion/7.tags");
    fs::create_dir(&obstacle).unwrap();
    let (report, reports) = channel();
    let store = Store::open(
        Storage::Disk(Arc::clone(&dir)),
        move |id| {
            report.send(id).unwrap();
        },
        || (),
    )
    .unwrap();
    store.put(StoreId(1), Record::OnionKey(Epoch(7), key(1)));
    store.put(StoreId(2), Record::ReplayTags(Epoch(7), b"tag".to_vec()));
    assert!(reports.recv_timeout(RETRY_INTERVAL / 4).is_err());
    fs::remove_dir(&obstacle).unwrap();
    while reports.recv().unwrap() < StoreId(2) {}
    assert_eq!(load(&dir).unwrap().onion_keys.first().unwrap().2, b"tag");
}

#[test]
fn damaged_guards_are_refused_and_kept() {
    let scratch = tempfile::tempdir().unwrap();
    // No period yet, not provisional, no guards.
    let guards = vec![0; 5];
    let restored = store_and_load(scratch.path(), vec![Record::Guards(guards.clone())]);
    assert_eq!(restored.guards, guards);
    let path = scratch.path().join("data/guards");
    let mut bytes = fs::read(&path).unwrap();
    for damaged in 0..bytes.len() {
        bytes[damaged] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let refused = load(&dir(scratch.path())).map(|_| ());
        let refusal = refused.unwrap_err().to_string();
        assert!(refusal.contains("guards is damaged"), "{refusal}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
        bytes[damaged] ^= 1;
    }
    for garbage in [0, 1, 100, 200] {
        fs::write(&path, vec![0xa5; garbage]).unwrap();
        assert!(load(&dir(scratch.path())).is_err(), "{garbage} bytes");
    }
    // Version 0.1 stored them without a digest.
    fs::write(&path, &guards).unwrap();
    assert_eq!(load(&dir(scratch.path())).unwrap().guards, guards);
}
