//! A type name has one definition, so that a search finds it.
//!
//! A few names recur by convention, such as the arguments of each subcommand. A module that uses one
//! of them names its module too, or renames it.

use std::collections::BTreeMap;

use crate::assert_none;
use crate::source::{Source, keyword, line_of, word};
use crate::tree::files;

const CRATES: &[&str] = &["src", "circuits/src", "tor/src", "watch/src"];
/// Names that may be defined more than once.
const MAX_REPEATED: usize = 20;

#[test]
fn at_most_20_type_names_are_defined_twice() {
    let repeated = repeated();
    if repeated.len() > MAX_REPEATED {
        let list = repeated.into_iter();
        let list = list.map(|(name, places)| format!("{name}: {}", places.join(", ")));
        assert_none("rename some of them", list.collect());
    }
}

#[test]
fn repeated_type_names_are_not_imported_bare() {
    let repeated = repeated();
    let mut bare: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, source) in sources() {
        for (at, rest) in keyword(source.without_tests(), "use") {
            let import = rest.split(';').next().unwrap_or_default();
            let first = word(import.trim_start());
            let is_ours = ["crate", "super", "self", "circuits", "whisht"].contains(&&*first)
                || first.starts_with("whisht_");
            // `pub use` gives the name to its module; callers then name this module.
            let is_export = source.code[..at].trim_end().ends_with("pub");
            if is_ours && !is_export {
                let line = line_of(&source.code, at);
                for name in leaves(import) {
                    bare.entry(name).or_default().push(format!("{path}:{line}"));
                }
            }
        }
    }
    bare.retain(|name, _| repeated.contains_key(name));
    let list = bare.into_iter().map(|(name, imports)| {
        let places = repeated[&name].join(" and ");
        let first = &imports[0];
        format!(
            "{name}: defined at {places}; {} bare imports, the first at {first}",
            imports.len()
        )
    });
    assert_none("import the module, or rename one type", list.collect());
}

/// The type names with several definitions, and their places.
fn repeated() -> BTreeMap<String, Vec<String>> {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, source) in sources() {
        let code = source.without_tests();
        for kind in ["struct", "enum", "union", "trait", "type"] {
            for (at, rest) in keyword(code, kind) {
                let start = code[..at].rfind('\n').map_or(0, |end| end + 1);
                let before = code[start..at].trim();
                // Associated types are indented, and belong to their trait.
                let is_item = kind != "type" || !code[start..].starts_with(' ');
                let is_definition = before.is_empty() || before.starts_with("pub");
                let name = word(rest.trim_start());
                if is_item && is_definition && !name.is_empty() {
                    let place = format!("{path}:{}", line_of(code, at));
                    places.entry(name).or_default().push(place);
                }
            }
        }
    }
    places.retain(|_, places| places.len() > 1);
    places
}

fn sources() -> impl Iterator<Item = (String, Source)> {
    files(CRATES, "rs")
        .into_iter()
        .filter(|(path, _)| !path.ends_with("tests.rs") && !path.contains("/tests/"))
        .map(|(path, text)| (path, Source::of(&text)))
}

/// The names that an import brings into scope unchanged.
fn leaves(import: &str) -> Vec<String> {
    import
        .split(['{', '}', ','])
        .filter(|item| !item.contains(" as ") && !item.trim().ends_with("::"))
        .filter_map(|item| item.rsplit("::").next())
        .map(|name| word(name.trim()))
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn import_parser_finds_bare_names() {
    let import = " crate::a::{B, c::D as E, c::{self, F}, g::H}";
    assert_eq!(leaves(import), ["B", "self", "F", "H"]);
}
