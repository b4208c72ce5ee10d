//! Which proof-of-work rule a peer judges by.
//!
//! Two incompatible formulas are alive under the one name `shh/6`: go-ethereum up to 1.8 (legacy)
//! and from 1.9 on (modern; see [`crate::pow`]). A peer that finds too little work by its own
//! formula hangs up on whoever relayed the envelope, and nothing in the protocol says which
//! formula that is. The name in the hello is a hint, and a status of five fields is the mark of
//! status-im, which never hangs up for this; from anybody else both formulas must be satisfied.

use crate::pow::{Generation, PowChecked};

/// What an envelope must satisfy before it is sent to a peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rule {
    /// Both formulas: the peer's is unknown.
    Both,
    /// One of the two: the peer judges by either, or punishes neither.
    Either,
    /// go-ethereum up to 1.8.
    Legacy,
    /// go-ethereum from 1.9 on.
    Modern,
}

impl Rule {
    /// Guesses from the name that a peer gives in its hello.
    #[must_use]
    pub fn of_client(name: &str) -> Self {
        let mut parts = name.split('/');
        match parts.next().unwrap_or_default() {
            // An operator may put a name of their own between program and version.
            "Geth" => match parts.find_map(version) {
                Some((1, 0..=8)) => Self::Legacy,
                Some(_) => Self::Modern,
                None => Self::Both,
            },
            "nim-eth" | "Nimbus" => Self::Modern,
            "whisht" => Self::Either,
            _ => Self::Both,
        }
    }

    /// Whether an envelope with this proof of work satisfies a peer that requires `min`.
    #[must_use]
    pub fn satisfied(self, pow: &PowChecked, min: f64) -> bool {
        let modern = pow.value(Generation::Modern) >= min;
        let legacy = pow.value(Generation::Legacy) >= min;
        match self {
            Self::Both => modern && legacy,
            Self::Either => modern || legacy,
            Self::Legacy => legacy,
            Self::Modern => modern,
        }
    }

    /// The word for it in a listing of peers.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Both => "unknown",
            Self::Either => "either",
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        }
    }
}

/// Major and minor of a part like `v1.8.27-stable`.
fn version(part: &str) -> Option<(u32, u32)> {
    let (major, rest) = part.strip_prefix('v')?.split_once('.')?;
    let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_far_as_they_say_something() {
        for (name, rule) in [
            (
                "Geth/v1.8.27-stable-4bcc0a37/linux-amd64/go1.10.4",
                Rule::Legacy,
            ),
            ("Geth/v1.7.3/linux-amd64/go1.9", Rule::Legacy),
            ("Geth/my node/v1.8.16/linux", Rule::Legacy),
            ("Geth/v1.9.0-unstable/linux-amd64/go1.12", Rule::Modern),
            ("Geth/v1.10.2/linux", Rule::Modern),
            ("Geth/v2.0/linux", Rule::Modern),
            ("Geth", Rule::Both),
            ("Geth/vanity/linux", Rule::Both),
            ("Geth/v1.x/linux", Rule::Both),
            ("wnode/v6.0/linux/go1.10", Rule::Both),
            ("Parity-Ethereum/v2.5.0/x86_64-linux-gnu", Rule::Both),
            ("nim-eth", Rule::Modern),
            ("whisht/0.1", Rule::Either),
            ("", Rule::Both),
            ("////", Rule::Both),
        ] {
            assert_eq!(Rule::of_client(name), rule, "{name}");
        }
    }
}
