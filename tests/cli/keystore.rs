//! Identities under passwords: files, locked nodes, import and export of key files.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::{Running, fails, run, run_node, scratch, secret_file, succeeds, whisht};

/// Creates an identity with a password file; a weak key derivation keeps the tests fast.
fn sealed(dir: &Path, name: &str, password_file: &str) -> Value {
    let args = ["id", "new", name, "--danger-light-kdf", "--json"];
    let made = run(
        dir,
        &[&args[..], &["--password-file", password_file]].concat(),
    );
    serde_json::from_str(&succeeds(&made)).unwrap()
}

fn identities(dir: &Path) -> Vec<(String, bool)> {
    let listed = succeeds(&run(dir, &["id", "list", "--json"]));
    let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
    let entry = |view: &Value| {
        let name = view["name"].as_str().unwrap().to_owned();
        (name, view["locked"].as_bool().unwrap())
    };
    listed.iter().map(entry).collect()
}

#[test]
fn id_new_requires_password_choice() {
    let data = scratch();
    let said = fails(&run(&data.path, &["id", "new", "desk"]), 6);
    assert!(
        said.contains("--password-file") && said.contains("--no-password"),
        "{said}"
    );
    assert!(identities(&data.path).is_empty());
}

#[test]
fn new_identity_uses_geth_standard_scrypt_cost() {
    let data = scratch();
    let hedge = secret_file(&data.parent, "hedge", "hedge at nine\n");
    succeeds(&run(
        &data.path,
        &["id", "new", "desk", "--password-file", &hedge],
    ));
    let file = fs::read_to_string(data.path.join("keystore/desk.json")).unwrap();
    let file: Value = serde_json::from_str(&file).unwrap();
    assert_eq!(file["version"], 3);
    assert_eq!(file["crypto"]["kdfparams"]["n"], 262_144);
}

#[test]
fn locked_node_runs_and_refuses_identity_commands() {
    let data = scratch();
    let dir = &data.path;
    let hedge = secret_file(&data.parent, "hedge", "hedge at nine\n");
    let wrong = secret_file(&data.parent, "wrong", "hedge at ten\n");
    sealed(dir, "desk", &hedge);
    let node = Running::start(dir, &["--listen", "127.0.0.1:0", "--level", "open"]);
    assert_eq!(
        (
            node.banner["locked"].as_u64(),
            node.banner["identities"].as_u64()
        ),
        (Some(1), Some(0))
    );
    assert_eq!(identities(dir), [("desk".to_owned(), true)]);
    succeeds(&node.run(&["status"]));

    for args in [
        &["inbox"][..],
        &["send", "--allow-empty", "--to", "desk", "--sign", "desk"],
    ] {
        let said = fails(&node.run(args), 6);
        assert!(
            said.contains("locked") && said.contains("whisht unlock"),
            "{args:?}: {said}"
        );
    }
    let said = fails(&node.run(&["unlock"]), 6);
    assert!(said.contains("--password-file"), "{said}");
    let said = fails(&node.run(&["unlock", "--password-file", &wrong]), 6);
    assert!(
        said.contains("A password cannot be reset") && said.contains("tell your correspondents"),
        "{said}"
    );
    assert!(succeeds(&node.run(&["unlock", "--password-file", &hedge])).contains("unlocked desk"));
    assert_eq!(identities(dir), [("desk".to_owned(), false)]);
    assert!(succeeds(&node.run(&["inbox"])).contains("no messages"));
    assert!(succeeds(&node.run(&["unlock"])).contains("nothing is locked"));
}

#[test]
fn password_unlocks_only_its_own_identities() {
    let data = scratch();
    let dir = &data.path;
    let one = secret_file(&data.parent, "one", "one\n");
    let two = secret_file(&data.parent, "two", "two\n");
    sealed(dir, "desk", &one);
    sealed(dir, "home", &two);
    succeeds(&run(dir, &["id", "new", "open", "--no-password"]));
    let node = Running::start(dir, &["--no-listen", "--password-file", &one]);
    let locked = |name: &str| identities(dir).contains(&(name.to_owned(), true));
    assert!(!locked("desk") && locked("home") && !locked("open"));
    let said = fails(&node.run(&["unlock", "desk", "--password-file", &one]), 2);
    assert!(said.contains("no identity `desk` is locked"), "{said}");
    // New identities need a password while others are locked, and are unlocked at once.
    sealed(dir, "late", &two);
    assert!(!locked("late"));
    succeeds(&node.run(&["unlock", "home", "--password-file", &two]));
    assert!(!locked("home"));
}

#[test]
fn configured_password_file_must_unlock_every_identity() {
    let data = scratch();
    let dir = &data.path;
    let hedge = secret_file(&data.parent, "hedge", "hedge at nine\n");
    let wrong = secret_file(&data.parent, "wrong", "?\n");
    sealed(dir, "desk", &hedge);
    let start = |file: &str| run_node(dir, &["--no-listen", "--password-file", file]);
    assert!(fails(&start(&wrong), 6).contains("`desk` does not open"));
    fs::set_permissions(&hedge, Permissions::from_mode(0o644)).unwrap();
    assert!(fails(&start(&hedge), 5).contains("chmod 0600"));
    assert!(fails(&start("/nonexistent"), 2).contains("/nonexistent"));

    fs::set_permissions(&hedge, Permissions::from_mode(0o600)).unwrap();
    fs::write(
        dir.join("config.toml"),
        format!("password-file = '{hedge}'\n"),
    )
    .unwrap();
    fs::set_permissions(dir.join("config.toml"), Permissions::from_mode(0o600)).unwrap();
    let node = Running::start(dir, &["--no-listen"]);
    assert_eq!(node.banner["locked"], 0);
    drop(node);
    let node = Running::start(dir, &["--no-listen", "--locked"]);
    assert_eq!(node.banner["locked"], 1);
}

#[test]
fn systemd_credentials_skip_permission_check() {
    let data = scratch();
    let hedge = secret_file(&data.parent, "hedge", "hedge at nine\n");
    fs::set_permissions(&hedge, Permissions::from_mode(0o440)).unwrap();
    let new = |credentials: Option<&Path>| {
        let mut command = whisht(&data.path);
        command.args([
            "id",
            "new",
            "desk",
            "--danger-light-kdf",
            "--password-file",
            &hedge,
        ]);
        command.envs(credentials.map(|folder| ("CREDENTIALS_DIRECTORY", folder)));
        command.output().unwrap()
    };
    fails(&new(None), 5);
    fails(&new(Some(&data.path)), 5);
    succeeds(&new(Some(&data.parent)));
}

#[test]
fn password_is_read_from_standard_input() {
    let data = scratch();
    let mut new = whisht(&data.path)
        .args([
            "id",
            "new",
            "desk",
            "--danger-light-kdf",
            "--password-file",
            "-",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    new.stdin
        .take()
        .unwrap()
        .write_all(b"hedge at nine\n")
        .unwrap();
    assert!(new.wait().unwrap().success());
    assert_eq!(identities(&data.path), [("desk".to_owned(), true)]);
}

#[test]
fn exported_key_file_imports_in_other_directory() {
    let (home, away) = (scratch(), scratch());
    let hedge = secret_file(&home.parent, "hedge", "hedge at nine\n");
    let wrong = secret_file(&home.parent, "wrong", "?\n");
    let desk = sealed(&home.path, "desk", &hedge);
    let folder = home.parent.join("out");
    fs::create_dir(&folder).unwrap();
    let folder = folder.to_str().unwrap();
    let export = |args: &[&str]| run(&home.path, &[&["id", "export", "desk"], args].concat());
    succeeds(&export(&[folder]));
    let written = fs::read_dir(folder).unwrap().next().unwrap().unwrap();
    let path = written.path();
    let file: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let name = written.file_name().into_string().unwrap();
    let address = file["address"].as_str().unwrap();
    assert!(
        name.starts_with("UTC--20") && name.ends_with(&format!("--{address}")),
        "{name}"
    );
    assert_eq!(
        written.metadata().unwrap().permissions().mode() & 0o777,
        0o600
    );
    let path = path.to_str().unwrap();
    assert!(fails(&export(&[path]), 2).contains("stays as it is"));
    let text = succeeds(&export(&["-"]));
    assert_eq!(text, fs::read_to_string(path).unwrap());

    let import = |args: &[&str]| {
        let light = ["id", "import", path, "--danger-light-kdf", "--json"];
        run(&away.path, &[&light[..], args].concat())
    };
    let said = fails(&import(&["--password-file", &wrong]), 6);
    assert!(said.contains("the password is wrong"), "{said}");
    let imported: Value =
        serde_json::from_str(&succeeds(&import(&["--password-file", &hedge]))).unwrap();
    assert_eq!(imported["name"], "desk");
    assert_eq!(imported["public_key"], desk["public_key"]);
    assert!(fails(&import(&["--password-file", &hedge]), 2).contains("`desk` already"));
    // Import into a running node.
    let node = Running::start(&away.path, &["--no-listen", "--locked"]);
    succeeds(&import(&["--password-file", &hedge, "--name", "twin"]));
    assert_eq!(
        identities(&away.path),
        [("desk".to_owned(), true), ("twin".to_owned(), false)]
    );
    assert_eq!(
        succeeds(&node.run(&["id", "export", "twin", "-"]))
            .matches("\"twin\"")
            .count(),
        1
    );
}

#[test]
fn invalid_key_file_import_names_cause() {
    let data = scratch();
    let vectors = include_str!("../vectors/keystore_v3.json");
    let vectors: Value = serde_json::from_str(vectors).unwrap();
    let recorded = vectors["cases"][0]["keystore"].to_string();
    for (text, part) in [
        (
            recorded.replace("aes-128-ctr", "aes-256-ctr"),
            "aes-128-ctr",
        ),
        (
            recorded.replace("\"scrypt\"", "\"argon2\""),
            "key derivation",
        ),
        (
            recorded.replace("\"version\":3", "\"version\":1"),
            "version 3",
        ),
        (recorded.replace("\"n\":4096", "\"n\":4194304"), "memory"),
        (recorded.replace("\"salt\"", "\"pepper\""), "damaged"),
        ("no JSON".to_owned(), "damaged"),
    ] {
        let file = secret_file(&data.parent, "file", &text);
        let said = fails(
            &run(&data.path, &["id", "import", &file, "--no-password"]),
            2,
        );
        assert!(said.contains(part), "{part}: {said}");
    }
    let file = secret_file(&data.parent, "file", &recorded);
    let known = secret_file(&data.parent, "known", "correct horse battery staple\n");
    let args = [
        "id",
        "import",
        &file,
        "--password-file",
        &known,
        "--danger-light-kdf",
    ];
    assert!(succeeds(&run(&data.path, &args)).contains("imported key-6facbb69"));
}

#[test]
fn password_change_works_with_and_without_node() {
    let data = scratch();
    let dir = &data.path;
    let one = secret_file(&data.parent, "one", "one\n");
    let two = secret_file(&data.parent, "two", "two\n");
    sealed(dir, "desk", &one);
    let change = |old: &str, new: &[&str]| {
        let args = [
            "id",
            "passwd",
            "desk",
            "--danger-light-kdf",
            "--old-password-file",
            old,
        ];
        run(dir, &[&args[..], new].concat())
    };
    fails(&change(&two, &["--password-file", &two]), 6);
    succeeds(&change(&one, &["--password-file", &two]));
    let node = Running::start(dir, &["--no-listen", "--password-file", &two]);
    assert_eq!(node.banner["locked"], 0);
    fails(&change(&one, &["--password-file", &one]), 6);
    succeeds(&change(&two, &["--no-password"]));
    drop(node);
    // An identity without a password is unlocked without a prompt.
    let node = Running::start(dir, &["--no-listen"]);
    assert_eq!(
        (
            node.banner["locked"].as_u64(),
            node.banner["identities"].as_u64()
        ),
        (Some(0), Some(1))
    );
}

#[test]
fn killed_password_change_leaves_valid_key_file() {
    let data = scratch();
    let dir = &data.path;
    let one = secret_file(&data.parent, "one", "one\n");
    let two = secret_file(&data.parent, "two", "two\n");
    sealed(dir, "desk", &one);
    let (mut old, mut new) = (&one, &two);
    let mut changed = 0;
    for round in 0..40 {
        let args = ["id", "passwd", "desk", "--danger-light-kdf"];
        let mut change = whisht(dir)
            .args(args)
            .args(["--old-password-file", old, "--password-file", new])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(round * 4));
        change.kill().unwrap();
        change.wait().unwrap();
        let kept = fs::read_to_string(dir.join("keystore/desk.json")).unwrap();
        let read = whisht::keystore::SealedIdentity::parse(&kept).unwrap();
        let password = |file| whisht::shell::password::from_file(Path::new(file)).unwrap();
        if read.open(&password(new)).is_ok() {
            changed += 1;
            std::mem::swap(&mut old, &mut new);
        } else {
            assert!(read.open(&password(old)).is_ok(), "round {round}");
        }
    }
    // The threshold does not measure speed: some kills must come before the change and some after
    // it.
    assert!(changed < 40, "no change was cut short");
    assert_eq!(identities(dir), [("desk".to_owned(), true)]);
}

/// A file of version 0.1.
const PLAIN: &str = r#"{
  "kind": "key_pair",
  "secret": "b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291",
  "public": "04ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd31387574077f301b421bc84df7266c44e9e6d569fc56be00812904767bf5ccd1fc7f"
}"#;

#[test]
fn plaintext_keys_are_migrated_at_first_password() {
    let data = scratch();
    let dir = &data.path;
    let hedge = secret_file(&data.parent, "hedge", "hedge at nine\n");
    succeeds(&run(dir, &["id", "list"]));
    let folder = dir.join("identities");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    secret_file(&folder, "old.json", PLAIN);
    secret_file(&folder, "older.json", PLAIN);

    let node = Running::start(dir, &["--no-listen"]);
    assert_eq!(
        (
            node.banner["locked"].as_u64(),
            node.banner["identities"].as_u64()
        ),
        (Some(0), Some(2))
    );
    succeeds(&node.run(&["inbox"]));
    let said = fails(&node.run(&["id", "export", "old", "-"]), 2);
    assert!(said.contains("whisht id passwd old"), "{said}");
    drop(node);
    assert!(folder.join("old.json").exists(), "the run had no password");

    let args = [
        "--no-listen",
        "--danger-light-kdf",
        "--password-file",
        &hedge,
    ];
    drop(Running::start(dir, &args));
    assert!(!folder.exists());
    for name in ["old", "older"] {
        let kept = fs::read_to_string(dir.join(format!("keystore/{name}.json"))).unwrap();
        assert!(!kept.contains("b71c71a6"), "the key is encrypted");
    }
    let node = Running::start(dir, &["--no-listen"]);
    assert_eq!(node.banner["locked"], 2);
    let unlock = ["unlock", "--password-file", &hedge];
    assert!(succeeds(&node.run(&unlock)).contains("unlocked old, older"));
}
