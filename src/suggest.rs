//! Suggests the word that a mistyped word was meant to be.

use strsim::damerau_levenshtein;

/// The candidate that is close to `word`, if there is one: the nearest with at most two typing
/// errors and at most one in three letters, or else the shortest that begins with the word.
#[must_use]
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    let mistyped = candidates
        .iter()
        .map(|candidate| (damerau_levenshtein(word, candidate), *candidate))
        .filter(|(errors, candidate)| *errors <= max_errors(word, candidate))
        .min_by_key(|(errors, _)| *errors);
    let begun = candidates
        .iter()
        .filter(|candidate| !word.is_empty() && candidate.starts_with(word))
        .min_by_key(|candidate| candidate.len());
    mistyped
        .map(|(_, candidate)| candidate)
        .or_else(|| begun.copied())
}

/// A third of the longer word, so that two short words with little in common are not close.
fn max_errors(word: &str, candidate: &str) -> usize {
    let letters = word.chars().count().max(candidate.chars().count());
    (letters / 3).min(MAX_ERRORS)
}

/// Insertions, deletions, substitutions, and swaps of two adjacent letters.
const MAX_ERRORS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const LEVELS: [&str; 5] = ["open", "swift", "normal", "hush", "dark"];

    #[test]
    fn mistyped_word_finds_its_candidate() {
        let keys = ["level", "listen", "min-pow"];
        assert_eq!(closest("levle", keys), Some("level"));
        assert_eq!(closest("min_pow", keys), Some("min-pow"));
        assert_eq!(closest("norml", LEVELS), Some("normal"));
        assert_eq!(closest("drak", LEVELS), Some("dark"));
    }

    #[test]
    fn begun_word_finds_shortest_candidate() {
        assert_eq!(closest("norm", LEVELS), Some("normal"));
        assert_eq!(
            closest("rpc", ["rpc-token-file", "rpc-port"]),
            Some("rpc-port")
        );
    }

    #[test]
    fn word_unlike_all_candidates_finds_none() {
        assert_eq!(closest("fast", LEVELS), None);
        assert_eq!(closest("zzzzzz", ["level", "listen", "min-pow"]), None);
        assert_eq!(closest("", LEVELS), None);
        assert_eq!(closest("x", ["a", "b"]), None);
    }

    #[test]
    fn nearest_of_two_candidates_is_suggested() {
        assert_eq!(
            closest("pasword", ["passwords", "password"]),
            Some("password")
        );
    }
}
