//! Replaces what could be an address, a key, a topic or a name.
//!
//! The text is cut into words. A word that could identify a peer, a user or a place is replaced as a whole.
//! The rules prefer to replace too much: a harmless word that is lost costs a question, an address that
//! stays costs its owner.

use std::net::IpAddr;
use std::path::Path;

use crate::shell::identity_files;

/// Replaces words.
#[derive(Debug, Default)]
pub(super) struct Scrubber {
    /// Names of identities, which would pass as words.
    names: Vec<String>,
}

impl Scrubber {
    /// A scrubber that knows the names of the identities in a data directory.
    pub(super) fn for_directory(dir: &Path) -> Self {
        let listing = identity_files::list_at(dir).unwrap_or_default();
        let names = listing.identities.iter().map(|(name, _)| name.to_string());
        Self {
            names: names.collect(),
        }
    }

    /// A line without what could identify.
    pub(super) fn scrub(&self, line: &str) -> String {
        let mut text = String::new();
        let mut word = String::new();
        for c in line.chars() {
            if c.is_whitespace() || "\"'`,;()<>{}|".contains(c) {
                self.push(&mut text, &word);
                word.clear();
                text.push(if c.is_control() { '?' } else { c });
            } else {
                word.push(c);
            }
        }
        self.push(&mut text, &word);
        text
    }

    fn push(&self, text: &mut String, word: &str) {
        // A field of the log, `peer=..`, keeps its name.
        match word.split_once('=') {
            Some((field, value)) if !value.is_empty() && is_field(field) => {
                text.push_str(field);
                text.push('=');
                text.push_str(self.plain(value).unwrap_or(REPLACED));
            }
            _ => text.push_str(self.plain(word).unwrap_or(REPLACED)),
        }
    }

    /// The word, if it identifies nothing.
    fn plain<'a>(&self, word: &'a str) -> Option<&'a str> {
        let bare = word.trim_end_matches(['.', ':', '!', '?']);
        let is_name = self.names.iter().any(|name| name == bare);
        let hides = is_name
            || (word.contains('/') && !is_known_path(bare))
            || word.contains('@')
            || word.contains(".onion")
            || is_address(bare)
            || has_long_digits(bare)
            || bare.len() > MAX_WORD
            || starts_as_address(bare);
        (!hides).then_some(word)
    }
}

fn is_field(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c == '_' || c == '-' || c == '.')
}

/// Names of protocols and of places that are the same on every machine.
fn is_known_path(word: &str) -> bool {
    const KNOWN: [&str; 6] = [
        "onion/1",
        "shh/5",
        "shh/6",
        "/dev/urandom",
        "docs/doctor.md",
        "and/or",
    ];
    KNOWN.contains(&word)
}

/// Whether a word is an IP address, with or without a port, or a host name with a port.
fn is_address(word: &str) -> bool {
    let host = word
        .rsplit_once(':')
        .map_or(word, |(host, _)| host)
        .trim_matches(['[', ']']);
    let bare = word.trim_matches(['[', ']']);
    let has_port = word
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    has_port || host.parse::<IpAddr>().is_ok() || bare.parse::<IpAddr>().is_ok()
}

/// Whether a word has eight hexadecimal digits in a row, one of them not a letter, or is a topic.
fn has_long_digits(word: &str) -> bool {
    if word.starts_with("0x") {
        return true;
    }
    let mut runs = word.split(|c: char| !c.is_ascii_hexdigit());
    runs.any(|run| run.len() >= 8 && run.bytes().any(|byte| byte.is_ascii_digit()))
}

/// Whether a word begins as the addresses of this program and of Whisper do.
fn starts_as_address(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let begins = ["shh1", "shhr1", "shhi1", "enode:", "enr:"];
    begins.iter().any(|begin| lower.starts_with(begin))
}

const REPLACED: &str = "[removed]";
/// No word of this program's texts is longer; keys and lines of bridges are.
const MAX_WORD: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_identify_are_replaced_and_others_stay() {
        let scrubber = Scrubber {
            names: vec!["desk".to_owned()],
        };
        for secret in [
            "192.0.2.7",
            "192.0.2.7:20819",
            "[2001:db8::1]:20819",
            "2001:db8::1",
            "enode://abcd@192.0.2.7:1",
            "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad.onion:1",
            "0x1a2b3c4d",
            "79be667ef9dcbbac",
            "shh1qqqsyqcyq5rqwzqf",
            "postgres://u:p@db/x",
            "/home/alice/.whisper",
            "desk",
            "example.org:443",
        ] {
            assert_eq!(scrubber.scrub(&format!("a {secret}, b")), "a [removed], b");
            assert_eq!(scrubber.scrub(&format!("peer={secret}")), "peer=[removed]");
        }
        let plain = "wrong permissions 0644 onion/1 level=normal 20819 MB: whisht-0.1.0 (yes).";
        assert_eq!(scrubber.scrub(plain), plain);
    }
}
