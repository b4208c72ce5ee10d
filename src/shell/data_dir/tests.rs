use std::os::unix::fs::symlink;

use std::os::unix::fs::PermissionsExt;

use super::*;

fn scratch() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    dir
}

fn open(path: &Path) -> Result<DataDir, DirError> {
    DataDir::open(path, Profile::Main, "test")
}

#[test]
fn keys_are_created_once_and_reloaded() {
    let scratch = scratch();
    let path = scratch.path().join("deep/er");
    let dir = open(&path).unwrap();
    let (key, seed) = (dir.node_key().unwrap(), dir.guard_seed().unwrap());
    assert_ne!(key.expose().get(..16), Some(&seed.expose()[..]));
    dir.remember_port(20820).unwrap();
    drop(dir);

    let dir = open(&path).unwrap();
    assert_eq!(dir.node_key().unwrap().expose(), key.expose());
    assert_eq!(dir.guard_seed().unwrap().expose(), seed.expose());
    assert_eq!(dir.port(), Some(20820));
    let written = fs::read_to_string(path.join("nodekey")).unwrap();
    assert_eq!(written, hex::encode(key.expose()));
}

#[test]
fn created_files_are_private() {
    let scratch = scratch();
    let path = scratch.path().join("data");
    let dir = open(&path).unwrap();
    dir.node_key().unwrap();
    for (name, mode) in [
        ("", 0o700),
        ("onion", 0o700),
        ("nodekey", 0o600),
        ("lock", 0o600),
    ] {
        let metadata = fs::metadata(path.join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{name}");
    }
}

#[test]
fn locked_directory_error_names_process() {
    let scratch = scratch();
    let _held = open(scratch.path()).unwrap();
    let refusal = open(scratch.path()).unwrap_err();
    assert!(
        matches!(refusal, DirError::Locked { holder: Some(id), .. } if id == std::process::id())
    );
}

#[test]
fn directory_open_to_others_is_refused_with_remedy() {
    let scratch = scratch();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o750)).unwrap();
    let refusal = open(scratch.path()).unwrap_err().to_string();
    assert!(
        refusal.contains("mode 0750") && refusal.contains("chmod 0700"),
        "{refusal}"
    );
}

#[test]
fn key_open_to_others_is_refused_in_every_place() {
    let scratch = scratch();
    drop(open(scratch.path()).unwrap());
    let key = scratch.path().join("onion/7.key");
    fs::write(&key, "x").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let refusal = open(scratch.path()).unwrap_err().to_string();
    assert!(
        refusal.contains("7.key") && refusal.contains("chmod 0600"),
        "{refusal}"
    );
}

#[test]
fn symbolic_link_is_refused() {
    let scratch = scratch();
    drop(open(scratch.path()).unwrap());
    symlink("/etc/hostname", scratch.path().join("guard-seed")).unwrap();
    assert!(matches!(open(scratch.path()), Err(DirError::Link { .. })));
}

#[test]
fn data_directory_that_is_a_link_is_used_if_its_target_is_private() {
    // As DynamicUser= and StateDirectory= of systemd lay it out.
    let scratch = scratch();
    let target = scratch.path().join("private/whisht");
    let link = scratch.path().join("whisht");
    fs::create_dir_all(&target).unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o700)).unwrap();
    symlink("private/whisht", &link).unwrap();
    let dir = open(&link).unwrap();
    dir.node_key().unwrap();
    drop(dir);
    assert!(target.join("nodekey").exists());

    fs::set_permissions(&target, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(open(&link), Err(DirError::TooOpen { .. })));
}

#[test]
fn damaged_text_file_is_called_damaged() {
    let scratch = scratch();
    let dir = open(scratch.path()).unwrap();
    let garbled = [0xff_u8; 200];
    for name in ["nodekey", "guard-seed"] {
        files::replace(&scratch.path().join(name), &garbled).unwrap();
    }
    let refusals = [dir.node_key().map(drop), dir.guard_seed().map(drop)];
    for refusal in refusals {
        assert!(
            matches!(refusal, Err(DirError::Damaged { .. })),
            "{refusal:?}"
        );
    }
    drop(dir);
    for content in [&b""[..], &garbled, b"main", b"other test\n"] {
        files::replace(&scratch.path().join("profile"), content).unwrap();
        let refusal = open(scratch.path()).unwrap_err().to_string();
        assert!(refusal.contains("profile is damaged"), "{refusal}");
    }
}

#[test]
fn damaged_token_is_made_anew() {
    let scratch = scratch();
    let dir = open(scratch.path()).unwrap();
    let path = scratch.path().join("rpc-token");
    for content in [&b""[..], &[0xff; 200], b"12ab"] {
        files::replace(&path, content).unwrap();
        let token = dir.rpc_token().unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            hex::encode(token.expose())
        );
        assert_eq!(dir.rpc_token().unwrap().expose(), token.expose());
    }
}

#[test]
fn directory_serves_one_network() {
    let scratch = scratch();
    drop(DataDir::open(scratch.path(), Profile::Local, "demo").unwrap());
    let refusal = open(scratch.path()).unwrap_err().to_string();
    assert!(
        refusal.contains("`local demo`") && refusal.contains("`main test`"),
        "{refusal}"
    );
    assert!(DataDir::open(scratch.path(), Profile::Local, "other").is_err());
    assert!(DataDir::open(scratch.path(), Profile::Local, "demo").is_ok());
}

#[test]
fn damaged_key_is_not_replaced() {
    let scratch = scratch();
    let dir = open(scratch.path()).unwrap();
    files::replace(&scratch.path().join("nodekey"), b"not a key").unwrap();
    assert!(matches!(dir.node_key(), Err(DirError::Damaged { .. })));
}

#[test]
fn erase_removes_file_and_accepts_missing_file() {
    let scratch = scratch();
    let path = scratch.path().join("secret");
    files::replace(&path, b"secret").unwrap();
    files::erase(&path).unwrap();
    assert!(!path.exists());
    files::erase(&path).unwrap();
}

#[test]
fn directory_of_another_user_is_refused() {
    let scratch = scratch();
    let path = scratch.path().join("data");
    drop(open(&path).unwrap());
    if std::os::unix::fs::chown(&path, Some(65_534), None).is_err() {
        // Only root can give a directory away, and only root could use one that is not its own.
        return;
    }
    let refused = open(&path).unwrap_err();
    assert!(
        matches!(refused, DirError::OtherOwner { owner: 65_534, .. }),
        "{refused}"
    );
}
