//! Errors of the syntax of a file: which setting they name, and the form of its value.

use super::read;

#[test]
fn syntax_error_names_the_setting_and_the_form_of_its_value() {
    for (text, parts) in [
        (
            "max-peers = 3\nrelay = yes\n",
            ["config.toml:2", "`relay`: expected true or false"],
        ),
        (
            "[state]\nlock-after = MINUTES\n",
            [
                "config.toml:2",
                "`state.lock-after`: expected a number without quotes",
            ],
        ),
        (
            "[rpc]\nhttp = localhost\n",
            ["config.toml:2", "`rpc.http`: expected a text in quotes"],
        ),
        (
            "peers = enode\n",
            ["config.toml:1", "`peers`: expected a list"],
        ),
    ] {
        let refused = read(text).unwrap_err();
        for part in parts {
            assert!(refused.contains(part), "{part}: {refused}");
        }
        // The words of the TOML library ask for quotes, which these two must not have.
        let wants_no_quotes =
            refused.contains("without quotes") || refused.contains("true or false");
        assert!(
            !(wants_no_quotes && refused.contains("must be quoted")),
            "{refused}"
        );
    }
}

#[test]
fn socks_port_without_a_port_names_the_form_of_addresses() {
    let refused = read("[tor]\nmode = 'socks'\nsocks = '127.0.0.1'\n").unwrap_err();
    assert!(refused.contains("config.toml:3"), "{refused}");
    assert!(
        refused.contains("expected an IP address and a port"),
        "{refused}"
    );
}
