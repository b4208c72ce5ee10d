//! The table `[directory]`: whose signed list of relays this node follows.

use std::path::PathBuf;

use super::error::ConfigError;
use super::setting::{Count, List, Place, settings};
use super::value::parsed;
use crate::relay_list::{MAX_SIGNERS, SignerId, SignerSet};

settings! {
    /// The settings of one source; `None` where the source has no value.
    pub struct DirectorySettings, "directory", "Relay lists", |all| &mut all.directory;

    /// Ids of the people whose signed relay list decides which relays paths use
    signers: Vec<SignerId> = Vec::new();
        "directory.signers" "directory-signers" "WHISHT_DIRECTORY_SIGNERS";
        List(parsed), "ID" "[]";
        "With signers, paths use the relays of their list and no others; without a valid list they use none. \
         Without signers, a relay is used once this node has known it for a day. See \
         [relay-lists.md](relay-lists.md)";

    /// How many of the signers must have signed a list
    threshold: usize;
        "directory.threshold" "directory-threshold" "WHISHT_DIRECTORY_THRESHOLD";
        Count(1..=MAX_SIGNERS), "COUNT" "more than half of the signers";
        "Half of them or fewer is refused: two halves could sign two lists";

    /// File with a signed relay list, read at the start
    file: PathBuf;
        "directory.file" "directory-file" "WHISHT_DIRECTORY_FILE";
        Place, "FILE" "the list comes from peers";
        "Peers send newer lists. A node without `peers` connects to relays of the list";
}

/// The pinned signers from complete settings.
///
/// # Errors
///
/// [`ConfigError`] if they are not a valid set, or another setting of the table has no effect.
pub(super) fn build(settings: &DirectorySettings) -> Result<Option<SignerSet>, ConfigError> {
    let ids = settings.signers();
    if ids.is_empty() {
        let idle = [
            ("directory.threshold", settings.threshold.is_some()),
            ("directory.file", settings.file.is_some()),
        ];
        return match idle.into_iter().find(|(_, is_set)| *is_set) {
            Some((setting, _)) => Err(ConfigError::WithoutEffect {
                setting,
                needs: "directory.signers",
            }),
            None => Ok(None),
        };
    }
    let majority = SignerSet::majority(ids.len());
    let threshold = settings.threshold.unwrap_or(majority);
    Ok(Some(SignerSet::new(threshold, ids)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(signers: u8, threshold: Option<usize>) -> DirectorySettings {
        DirectorySettings {
            signers: (signers > 0).then(|| (0..signers).map(|id| SignerId([id; 32])).collect()),
            threshold,
            file: None,
        }
    }

    #[test]
    fn threshold_is_more_than_half_of_the_signers_by_default() {
        for (signers, threshold) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)] {
            let set = build(&settings(signers, None)).unwrap().unwrap();
            assert_eq!(set.threshold(), threshold, "{signers}");
        }
        assert!(build(&settings(0, None)).unwrap().is_none());
    }

    #[test]
    fn threshold_of_half_the_signers_is_refused() {
        let error = build(&settings(4, Some(2))).unwrap_err().to_string();
        assert!(
            error.starts_with("`directory`: of 4 signers, 3 to 4 must sign"),
            "{error}"
        );
    }

    #[test]
    fn threshold_without_signers_is_refused() {
        let error = build(&settings(0, Some(2))).unwrap_err().to_string();
        assert!(
            error.contains("`directory.threshold` has no effect"),
            "{error}"
        );
    }
}
