//! The commands that documents print are commands that this program accepts.

use clap::Parser;

use super::Cli;

/// The documents, by name.
const DOCUMENTS: [(&str, &str); 7] = [
    ("README.md", include_str!("../../README.md")),
    ("docs/doctor.md", include_str!("../../docs/doctor.md")),
    ("docs/first-run.md", include_str!("../../docs/first-run.md")),
    (
        "docs/journalist.md",
        include_str!("../../docs/journalist.md"),
    ),
    ("docs/operating.md", include_str!("../../docs/operating.md")),
    ("docs/rpc.md", include_str!("../../docs/rpc.md")),
    ("docs/source.md", include_str!("../../docs/source.md")),
];

/// A key, and an onion name with a good checksum, for placeholders.
const KEY: &str = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
                   483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";
const ONION: &str = "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad";

/// The commands of whisht in a document, each on one line, without prompt and comment.
fn commands(document: &str) -> Vec<String> {
    let has_prompts = document.contains("\n$ ");
    let document = document.replace("\\\n", " ");
    let lines = document.lines().map(str::trim);
    let prompted = lines.filter_map(|line| {
        let prompt = ["$ ", "# "]
            .iter()
            .find_map(|prompt| line.strip_prefix(prompt));
        // The quick start has neither prompts nor output, and a pipe.
        let piped = line.split_once("| ").map(|(_, command)| command);
        let line = prompt
            .or(piped)
            .or_else(|| Some(line).filter(|_| !has_prompts))?;
        let line = line.strip_prefix("runuser -u daemon -- ").unwrap_or(line);
        let line = line.split(" #").next()?.trim().trim_end_matches(" &");
        line.starts_with("whisht ").then(|| line.to_owned())
    });
    prompted.collect()
}

/// A word of a command, with values in the place of placeholders.
fn filled(word: &str) -> String {
    match word {
        "enode://..." | "RELAY" => format!("enode://{KEY}@127.0.0.1:20819"),
        _ => word
            .replace("KEY", KEY)
            .replace("NAME.onion", &format!("{ONION}.onion"))
            .trim_matches('\'')
            .to_owned(),
    }
}

#[test]
fn printed_command_is_accepted() {
    let mut tried = 0;
    for (name, document) in DOCUMENTS {
        for command in commands(document) {
            let words = command.split_whitespace().map(filled);
            if let Err(error) = Cli::try_parse_from(words) {
                panic!("{name}: {command}: {error}");
            }
            tried += 1;
        }
    }
    assert!(tried >= 15, "only {tried} commands were found");
}

#[test]
fn text_as_an_argument_of_send_is_refused() {
    let words = ["whisht", "send", "--to", "me", "--dry-run", "a secret"];
    assert!(Cli::try_parse_from(words).is_err());
}
