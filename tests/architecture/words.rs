//! The words that the glossary replaces, in comments, strings and documents.
//!
//! A reader must be able to search for a term, and a sentence must say which peer, user or node it
//! means (CONTRIBUTING.md, section "Writing").

use crate::assert_none;
use crate::code::CODE;
use crate::source::Source;
use crate::tree::{files, is_node};

/// Words and phrases, and the replacement of each.
const REPLACED: &[(&str, &str)] = &[
    ("anybody", "say which user or node"),
    ("at the least", "minimum"),
    ("at the most", "at most, or maximum"),
    ("dear", "costly"),
    ("door", "listener, or endpoint"),
    ("doors", "listeners, or endpoints"),
    ("everybody", "say which users or nodes"),
    ("for ever", "without a limit"),
    ("heed", "say what the code does"),
    ("heeds", "say what the code does"),
    ("lest", "so that .. not"),
    ("neighbour", "peer"),
    ("neighbouring", "adjacent, or the name of the peer"),
    ("neighbours", "peers"),
    ("nobody", "say which user or node does not"),
    ("piece", "shard, or chunk"),
    ("pieces", "shards, or chunks"),
    ("says so", "reports it, or contains it"),
    ("somebody", "say which user or node"),
    ("stranger", "unknown peer"),
    ("strangers", "unknown peers"),
    ("whereof", "of which"),
    ("whoever", "the user, or the peer, that"),
];

/// Places where a word is not ours to choose: a path or its beginning, the word, the reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[(
    "tests/architecture/words.rs",
    "",
    "this file lists the words",
)];

#[test]
fn comments_and_strings_use_words_of_glossary() {
    let found = in_code(CODE, |path| !is_node(path));
    assert_none("the glossary has another word", found);
}

#[test]
fn node_comments_and_strings_use_words_of_glossary() {
    let found = in_code(&["src"], is_node);
    assert_none("the glossary has another word", found);
}

#[test]
fn documents_use_words_of_glossary() {
    let folders = [".", "docs", "tests", "circuits", "fuzz"];
    let mut found = Vec::new();
    for (path, text) in files(&folders, "md") {
        for (line, paragraph) in paragraphs(&text) {
            found.extend(complaints(&path, line, &paragraph));
        }
    }
    assert_none("the glossary has another word", found);
}

#[test]
fn exceptions_are_needed() {
    let mut idle = Vec::new();
    for (path, word, _) in EXCEPTIONS {
        let used = files(&["src", "circuits", "tests", "docs"], "rs")
            .into_iter()
            .chain(files(&[".", "docs"], "md"))
            .any(|(own, text)| own.starts_with(path) && text.to_lowercase().contains(word));
        if !used {
            idle.push(format!("{path}: {word}"));
        }
    }
    assert_none("remove the exceptions", idle);
}

fn in_code(folders: &[&str], selects: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in files(folders, "rs") {
        if !selects(&path) {
            continue;
        }
        let source = Source::of(&text);
        for (line, text) in source.comments.iter().chain(&source.literals) {
            found.extend(complaints(&path, *line, text));
        }
    }
    found
}

/// The replaced words in a text, unless they are excepted for the path.
fn complaints(path: &str, line: usize, text: &str) -> Vec<String> {
    let words = words(text);
    let mut found = Vec::new();
    for (phrase, instead) in REPLACED {
        if has(&words, phrase) {
            found.push((*phrase, *instead));
        }
    }
    if has_negated_noun(&words) {
        found.push(("is no", "is not a"));
    }
    found.retain(|(phrase, _)| {
        let mut exceptions = EXCEPTIONS.iter();
        !exceptions
            .any(|(own, word, _)| path.starts_with(own) && (word.is_empty() || word == phrase))
    });
    found
        .into_iter()
        .map(|(phrase, instead)| format!("{path}:{line}: {phrase}: {instead}"))
        .collect()
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphabetic())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

fn has(words: &[String], phrase: &str) -> bool {
    let phrase: Vec<&str> = phrase.split(' ').collect();
    words.windows(phrase.len()).any(|window| window == phrase)
}

/// "X is no Y" for "X is not a Y". "There is no Y" and comparisons ("is no longer") are common usage.
fn has_negated_noun(words: &[String]) -> bool {
    words.windows(4).any(|window| {
        matches!(window, [before, verb, no, after]
            if ["is", "are"].contains(&&**verb)
                && no == "no"
                && before != "there"
                && after != "more"
                && !after.ends_with("er"))
    })
}

/// The paragraphs of a document outside code blocks, each with its first line.
fn paragraphs(text: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let (mut in_code, mut starts) = (false, true);
    for (index, line) in text.lines().enumerate() {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        if is_fence || in_code || line.trim().is_empty() || line.starts_with(['|', '#']) {
            starts = true;
            if line.starts_with(['|', '#']) && !in_code {
                found.push((index + 1, line.to_owned()));
            }
            continue;
        }
        match found.last_mut().filter(|_| !starts) {
            Some((_, paragraph)) => {
                paragraph.push(' ');
                paragraph.push_str(line.trim());
            }
            None => found.push((index + 1, line.to_owned())),
        }
        starts = false;
    }
    found
}

#[test]
fn words_are_found_across_lines_and_letter_case() {
    let text = "// It lasts for\n// ever. Nobody\n\nlet a = \"b is no c\"; // there is no door\n";
    let source = Source::of(text);
    let found: Vec<String> = source
        .comments
        .iter()
        .chain(&source.literals)
        .flat_map(|(line, text)| complaints("x.rs", *line, text))
        .collect();
    assert_eq!(
        found,
        [
            "x.rs:1: for ever: without a limit",
            "x.rs:1: nobody: say which user or node does not",
            "x.rs:4: door: listener, or endpoint",
            "x.rs:4: is no: is not a",
        ]
    );
    let text = "one\nis no two\n\n```\nnobody\n```\n| a | nobody |\n";
    let found: Vec<String> = paragraphs(text)
        .into_iter()
        .flat_map(|(line, text)| complaints("x.md", line, &text))
        .collect();
    assert_eq!(
        found,
        [
            "x.md:1: is no: is not a",
            "x.md:7: nobody: say which user or node does not",
        ]
    );
}
