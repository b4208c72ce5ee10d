//! The files and the commands of `whisht init`, without a terminal.

use clap::Parser;

use super::choices::GivenAnswers;
use super::*;
use crate::cli::Cli;
use crate::config::Config;
use crate::config::file::parse;

const PEER: &str = "enode://79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
                    483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8@8.8.8.8:1";

fn given(role: &str) -> GivenAnswers {
    GivenAnswers {
        role: Some(role.to_owned()),
        tor: Some("off".to_owned()),
        peers: Some(PEER.to_owned()),
        advertise: (role == "relay").then(|| "93.184.216.34:20819".to_owned()),
        ..GivenAnswers::default()
    }
}

fn choices(given: &GivenAnswers) -> Choices {
    Choices::ask(given, &mut Answers::new(true)).unwrap()
}

fn config(choices: &Choices) -> Config {
    let settings = parse("config.toml".as_ref(), &render::file(choices)).unwrap();
    Config::build(settings).unwrap()
}

const ROLES: [&str; 4] = ["source", "reader", "relay", "dapp"];

#[test]
fn file_of_each_role_is_valid_and_does_what_the_role_says() {
    for role in ROLES {
        let choices = choices(&given(role));
        let text = render::file(&choices);
        let report = FileReport::of("config.toml".as_ref(), &text);
        assert!(report.errors.is_empty(), "{role}: {:?}", report.errors);
        assert!(report.warnings.is_empty(), "{role}: {:?}", report.warnings);
        let config = config(&choices);
        assert_eq!(config.node.relay, role == "relay");
        assert_eq!(config.rpc.http.is_some(), role == "dapp");
        let is_client = matches!(role, "source" | "reader");
        assert_eq!(config.is_reachable(), !is_client, "{role}");
        assert_eq!(config.node.peers.len(), 1);
        assert_eq!(choices.identity.is_some(), role == "reader");
    }
}

#[test]
fn source_behind_tor_uses_nothing_else_and_is_dark_by_default() {
    let given = GivenAnswers {
        tor: Some("socks".to_owned()),
        ..given("source")
    };
    let config = config(&choices(&given));
    assert!(config.tor.only && config.tor.is_on());
    assert_eq!(config.node.level, circuits::level::Level::Dark);
}

#[test]
fn flag_that_the_role_does_not_use_is_refused() {
    for (role, flag) in [
        ("source", "rpc-http"),
        ("dapp", "identity"),
        ("relay", "level"),
    ] {
        let mut given = given(role);
        let word = Some("normal".to_owned());
        match flag {
            "rpc-http" => given.rpc_http = word,
            "identity" => given.identity = word,
            _ => given.level = word,
        }
        let refused = Choices::ask(&given, &mut Answers::new(true)).unwrap_err();
        assert!(format!("{refused:?}").contains(&format!("--{flag} has no effect")));
    }
}

#[test]
fn advertise_in_a_local_network_is_refused_and_both_flags_are_named() {
    let given = GivenAnswers {
        advertise: Some("93.184.216.34:20819".to_owned()),
        local: Some("try".to_owned()),
        ..given("relay")
    };
    let refused = Choices::ask(&given, &mut Answers::new(true)).unwrap_err();
    let refused = format!("{refused:?}");
    assert!(
        refused.contains("--advertise has no effect with --local"),
        "{refused}"
    );
}

#[test]
fn relay_without_an_address_has_no_default_for_it() {
    let given = GivenAnswers {
        advertise: None,
        ..given("relay")
    };
    let refused = Choices::ask(&given, &mut Answers::new(true)).unwrap_err();
    assert!(format!("{refused:?}").contains("--advertise is missing"));
}

#[test]
fn commands_in_the_output_and_in_the_file_exist() {
    let mut tried = 0;
    for role in ROLES {
        let choices = choices(&given(role));
        let place = render::CommandPlace {
            data_dir: Some("/var/lib/x".as_ref()),
            config: Some("/etc/x.toml".as_ref()),
        };
        let text = render::file(&choices);
        let quoted = text.split('`').skip(1).step_by(2).map(ToOwned::to_owned);
        let quoted = quoted.filter(|quoted| quoted.starts_with("whisht "));
        for command in render::next(&choices, &place).into_iter().chain(quoted) {
            let words = command.split(' ').map(|word| match word {
                "ADDRESS" => "shh1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs23v9ccrydpk8qarc0jq8hskzy",
                "NAME" => "heron",
                word => word,
            });
            if let Err(error) = Cli::try_parse_from(words) {
                assert!(
                    error.kind() == clap::error::ErrorKind::ValueValidation,
                    "{command}: {error}"
                );
            }
            tried += 1;
        }
    }
    assert!(tried >= 12, "only {tried} commands");
}
