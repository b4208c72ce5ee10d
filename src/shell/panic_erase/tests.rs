use std::os::unix::fs::symlink;

use super::*;

/// A directory with every file that whisht writes.
fn data_dir() -> tempfile::TempDir {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    for folder in [
        ONION,
        KEYSTORE,
        IDENTITIES,
        DESCRIPTOR,
        "arti/state",
        "files",
    ] {
        fs::create_dir_all(dir.join(folder)).unwrap();
    }
    for name in KEYS.iter().chain(&REST[..15]).chain(&["config.toml", LOCK]) {
        fs::write(dir.join(name), SECRET).unwrap();
    }
    for name in [
        "onion/7.key",
        "onion/7.tags",
        "keystore/desk.json",
        "identities/old.json",
    ] {
        fs::write(dir.join(name), SECRET).unwrap();
    }
    for name in ["arti/state/x", "files/0", "descriptor/7"] {
        fs::write(dir.join(name), "x").unwrap();
    }
    fs::write(dir.join(PROFILE), "local test\n").unwrap();
    parent
}

fn erase(dir: &Path) -> Remains {
    let Some(mut erase) = PanicErase::of(dir).unwrap() else {
        return Remains::default();
    };
    erase.erase_keys();
    drop(erase.wait_for_node());
    erase.erase_rest()
}

/// All files below a folder that contain the secret.
fn secrets(folder: &Path) -> Vec<PathBuf> {
    let Ok(names) = names(folder) else {
        return Vec::new();
    };
    let paths = names.iter().map(|name| folder.join(name));
    paths
        .flat_map(|path| match fs::read(&path) {
            Ok(bytes) if bytes == SECRET => vec![path],
            Ok(_) => vec![],
            Err(_) => secrets(&path),
        })
        .collect()
}

const SECRET: &[u8] = b"a secret of 24 bytes....";

#[test]
fn erasure_leaves_nothing_and_can_be_repeated() {
    let parent = data_dir();
    let dir = parent.path().join("data");
    assert_eq!(erase(&dir), Remains::default());
    assert!(!dir.exists());
    assert_eq!(erase(&dir), Remains::default());
}

#[test]
fn keys_are_gone_before_anything_else() {
    let parent = data_dir();
    let dir = parent.path().join("data");
    let keys = |path: &PathBuf| {
        let inner = path.strip_prefix(&dir).unwrap();
        KEYS.iter().any(|key| Path::new(key) == inner) || inner.components().count() > 1
    };
    assert_eq!(secrets(&dir).iter().filter(|path| keys(path)).count(), 13);
    let mut erase = PanicErase::of(&dir).unwrap().unwrap();
    erase.erase_keys();
    let left = secrets(&dir);
    assert!(!left.iter().any(keys), "{left:?}");
    assert!(left.contains(&dir.join("state.db")));
}

/// The erasure deletes in a fixed order. A directory from which the first files of that order are missing
/// is what a kill leaves.
#[test]
fn erasure_resumes_after_a_kill_at_each_step() {
    let inner = |path: &str| path.to_owned();
    let of_keys = [
        "onion/7.key",
        "onion/7.tags",
        "keystore/desk.json",
        "identities/old.json",
    ];
    let order: Vec<String> = KEYS
        .into_iter()
        .chain(of_keys)
        .chain(REST)
        .chain(LAST)
        .map(inner)
        .collect();
    for killed_after in 0..=order.len() {
        let parent = data_dir();
        let dir = parent.path().join("data");
        for name in order.iter().take(killed_after) {
            let path = dir.join(name);
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else {
                // Not every name is in the directory.
                let _missing = fs::remove_file(path);
            }
        }
        assert_eq!(erase(&dir), Remains::default(), "{killed_after}");
        assert!(!dir.exists(), "{killed_after}");
    }
}

#[test]
fn directory_of_another_program_is_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["nodekey", "port", "files", "lock"] {
        fs::write(dir.path().join(name), SECRET).unwrap();
    }
    let refused = PanicErase::of(dir.path());
    assert!(matches!(refused, Err(PanicEraseError::NotOurs { .. })));
    assert_eq!(secrets(dir.path()).len(), 4);
}

#[test]
fn foreign_file_stays_and_is_named() {
    let parent = data_dir();
    let dir = parent.path().join("data");
    fs::write(dir.join("notes.txt"), "x").unwrap();
    let remains = erase(&dir);
    assert_eq!(remains.foreign, [dir.join("notes.txt")]);
    assert_eq!(names(&dir).unwrap(), [Path::new("notes.txt")]);
}

#[test]
fn links_are_removed_and_their_targets_stay() {
    let parent = data_dir();
    let dir = parent.path().join("data");
    let outside = parent.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), SECRET).unwrap();
    fs::remove_file(dir.join("nodekey")).unwrap();
    fs::remove_dir_all(dir.join("arti")).unwrap();
    fs::remove_dir_all(dir.join(IDENTITIES)).unwrap();
    symlink(outside.join("file"), dir.join("nodekey")).unwrap();
    symlink(&outside, dir.join("arti")).unwrap();
    symlink(&outside, dir.join(IDENTITIES)).unwrap();
    assert_eq!(erase(&dir), Remains::default());
    assert!(!dir.exists());
    assert_eq!(secrets(&outside), [outside.join("file")]);
}

#[test]
fn erasure_goes_on_while_another_process_holds_the_lock() {
    let parent = data_dir();
    let dir = parent.path().join("data");
    let held = File::open(dir.join(LOCK)).unwrap();
    held.try_lock().unwrap();
    let mut erase = PanicErase::of(&dir).unwrap().unwrap();
    erase.erase_keys();
    assert!(erase.wait_for_node().is_none());
    assert_eq!(erase.erase_rest(), Remains::default());
    assert!(!dir.exists());
}
