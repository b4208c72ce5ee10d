//! What is wrong in a file, and how the error names it.

use super::*;

#[test]
fn unknown_key_names_file_line_and_nearest_key() {
    let refusal = read("level = 'open'\n\nlevle = 'dark'\n").unwrap_err();
    assert_eq!(
        refusal,
        "config.toml:3: there is no setting \"levle\"; did you mean `level`?"
    );
    assert!(read("min_pow = 1").unwrap_err().contains("`min-pow`"));
    assert!(
        read("[tro]\nonly = true")
            .unwrap_err()
            .contains("there is no table [tro]")
    );
    assert!(
        read("qqqqqqqqq = 1")
            .unwrap_err()
            .contains("profile, network, level")
    );
}

#[test]
fn bad_value_names_its_line_and_key() {
    for (text, part) in [
        ("level = 'normall'", "did you mean normal?"),
        ("level = 1", "a text in quotes"),
        ("profile = 'test'", "`main` or `local`"),
        (
            "network = 'A B'",
            "`network` = 'A B': expected 1 to 32 letters",
        ),
        ("relay = 'yes'", "true or false"),
        ("listen = '127.0.0.1:1'", "a list of texts"),
        (
            "listen = ['localhost:1']",
            "\"localhost:1\": expected an IP address and a port",
        ),
        ("peers = ['enode://x']", "the address is missing"),
        (
            "max-peers = 0",
            "`max-peers` = 0: expected a whole number from 1 to 500",
        ),
        (
            "max-peers = 99999999999999999999999999999999999999999",
            "from 1 to 500",
        ),
        ("min-pow = -1", "from 0 upwards"),
        ("min-pow = nan", "from 0 upwards"),
        ("guard = 'me'", "64 hexadecimal digits"),
        ("threads = 1.5", "a whole number"),
        ("level = ", "config.toml:2"),
        ("level = 'open'\nlevel = 'open'", "config.toml:3"),
    ] {
        let refusal = read(&format!("\n{text}")).unwrap_err();
        let start = refusal.starts_with("config.toml:2: ") || refusal.starts_with("config.toml:3");
        assert!(start && refusal.contains(part), "{refusal}");
    }
}

#[test]
fn mistyped_table_or_key_in_it_names_the_nearest() {
    for (text, part) in [
        ("[rcp]\nhttp = '127.0.0.1:1'", "did you mean [rpc]?"),
        (
            "[qqqqqqqq]\nhttp = 1",
            "there is no table [qqqqqqqq]; the tables are",
        ),
        ("rpc = '127.0.0.1:1'", "`rpc` is a table"),
        (
            "[rpc]\nhtttp = '127.0.0.1:1'",
            "config.toml:2: there is no setting \"rpc.htttp\"; did you mean `rpc.http`?",
        ),
        ("origins = []", "did you mean `rpc.origins`?"),
        ("[rpc.http]\nport = 1", "`rpc.http`: expected a text"),
        ("[rpc]\nhttp = 'localhost:8545'", "such as 127.0.0.1:8545"),
        ("[rpc]\nmodules = ['ssh']", "did you mean shh?"),
        ("[rpc]\norigins = ['*']", "name each page's origin"),
        ("[rpc]\norigins = ['null']", "name each page's origin"),
        (
            "[rpc]\norigins = ['http://localhost:3000/']",
            "without a path",
        ),
        (
            "[rpc]\norigins = ['localhost']",
            "\"localhost\": expected an origin",
        ),
        ("[rpc]\nallow-key-export = 1", "true or false"),
    ] {
        let refusal = read(text).unwrap_err();
        assert!(refusal.contains(part), "{refusal}");
    }
}

#[test]
fn setting_that_needs_another_is_refused_without_it() {
    for (text, setting, needs) in [
        ("[mail]\nstore = 'sqlite'\n", "mail.store", "mail.serve"),
        ("[mail]\nmax-mb = 8\n", "mail.max-mb", "mail.serve"),
        ("[mail]\ndays = 8\n", "mail.days", "mail.serve"),
        (
            "[mail]\npassword-file = '/run/password'\n",
            "mail.password-file",
            "mail.serve",
        ),
        (
            "[rpc]\norigins = ['http://localhost:3000']\n",
            "rpc.origins",
            "rpc.http",
        ),
    ] {
        let refusal = refusal(text);
        assert!(!refusal.is_policy(), "{refusal}");
        let cause = format!("`{setting}` has no effect without `{needs}`");
        assert!(refusal.to_string().starts_with(&cause), "{refusal}");
    }
    let allow = format!("[mail]\nallow = ['{KEY}']\n");
    assert!(refusal(&allow).to_string().contains("`mail.allow`"));
}
