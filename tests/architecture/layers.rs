//! Dependence runs one way.
//!
//! This file defines the order of layers; docs/design.md draws it. A module may use its own layer and
//! lower ones, and the modules of a crate must not depend on each other in a cycle.

use std::collections::{BTreeMap, BTreeSet};

use crate::assert_none;
use crate::code::code_lines;
use crate::tree::files;

/// From the lowest to the highest.
const LAYERS: &[&[&str]] = &[
    &["keccak"],
    &[
        "bandwidth",
        "ecies",
        "envelope",
        "metadata",
        "printable",
        "relay_list",
        "rlp",
        "scatter",
        "sealed_file",
        "suggest",
    ],
    &["bloom", "contact", "message", "pow"],
    &["state", "transfer"],
    &[
        "envelope_builder",
        "envelope_pool",
        "envelope_validation",
        "link",
        "onion_wire",
        "subscriptions",
    ],
    &["endpoint", "gossip", "latency_model", "protection"],
    &["discovery", "mail"],
    &["node"],
    &["identity"],
    &["keystore"],
    &["config", "metrics", "rpc"],
    &["shell", "sim"],
    &["cli"],
    &["main"],
];

#[test]
fn modules_use_only_lower_layers() {
    let layer = |module: &str| LAYERS.iter().position(|layer| layer.contains(&module));
    let mut complaints = Vec::new();
    for (module, uses) in uses("src") {
        let Some(own) = layer(&module) else {
            complaints.push(format!(
                "{module} has no place in tests/architecture/layers.rs"
            ));
            continue;
        };
        for used in uses {
            if layer(&used).is_none_or(|theirs| theirs > own) {
                complaints.push(format!("{module} uses {used}"));
            }
        }
    }
    assert_none("dependence runs one way", complaints);
}

#[test]
fn modules_have_no_dependency_cycles() {
    for source in ["src", "circuits/src"] {
        let mut left = uses(source);
        // Remove the modules that use no remaining module; those left in the end form cycles.
        loop {
            let free: Vec<String> = left
                .iter()
                .filter(|(_, uses)| uses.iter().all(|used| !left.contains_key(used)))
                .map(|(module, _)| module.clone())
                .collect();
            if free.is_empty() {
                break;
            }
            left.retain(|module, _| !free.contains(module));
        }
        let cycle = left
            .iter()
            .map(|(module, uses)| format!("{module} uses {uses:?}"));
        assert_none(&format!("cycles in {source}"), cycle.collect());
    }
}

/// The modules that each top-level module names in its code.
fn uses(source: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in files(&[source], "rs") {
        let inner = path.trim_start_matches(source).trim_start_matches('/');
        let module = inner.split(['/', '.']).next().unwrap_or_default();
        // A test may use every module.
        if module == "lib" || path.ends_with("tests.rs") || path.contains("/tests/") {
            continue;
        }
        let text: String = code_lines(&text)
            .map(|(_, line)| format!("{line}\n"))
            .collect();
        let own = graph.entry(module.to_owned()).or_default();
        own.extend(named(&text).filter(|used| used != module));
    }
    let modules: BTreeSet<String> = graph.keys().cloned().collect();
    for uses in graph.values_mut() {
        uses.retain(|used| modules.contains(used));
    }
    graph
}

/// The first names after each `crate::` or `whisht::`, lists in braces included.
fn named(text: &str) -> impl Iterator<Item = String> {
    ["crate::", "whisht::"].into_iter().flat_map(move |root| {
        text.split(root)
            .skip(1)
            .flat_map(|rest| match rest.strip_prefix('{') {
                Some(list) => list_heads(list),
                None => vec![word(rest)],
            })
    })
}

/// The names at the top level of a list whose brace has been opened.
fn list_heads(list: &str) -> Vec<String> {
    let (mut depth, mut list_heads, mut start) = (1, Vec::new(), true);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => start = true,
            c if start && !c.is_whitespace() => {
                list_heads.push(word(list.get(at..).unwrap_or_default()));
                start = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    list_heads
}

fn word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
        .collect()
}

#[test]
fn use_parser_reads_lists_and_paths() {
    let text = "use crate::{a, b::{c, d}, e};\nlet x = crate::f::G::new(whisht::h());";
    let found: Vec<String> = named(text).collect();
    assert_eq!(found, ["a", "b", "e", "f", "h"]);
}
