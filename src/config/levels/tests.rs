//! The table `[levels]` as it is written, in the file and as flags.

use std::ffi::OsString;
use std::path::Path;

use super::*;
use crate::config::{Config, Settings, file};

fn read(text: &str) -> Result<Settings, String> {
    file::parse(Path::new("config.toml"), text).map_err(|error| error.cause)
}

fn cause(text: &str) -> String {
    read(text).unwrap_err()
}

const FILE: &str = r#"
[levels.custom.careful]
base = "normal"
max-seconds = 120
max-bytes = 100000
min-relays = 60

[levels.recipients]
desk = ["normal", "any-client"]
band = "careful"
"#;

#[test]
fn file_and_flags_give_the_same_levels() {
    let from_file = read(FILE).unwrap().levels;
    let words = |words: &[&str]| -> Vec<OsString> { words.iter().map(OsString::from).collect() };
    let custom = words(&["careful=normal,max-seconds=120,max-bytes=100000,min-relays=60"]);
    let recipients = words(&["desk=normal,any-client", "band=careful"]);
    let read = |line, texts: &[OsString]| {
        let reader: Named<CustomLevel> = line;
        reader.read(RawValue::Texts(texts)).unwrap()
    };
    assert_eq!(
        read(Named(custom_line, custom_table), &custom),
        from_file.custom()
    );
    let recipients = Named(recipient_line, recipient_table)
        .read(RawValue::Texts(&recipients))
        .unwrap();
    let policy = LevelPolicy::new(from_file.custom(), recipients);
    assert!(policy.is_ok());
    assert!(build(&from_file).is_ok());
    assert_eq!(from_file.recipients().len(), 2);
}

#[test]
fn parameter_of_the_wire_in_a_custom_level_is_refused() {
    for entry in ["delay = 1", "hold = 2", "relays = 9", "slot = 0.1"] {
        let error = cause(&format!("[levels.custom.fast]\nbase = 'dark'\n{entry}\n"));
        assert!(error.contains("cannot change how cells travel"), "{error}");
    }
}

#[test]
fn custom_level_without_base_or_with_the_name_of_a_level_is_refused() {
    assert!(cause("[levels.custom.careful]\nmax-seconds = 3\n").contains("`base` is missing"));
    assert!(cause("[levels.custom.normal]\nbase = 'normal'\n").contains("another name"));
    assert!(cause("[levels.custom.Big]\nbase = 'normal'\n").contains("letters from a to z"));
    assert!(cause("[levels.custom.x]\nbase = 'normal'\nmin-pool = 3\n").contains("that mixes"));
    assert!(cause("[levels.custom.x]\nbase = 'normal'\nmax-bytes = -1\n").contains("whole number"));
}

#[test]
fn recipient_with_an_unknown_level_is_refused() {
    let settings = read("[levels.recipients]\ndesk = 'carefull'\n").unwrap();
    let error = Config::build(settings).unwrap_err().to_string();
    assert!(
        error.contains("`carefull`, which does not exist"),
        "{error}"
    );
    let error = cause("[levels.recipients]\n0x0412 = 'normal'\n");
    assert!(error.contains("expected a public key"), "{error}");
    let error = cause("[levels.recipients]\ndesk = ['normal', 'geth']\n");
    assert!(error.contains("any-client"), "{error}");
}
