use std::os::unix::fs::PermissionsExt;

use circuits::ids::Profile;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::envelope::Topic;

/// As version 0.1 wrote it.
const PLAIN: &str = r#"{
  "kind": "key_pair",
  "secret": "b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291",
  "public": "04ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd31387574077f301b421bc84df7266c44e9e6d569fc56be00812904767bf5ccd1fc7f"
}"#;

struct TestDataDir {
    _dir: tempfile::TempDir,
    path: PathBuf,
    dir: DataDir,
}

fn scratch() -> TestDataDir {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let data = DataDir::open(&path, Profile::Main, "test").unwrap();
    TestDataDir {
        _dir: dir,
        path,
        dir: data,
    }
}

/// With a file of version 0.1 in it.
fn upgraded(name: &str) -> TestDataDir {
    let scratch = scratch();
    let folder = scratch.path.join(IDENTITIES);
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    let path = plain_path(&scratch.dir, &named(name));
    fs::write(&path, PLAIN).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    scratch
}

fn named(name: &str) -> IdentityName {
    name.parse().unwrap()
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([1; 32])
}

fn password(text: &str) -> Password {
    Password::new(Zeroizing::new(text.to_owned())).unwrap()
}

const fn under(password: &Password) -> SealParams<'_> {
    SealParams {
        password,
        cost: Cost::DangerLight,
    }
}

fn names(dir: &DataDir) -> Vec<String> {
    let kept = list(dir).unwrap().identities;
    kept.iter().map(|(name, _)| name.to_string()).collect()
}

/// Why the only skipped file is not an identity.
fn skipped(dir: &DataDir) -> String {
    let skipped = list(dir).unwrap().skipped;
    assert_eq!(skipped.len(), 1);
    skipped[0].to_string()
}

/// The public part of an identity, without unsealing its key.
fn found(dir: &DataDir, name: &str) -> PublicIdentity {
    find(dir, &named(name)).unwrap().public_identity().unwrap()
}

#[test]
fn identity_loads_by_name_with_its_password_only() {
    let scratch = scratch();
    let (dir, hedge) = (&scratch.dir, password("hedge"));
    let zoe = create(
        dir,
        &named("zoe"),
        NewIdentity::KeyPair,
        under(&hedge),
        &mut rng(),
    )
    .unwrap();
    let group = NewIdentity::Shared(Topic([7; 4]));
    create(dir, &named("group"), group, under(&hedge), &mut rng()).unwrap();
    assert_eq!(names(dir), ["group", "zoe"]);
    assert_eq!(found(dir, "zoe"), zoe.public_identity());
    assert_eq!(found(dir, "group"), PublicIdentity::Shared(Topic([7; 4])));

    let sealed = export(dir, &named("zoe")).unwrap();
    let opened = open(&named("zoe"), &sealed, Some(&hedge)).unwrap();
    assert_eq!(opened.public_identity(), zoe.public_identity());
    let none = open(&named("zoe"), &sealed, None).map(|_| ()).unwrap_err();
    assert!(matches!(none, IdentityError::NeedsPassword));
    let wrong = open(&named("zoe"), &sealed, Some(&password("hegde"))).map(|_| ());
    let wrong = wrong.unwrap_err();
    assert!(wrong.is_locked());
    assert!(
        wrong.to_string().contains("A password cannot be reset"),
        "{wrong}"
    );
}

#[test]
fn identity_files_are_private() {
    let scratch = scratch();
    create(
        &scratch.dir,
        &named("me"),
        NewIdentity::KeyPair,
        under(&password("x")),
        &mut rng(),
    )
    .unwrap();
    drop(scratch.dir);
    assert!(DataDir::open(&scratch.path, Profile::Main, "test").is_ok());
    let file = scratch.path.join("keystore/me.json");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let refusal = DataDir::open(&scratch.path, Profile::Main, "test").map(|_| ());
    assert!(matches!(refusal, Err(DirError::TooOpen { .. })));
}

#[test]
fn existing_key_is_not_overwritten() {
    let scratch = upgraded("old");
    let (dir, hedge) = (&scratch.dir, password("hedge"));
    create(
        dir,
        &named("me"),
        NewIdentity::KeyPair,
        under(&hedge),
        &mut rng(),
    )
    .unwrap();
    let file = export(dir, &named("me")).unwrap().to_json();
    for name in ["me", "old"] {
        let again = create(
            dir,
            &named(name),
            NewIdentity::KeyPair,
            under(&hedge),
            &mut rng(),
        );
        assert!(matches!(again, Err(IdentityError::Taken(_))), "{name}");
        let again = import(dir, &file, Some(named(name)), under(&hedge), &mut rng());
        assert!(matches!(again, Err(IdentityError::Taken(_))), "{name}");
    }
    assert_eq!(export(dir, &named("me")).unwrap().to_json(), file);
}

#[test]
fn unfinished_files_are_ignored() {
    let scratch = scratch();
    fs::write(scratch.path.join("keystore/me.new"), "{\"crypto\":").unwrap();
    assert!(names(&scratch.dir).is_empty());
    create(
        &scratch.dir,
        &named("me"),
        NewIdentity::KeyPair,
        under(&password("x")),
        &mut rng(),
    )
    .unwrap();
    assert_eq!(names(&scratch.dir), ["me"]);
    assert!(!scratch.path.join("keystore/me.new").exists());
}

#[test]
fn damaged_or_foreign_file_is_named_with_remedy() {
    let scratch = scratch();
    let path = scratch.path.join("keystore/me.json");
    fs::write(&path, "{}").unwrap();
    let refusal = skipped(&scratch.dir);
    assert!(
        refusal.contains("me.json") && refusal.contains("backup"),
        "{refusal}"
    );
    fs::remove_file(&path).unwrap();

    let hedge = password("x");
    create(
        &scratch.dir,
        &named("me"),
        NewIdentity::KeyPair,
        under(&hedge),
        &mut rng(),
    )
    .unwrap();
    fs::rename(&path, scratch.path.join("keystore/you.json")).unwrap();
    let refusal = skipped(&scratch.dir);
    assert!(
        refusal.contains("you.json") && refusal.contains("whisht id import"),
        "{refusal}"
    );
}

#[test]
fn exported_file_imports_with_its_name() {
    let (home, away) = (scratch(), scratch());
    let hedge = password("hedge");
    let us = NewIdentity::Shared(Topic([1, 2, 3, 4]));
    create(&home.dir, &named("us"), us, under(&hedge), &mut rng()).unwrap();
    let file = export(&home.dir, &named("us")).unwrap().to_json();

    let refusal = import(&away.dir, &file, None, under(&password("?")), &mut rng());
    assert!(refusal.map(|_| ()).unwrap_err().is_locked());
    assert!(names(&away.dir).is_empty());
    let (name, _) = import(&away.dir, &file, None, under(&hedge), &mut rng()).unwrap();
    assert_eq!(name, named("us"));
    assert_eq!(found(&away.dir, "us"), found(&home.dir, "us"));
    import(
        &away.dir,
        &file,
        Some(named("them")),
        under(&hedge),
        &mut rng(),
    )
    .unwrap();
    assert_eq!(names(&away.dir), ["them", "us"]);
}

#[test]
fn geth_file_is_named_by_address() {
    let vectors = include_str!("../../../tests/vectors/keystore_v3.json");
    let vectors: serde_json::Value = serde_json::from_str(vectors).unwrap();
    let case = &vectors["cases"][0];
    let scratch = scratch();
    let known = password(case["password"].as_str().unwrap());
    let file = case["keystore"].to_string();
    let (name, identity) = import(&scratch.dir, &file, None, under(&known), &mut rng()).unwrap();
    assert_eq!(name, named("key-6facbb69"));
    let Identity::KeyPair(secret) = identity else {
        panic!("a key pair")
    };
    assert_eq!(
        hex::encode(secret.expose()),
        case["private_key"].as_str().unwrap()
    );
    // Its own file is another one: named, and sealed anew.
    let kept = export(&scratch.dir, &name).unwrap();
    assert_eq!(kept.name(), Some(&name));
    assert!(open(&name, &kept, Some(&known)).is_ok());
}

#[test]
fn changed_password_replaces_old_one() {
    let scratch = scratch();
    let (dir, me, one, two) = (&scratch.dir, named("me"), password("one"), password("two"));
    create(dir, &me, NewIdentity::KeyPair, under(&one), &mut rng()).unwrap();
    let before = found(dir, "me");
    let refusal = change_password(dir, &me, Some(&two), under(&two), &mut rng());
    assert!(refusal.unwrap_err().is_locked());
    change_password(dir, &me, Some(&one), under(&two), &mut rng()).unwrap();
    let sealed = export(dir, &me).unwrap();
    assert!(open(&me, &sealed, Some(&one)).is_err());
    assert_eq!(
        open(&me, &sealed, Some(&two)).unwrap().public_identity(),
        before
    );

    change_password(dir, &me, Some(&two), under(&Password::none()), &mut rng()).unwrap();
    let sealed = export(dir, &me).unwrap();
    assert!(!sealed.is_protected() && open(&me, &sealed, None).is_ok());
    let missing = change_password(dir, &named("you"), None, under(&one), &mut rng());
    assert!(matches!(missing, Err(IdentityError::Unknown(_))));
}

#[test]
fn unencrypted_key_is_sealed_and_erased() {
    let scratch = upgraded("old");
    let (dir, hedge) = (&scratch.dir, password("hedge"));
    let before = found(dir, "old");
    assert!(matches!(
        export(dir, &named("old")),
        Err(IdentityError::NotSealed(_))
    ));
    change_password(dir, &named("old"), None, under(&hedge), &mut rng()).unwrap();
    assert!(!scratch.path.join(IDENTITIES).exists());
    let sealed = export(dir, &named("old")).unwrap();
    assert_eq!(
        open(&named("old"), &sealed, Some(&hedge))
            .unwrap()
            .public_identity(),
        before
    );
}

#[test]
fn interrupted_sealing_loses_no_key() {
    let (one, two) = (password("one"), password("two"));
    // After the sealed file was written, and before the one in the clear was erased.
    let scratch = upgraded("old");
    let (dir, old) = (&scratch.dir, named("old"));
    let before = found(dir, "old");
    change_password(dir, &old, None, under(&one), &mut rng()).unwrap();
    let folder = scratch.path.join(IDENTITIES);
    fs::create_dir(&folder).unwrap();
    fs::write(plain_path(dir, &old), PLAIN).unwrap();
    let StoredIdentity::Plain(identity) = find(dir, &old).unwrap() else {
        panic!("the one in the clear counts")
    };
    assert_eq!(names(dir), ["old"]);
    // The user types another password this time; the new one is used.
    seal_plain(dir, &old, &identity, under(&two), &mut rng()).unwrap();
    let sealed = export(dir, &old).unwrap();
    assert_eq!(
        open(&old, &sealed, Some(&two)).unwrap().public_identity(),
        before
    );

    // In the middle of writing the sealed file.
    let scratch = upgraded("old");
    fs::write(scratch.path.join("keystore/old.new"), "{").unwrap();
    assert!(matches!(
        find(&scratch.dir, &old),
        Ok(StoredIdentity::Plain(_))
    ));
}

#[test]
fn two_identities_of_one_name_are_refused() {
    let scratch = upgraded("old");
    let hedge = password("x");
    create(
        &scratch.dir,
        &named("me"),
        NewIdentity::KeyPair,
        under(&hedge),
        &mut rng(),
    )
    .unwrap();
    fs::rename(
        plain_path(&scratch.dir, &named("old")),
        plain_path(&scratch.dir, &named("me")),
    )
    .unwrap();
    let refusal = skipped(&scratch.dir);
    assert!(
        refusal.contains("another identity of that name"),
        "{refusal}"
    );
}

#[test]
fn file_that_is_no_identity_stops_no_other() {
    let scratch = scratch();
    let keystore = scratch.path.join("keystore");
    let hedge = password("x");
    for name in ["one", "two"] {
        let kind = NewIdentity::KeyPair;
        create(&scratch.dir, &named(name), kind, under(&hedge), &mut rng()).unwrap();
    }
    let good = fs::read(keystore.join("one.json")).unwrap();
    let odd: [(&str, &[u8]); 8] = [
        (".DS_Store", b""),
        ("README.txt", b"keys"),
        ("one.json~", &good),
        ("one.json.bak", &good),
        ("three.json", b""),
        ("four.json", &[0xff; 200]),
        ("five.json", &good),
        ("UTC--2018-01-01T00-00-00.0Z--00", &good),
    ];
    for (name, content) in odd {
        fs::write(keystore.join(name), content).unwrap();
    }
    fs::create_dir(keystore.join("sub.json")).unwrap();
    assert_eq!(names(&scratch.dir), ["one", "two"]);
    let skipped = list(&scratch.dir).unwrap().skipped;
    assert_eq!(skipped.len(), odd.len() + 1);
    for cause in &skipped {
        assert!(cause.path().unwrap().starts_with(&keystore), "{cause}");
        assert!(!cause.to_string().contains("UTF-8"), "{cause}");
    }
    // The name of a damaged file is not free, and the error says why.
    let damaged = find(&scratch.dir, &named("three")).map(|_| ()).unwrap_err();
    assert!(damaged.to_string().contains("three.json"), "{damaged}");
    let taken = create(
        &scratch.dir,
        &named("three"),
        NewIdentity::KeyPair,
        under(&hedge),
        &mut rng(),
    );
    assert!(matches!(taken, Err(IdentityError::Taken(_))));
    let set = crate::shell::identity_set::IdentitySet::read(&crate::shell::store::Storage::Disk(
        std::sync::Arc::new(scratch.dir),
    ));
    assert_eq!(set.unwrap().locked().len(), 2);
}

fn stored(dir: &DataDir, name: &str, password: &Password) -> PublicIdentity {
    let params = under(password);
    // Names of different lengths get different keys.
    let seed = [u8::try_from(name.len()).unwrap(); 32];
    let mut rng = ChaCha20Rng::from_seed(seed);
    let made = create(dir, &named(name), NewIdentity::KeyPair, params, &mut rng);
    made.unwrap().public_identity()
}

#[test]
fn removed_identity_leaves_no_file() {
    let scratch = scratch();
    stored(&scratch.dir, "desk", &password("one"));
    let kept = stored(&scratch.dir, "other", &password("one"));
    remove(&scratch.dir, &named("desk")).unwrap();
    assert_eq!(names(&scratch.dir), ["other"]);
    assert_eq!(found(&scratch.dir, "other"), kept);
    let again = remove(&scratch.dir, &named("desk")).unwrap_err();
    assert!(matches!(again, IdentityError::Unknown(_)), "{again}");
}

#[test]
fn renamed_identity_keeps_key_and_password() {
    let scratch = scratch();
    let password = password("one");
    let key = stored(&scratch.dir, "desk", &password);
    let new = named("newsroom");
    rename(
        &scratch.dir,
        &named("desk"),
        &new,
        under(&password),
        &mut rng(),
    )
    .unwrap();
    assert_eq!(names(&scratch.dir), ["newsroom"]);
    assert_eq!(found(&scratch.dir, "newsroom"), key);
    let sealed = export(&scratch.dir, &new).unwrap();
    assert_eq!(sealed.open(&password).unwrap().public_identity(), key);
}

#[test]
fn rename_with_wrong_password_or_taken_name_changes_nothing() {
    let scratch = scratch();
    let right = password("one");
    stored(&scratch.dir, "desk", &right);
    stored(&scratch.dir, "other", &right);
    let wrong = password("two");
    let to = |name: &str, password: &Password| {
        let old = named("desk");
        rename(
            &scratch.dir,
            &old,
            &named(name),
            under(password),
            &mut rng(),
        )
        .unwrap_err()
    };
    assert!(to("newsroom", &wrong).is_locked());
    assert!(matches!(to("other", &right), IdentityError::Taken(_)));
    assert!(matches!(to("desk", &right), IdentityError::Taken(_)));
    assert_eq!(names(&scratch.dir), ["desk", "other"]);
}

#[test]
fn rename_that_a_crash_interrupted_is_completed_by_the_next() {
    let scratch = scratch();
    let password = password("one");
    let key = stored(&scratch.dir, "desk", &password);
    let (old, new) = (named("desk"), named("newsroom"));
    let before = fs::read(sealed_path(&scratch.dir, &old)).unwrap();
    rename(&scratch.dir, &old, &new, under(&password), &mut rng()).unwrap();
    // The new file is durable, and the old one is not erased yet.
    fs::write(sealed_path(&scratch.dir, &old), before).unwrap();
    fs::set_permissions(
        sealed_path(&scratch.dir, &old),
        fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    let written = fs::read(sealed_path(&scratch.dir, &new)).unwrap();
    rename(&scratch.dir, &old, &new, under(&password), &mut rng()).unwrap();
    assert_eq!(names(&scratch.dir), ["newsroom"]);
    assert_eq!(found(&scratch.dir, "newsroom"), key);
    assert_eq!(fs::read(sealed_path(&scratch.dir, &new)).unwrap(), written);
}
