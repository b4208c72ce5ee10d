//! The view of the signed relay list.

use serde::{Deserialize, Serialize};

/// The signed list that decides which relays paths may use.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RelayListView {
    /// Number of pinned signers.
    pub signers: usize,
    /// How many of them must sign.
    pub threshold: usize,
    /// The list in force; without one, no path is drawn.
    #[serde(deserialize_with = "Option::deserialize")]
    pub in_force: Option<ListInForceView>,
    /// When a newer list that is held comes into force (seconds since 1970).
    #[serde(deserialize_with = "Option::deserialize")]
    pub next_from: Option<u32>,
    /// When the last list expired, if none is valid (seconds since 1970).
    #[serde(deserialize_with = "Option::deserialize")]
    pub expired: Option<u32>,
    /// The times (seconds since 1970) for which two lists are signed, so that neither is used.
    pub conflicts: Vec<u32>,
}

/// A list in force.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ListInForceView {
    /// Its id (32 bytes, hexadecimal). It is the same at every node that uses the list.
    pub id: String,
    /// When it came into force (seconds since 1970).
    pub from: u32,
    /// When it expires (seconds since 1970).
    pub until: u32,
    /// Seconds until it expires.
    pub left_secs: u32,
    /// Number of relays that it names.
    pub relays: usize,
    /// Number of signatures.
    pub signed: usize,
    /// Whether it names this node.
    pub names_this_relay: bool,
}

impl RelayListView {
    /// Every field with a value.
    #[cfg(test)]
    pub(super) fn example() -> Self {
        Self {
            signers: 5,
            threshold: 3,
            in_force: Some(ListInForceView {
                id: "ab".repeat(32),
                from: 1_750_000_000,
                until: 1_751_000_000,
                left_secs: 1_000,
                relays: 43,
                signed: 3,
                names_this_relay: true,
            }),
            next_from: None,
            expired: None,
            conflicts: vec![1_750_032_000],
        }
    }

    /// The rule in words: whose list decides.
    #[must_use]
    pub fn rule(&self) -> String {
        format!("{} of {} signers", self.threshold, self.signers)
    }
}
