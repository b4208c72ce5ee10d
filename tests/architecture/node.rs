//! `Node` routes, and components own their state.

use std::collections::{BTreeMap, BTreeSet};

use crate::assert_none;
use crate::source::{Source, closing, functions, keyword, line_of, word};
use crate::tree::{files, is_node};

/// Files with methods of `Node`.
const MAX_FILES: usize = 3;
/// Methods of `Node`.
const MAX_METHODS: usize = 60;

#[test]
fn node_has_at_most_60_methods_in_3_files() {
    let mut methods = BTreeMap::new();
    for (path, source) in sources() {
        let own: usize = impls(source.without_tests())
            .into_iter()
            .filter(|(name, _)| name == "Node")
            .map(|(_, block)| functions(&block).len())
            .sum();
        if own > 0 {
            methods.insert(path, own);
        }
    }
    assert!(!methods.is_empty(), "the search finds no `impl Node`");
    let sum: usize = methods.values().sum();
    if sum > MAX_METHODS || methods.len() > MAX_FILES {
        let list = methods.into_iter();
        let list = list.map(|(path, own)| format!("{path}: {own} methods"));
        assert_none(
            &format!("{sum} methods of Node; move them to components"),
            list.collect(),
        );
    }
}

/// A component is a type whose methods change it. Its fields are private to its module, so that the
/// invariants of its state are in one file. Plain data has no such methods.
#[test]
fn component_fields_are_private() {
    let sources: Vec<_> = sources().collect();
    let components: BTreeSet<String> = sources
        .iter()
        .flat_map(|(_, source)| impls(source.without_tests()))
        .filter(|(_, block)| {
            let mut own = functions(block).into_iter();
            own.any(|method| method.signature.contains("&mut self"))
        })
        .map(|(name, _)| name)
        .collect();
    let mut shared = Vec::new();
    for (path, source) in &sources {
        let code = source.without_tests();
        for (at, rest) in keyword(code, "struct") {
            let name = word(rest.trim_start());
            for field in shared_fields(rest) {
                if components.contains(&name) {
                    let line = line_of(code, at);
                    shared.push(format!("{path}:{line}: {name}: {field}"));
                }
            }
        }
    }
    assert_none("make the fields private, and add methods", shared);
}

fn sources() -> impl Iterator<Item = (String, Source)> {
    files(&["src"], "rs")
        .into_iter()
        .filter(|(path, _)| is_node(path))
        .filter(|(path, _)| !is_test(path))
        .map(|(path, text)| (path, Source::of(&text)))
}

fn is_test(path: &str) -> bool {
    path.ends_with("tests.rs") || path.contains("/tests/") || path.ends_with("/fixture.rs")
}

/// The inherent implementations: type name and block.
fn impls(code: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let items = keyword(code, "impl").filter(|(at, _)| *at == 0 || code[..*at].ends_with('\n'));
    for (_, rest) in items {
        let Some(open) = rest.find(['{', ';', ')']) else {
            continue;
        };
        let head = rest[..open].trim();
        let head = match head.strip_prefix('<').and_then(|head| head.split_once('>')) {
            Some((_, head)) => head.trim(),
            None => head,
        };
        let is_block = rest[open..].starts_with('{') && !head.contains(" for ");
        if is_block {
            let block = &rest[open..open + closing(&rest[open..])];
            found.push((word(head), block.to_owned()));
        }
    }
    found
}

/// The fields of a struct that other modules can reach.
fn shared_fields(definition: &str) -> Vec<String> {
    let Some(open) = definition.find(['{', '(', ';']) else {
        return Vec::new();
    };
    let end = match &definition[open..=open] {
        "{" => open + closing(&definition[open..]),
        _ => definition.find(';').unwrap_or(definition.len()),
    };
    keyword(&definition[open..end], "pub")
        .map(|(_, field)| {
            let field = field.split([',', '\n', '}']).next().unwrap_or_default();
            format!("pub{field}")
        })
        .collect()
}

#[test]
fn parser_finds_inherent_impls_and_shared_fields() {
    let code = "impl Node {\n fn a(&mut self) {}\n}\nimpl<T> List<T> { fn b() {} }\n\
                impl Drop for Node { fn drop(&mut self) {} }\nfn c() -> impl Iterator {}\n\
                struct D {\n a: u8,\n pub(super) b: u8,\n}\nstruct E(pub(crate) u8);\n";
    let names: Vec<String> = impls(code).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["Node", "List"]);
    let fields: Vec<String> = keyword(code, "struct")
        .flat_map(|(_, rest)| shared_fields(rest))
        .collect();
    assert_eq!(fields, ["pub(super) b: u8", "pub(crate) u8)"]);
}
