use std::fs;
use std::path::Path;
use std::sync::Arc;

use circuits::ids::Profile;

use super::*;
use crate::keystore::{Cost, Password};

const COST: Cost = Cost::DangerLight;

fn dir(path: &Path) -> DataDir {
    DataDir::open(path, Profile::Main, "test").unwrap()
}

fn password(text: &str) -> Password {
    Password::new(text.to_owned().into()).unwrap()
}

fn put(number: u32, content: &[u8]) -> StateChange {
    let id = number.to_be_bytes();
    StateChange::put(StateTable::Message, id, content.to_vec().into())
}

fn delete(number: u32) -> StateChange {
    StateChange::delete(StateTable::Message, number.to_be_bytes())
}

fn commit(dir: &DataDir, changes: &[StateChange]) {
    dir.state().commit(changes.iter()).unwrap();
}

/// The numbers and contents that a start without a password finds, and whether they are an old copy.
fn reopen(path: &Path) -> (Vec<(u32, Vec<u8>)>, bool) {
    let dir = dir(path);
    assert!(open_unprotected(&dir, true).unwrap());
    let mut opened = dir.state().take_opened().unwrap().unwrap();
    let rows = opened.rows.take(StateTable::Message);
    assert!(
        opened.rows.is_empty(),
        "rows of the store itself are its own"
    );
    let rows = rows.into_iter().map(|row| {
        let number = u32::from_be_bytes(row.id.as_bytes().try_into().unwrap());
        (number, row.value.to_vec())
    });
    (rows.collect(), opened.is_stale)
}

/// Copies the files of a directory as a kill leaves them, or as a backup has them.
fn copy(from: &Path, to: &Path, is_wanted: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_file() && name != "lock" && is_wanted(name) {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

#[test]
fn rows_are_restored_as_they_were_committed() {
    let scratch = tempfile::tempdir().unwrap();
    let path = &scratch.path().join("data");
    assert_eq!(reopen(path), (Vec::new(), false));
    let own = dir(path);
    assert!(open_unprotected(&own, false).unwrap());
    commit(&own, &[put(1, b"one"), put(2, b"two"), put(3, b"three")]);
    commit(&own, &[put(2, b"zwei"), delete(3), delete(9)]);
    drop(own);
    let rows = vec![(1, b"one".to_vec()), (2, b"zwei".to_vec())];
    assert_eq!(reopen(path), (rows, false));
}

#[test]
fn kill_after_any_commit_loses_nothing_and_keeps_no_half_of_a_record() {
    let scratch = tempfile::tempdir().unwrap();
    let path = &scratch.path().join("data");
    let own = dir(path);
    assert!(open_unprotected(&own, true).unwrap());
    for number in 0..20 {
        // A ratchet that moves on, a message that arrives, an older one that goes.
        let ratchet = StateChange::put(
            StateTable::Conversation,
            *b"ratchet",
            vec![u8::try_from(number).unwrap(); 3000].into(),
        );
        let changes = [
            ratchet,
            put(number, b"arrived"),
            delete(number.wrapping_sub(5)),
        ];
        commit(&own, &changes);
        if number % 7 == 3 {
            own.state().erase_log().unwrap();
        }
        let killed = scratch.path().join(format!("killed{number}"));
        drop(dir(&killed));
        copy(path, &killed, |_| true);
        let killed = dir(&killed);
        assert!(open_unprotected(&killed, false).unwrap());
        let mut opened = killed.state().take_opened().unwrap().unwrap();
        assert!(!opened.is_stale);
        let rows = opened.rows.take(StateTable::Message);
        assert_eq!(rows.len(), usize::try_from(number.min(4) + 1).unwrap());
        let ratchets = opened.rows.take(StateTable::Conversation);
        let [ratchet] = ratchets.as_slice() else {
            panic!("{} conversations", ratchets.len());
        };
        assert_eq!(u32::from(ratchet.value[0]), number);
    }
}

#[test]
fn failed_record_is_repeated_without_a_trace() {
    let scratch = tempfile::tempdir().unwrap();
    let path = &scratch.path().join("data");
    let own = dir(path);
    assert!(open_unprotected(&own, true).unwrap());
    let changes = [put(1, b"one"), delete(2), put(3, b"three")];
    for _ in 0..3 {
        commit(&own, &changes);
    }
    drop(own);
    assert_eq!(reopen(path).0.len(), 2);
}

#[test]
fn database_put_back_from_a_backup_is_an_old_copy_until_it_is_handled() {
    let scratch = tempfile::tempdir().unwrap();
    let path = &scratch.path().join("data");
    let backup = scratch.path().join("backup");
    fs::create_dir(&backup).unwrap();
    let own = dir(path);
    assert!(open_unprotected(&own, true).unwrap());
    commit(&own, &[put(1, b"ratchet of Monday")]);
    drop(own);
    copy(path, &backup, |name| name != STATE_GUARD);
    // Life goes on.
    assert!(!reopen(path).1);
    copy(&backup, path, |_| true);
    assert_eq!(
        reopen(path),
        (vec![(1, b"ratchet of Monday".to_vec())], true)
    );
    // Not only at the first start: a crash may come before the conversations are marked.
    assert!(reopen(path).1);
    let own = dir(path);
    assert!(open_unprotected(&own, false).unwrap());
    commit(&own, &[StateChange::stale_is_handled()]);
    drop(own);
    assert!(!reopen(path).1);
}

#[test]
fn state_without_its_guard_file_is_an_old_copy_unless_it_is_empty() {
    let scratch = tempfile::tempdir().unwrap();
    let path = &scratch.path().join("data");
    assert_eq!(reopen(path), (Vec::new(), false));
    fs::remove_file(path.join(STATE_GUARD)).unwrap();
    assert_eq!(reopen(path), (Vec::new(), false));
    let own = dir(path);
    assert!(open_unprotected(&own, false).unwrap());
    commit(&own, &[put(1, b"one")]);
    drop(own);
    fs::remove_file(path.join(STATE_GUARD)).unwrap();
    assert!(reopen(path).1);
}

#[test]
fn guard_advances_while_the_node_runs() {
    let scratch = tempfile::tempdir().unwrap();
    let path = &scratch.path().join("data");
    let own = dir(path);
    assert!(open_unprotected(&own, true).unwrap());
    commit(&own, &[put(1, b"one")]);
    let before = fs::read(path.join(STATE_GUARD)).unwrap();
    for _ in 1..COMMITS_PER_ADVANCE {
        assert_eq!(fs::read(path.join(STATE_GUARD)).unwrap(), before);
        commit(&own, &[]);
    }
    assert_ne!(fs::read(path.join(STATE_GUARD)).unwrap(), before);
}

#[test]
fn thief_of_the_files_finds_neither_contents_nor_ids() {
    let scratch = tempfile::tempdir().unwrap();
    let path = &scratch.path().join("data");
    let own = dir(path);
    unlock(&own, &password("correct horse"), COST).unwrap();
    let secret = b"the source is in the archive";
    let id = b"conversation with desk".to_vec();
    commit(
        &own,
        &[StateChange::put(
            StateTable::Conversation,
            id.clone(),
            secret.to_vec().into(),
        )],
    );
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_file() {
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        for needle in [&secret[..], &id] {
            let found = bytes.windows(needle.len()).any(|window| window == needle);
            assert!(!found, "{}", path.display());
        }
    }
}

#[test]
fn erased_row_is_in_no_page_of_the_files() {
    let scratch = tempfile::tempdir().unwrap();
    let path = &scratch.path().join("data");
    let own = dir(path);
    assert!(open_unprotected(&own, true).unwrap());
    commit(&own, &[put(1, &[7; 9000]), put(2, b"stays")]);
    own.state().erase_log().unwrap();
    let database = |own: &DataDir| fs::read(own.path().join(STATE_DB)).unwrap();
    // The sealed content of the row: any part of it.
    let db = rusqlite::Connection::open(path.join(STATE_DB)).unwrap();
    let query = "SELECT sealed FROM message ORDER BY length(sealed) DESC LIMIT 1";
    let sealed: Vec<u8> = db.query_row(query, [], |row| row.get(0)).unwrap();
    drop(db);
    assert!(sealed.len() > 9000);
    let part = &sealed[5000..5032];
    let has = |bytes: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    assert!(has(&database(&own)));
    commit(&own, &[delete(1)]);
    own.state().erase_log().unwrap();
    assert!(!has(&database(&own)));
    let log = fs::read(path.join("state.db-wal")).unwrap_or_default();
    assert!(log.is_empty(), "{} bytes", log.len());
}

#[test]
fn state_with_a_password_stays_locked_until_it_comes() {
    let scratch = tempfile::tempdir().unwrap();
    let path = &scratch.path().join("data");
    let own = dir(path);
    unlock(&own, &password("right"), COST).unwrap();
    commit(&own, &[put(1, b"one")]);
    drop(own);
    let own = dir(path);
    assert!(needs_password(&own).unwrap());
    assert!(!open_unprotected(&own, true).unwrap());
    assert!(own.state().take_opened().unwrap().is_none());
    assert!(matches!(
        own.state().commit([put(2, b"two")].iter()),
        Err(StateError::Locked)
    ));
    assert!(
        unlock(&own, &password("wrong"), COST)
            .unwrap_err()
            .is_wrong_password()
    );
    unlock(&own, &password("right"), COST).unwrap();
    let mut opened = own.state().take_opened().unwrap().unwrap();
    assert_eq!(opened.rows.take(StateTable::Message).len(), 1);
}

#[test]
fn first_password_protects_a_state_that_had_none() {
    let scratch = tempfile::tempdir().unwrap();
    let path = &scratch.path().join("data");
    let own = dir(path);
    assert!(open_unprotected(&own, true).unwrap());
    commit(&own, &[put(1, b"one")]);
    protect(&own, &password("first"), COST).unwrap();
    // Another identity's password does not take it over.
    protect(&own, &password("second"), COST).unwrap();
    drop(own);
    let own = dir(path);
    assert!(!open_unprotected(&own, true).unwrap());
    assert!(unlock(&own, &password("second"), COST).is_err());
    unlock(&own, &password("first"), COST).unwrap();
    let mut opened = own.state().take_opened().unwrap().unwrap();
    assert_eq!(opened.rows.take(StateTable::Message).len(), 1);
}

#[test]
fn changed_password_unlocks_the_state_and_the_old_one_no_longer() {
    let scratch = tempfile::tempdir().unwrap();
    let path = &scratch.path().join("data");
    let (old, new) = (password("old"), password("new"));
    let own = dir(path);
    unlock(&own, &old, COST).unwrap();
    // The password of another identity, or none, changes nothing.
    follow_password(&own, Some(&password("other")), &new, COST).unwrap();
    follow_password(&own, Some(&old), &Password::none(), COST).unwrap();
    drop(own);
    unlock(&dir(path), &old, COST).unwrap();
    follow_password(&dir(path), Some(&old), &new, COST).unwrap();
    assert!(unlock(&dir(path), &old, COST).is_err());
    unlock(&dir(path), &new, COST).unwrap();
}

#[test]
fn database_without_its_key_is_refused_and_kept() {
    let scratch = tempfile::tempdir().unwrap();
    let path = &scratch.path().join("data");
    assert_eq!(reopen(path), (Vec::new(), false));
    fs::remove_file(path.join("state.key")).unwrap();
    let before = fs::read(path.join(STATE_DB)).unwrap();
    let refused = open_unprotected(&dir(path), true).unwrap_err().to_string();
    assert!(refused.contains("state.key of one backup"), "{refused}");
    assert_eq!(fs::read(path.join(STATE_DB)).unwrap(), before);
    // A key of another state does not fit.
    let other = scratch.path().join("other");
    assert_eq!(reopen(&other), (Vec::new(), false));
    fs::copy(other.join("state.key"), path.join("state.key")).unwrap();
    let refused = open_unprotected(&dir(path), true).unwrap_err();
    assert!(matches!(refused, StateError::Damaged { .. }), "{refused}");
}

#[test]
fn second_node_of_one_directory_gets_all_rows_again() {
    let scratch = tempfile::tempdir().unwrap();
    let own = Arc::new(dir(&scratch.path().join("data")));
    assert!(open_unprotected(&own, true).unwrap());
    assert!(own.state().take_opened().unwrap().is_some());
    commit(&own, &[put(1, b"one")]);
    let mut opened = own.state().take_opened().unwrap().unwrap();
    assert_eq!(opened.rows.take(StateTable::Message).len(), 1);
    assert!(!opened.is_stale);
}
