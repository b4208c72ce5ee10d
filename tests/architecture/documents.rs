//! Links, paths and citations of documents and comments resolve, and the map is complete.

use std::collections::BTreeSet;

use crate::assert_none;
use crate::tree::{exists, files, names, read};

#[test]
fn readme_names_checked_commands() {
    let readme = read("README.md");
    for command in ["cargo run --release -- demo", "cargo test --workspace"] {
        let quoted = readme.lines().any(|line| line.starts_with(command));
        assert!(quoted, "README.md does not show `{command}`");
    }
    assert!(read(".ci/tests").contains("\ncargo test --workspace "));
    assert!(read(".ci/demo").contains("--release -- demo"));
}

#[test]
fn tests_that_the_levels_page_names_exist() {
    let page = read("docs/levels.md");
    let (_, table) = page.split_once("## Tests of the anonymity notes").unwrap();
    let code: String = files(&["src", "circuits", "tests"], "rs")
        .into_values()
        .collect();
    let names = table.split('`').skip(1).step_by(2);
    let (known, missing): (Vec<&str>, Vec<&str>) =
        names.partition(|name| code.contains(&format!("fn {name}()")));
    assert!(
        known.len() > 40,
        "the page names only {} tests",
        known.len()
    );
    let missing = missing.into_iter().map(str::to_owned).collect();
    assert_none("docs/levels.md names tests that do not exist", missing);
}

#[test]
fn document_links_resolve() {
    let mut dead = Vec::new();
    for (path, text) in documents() {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap_or_default();
            if link.contains("://") {
                continue;
            }
            let (target, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = resolve(folder, target, &path);
            if !exists(&target) {
                dead.push(format!("{path}: {link}"));
            } else if !heading.is_empty() && !headings(&target).any(|own| own == heading) {
                dead.push(format!("{path}: {link} has no such heading"));
            }
        }
    }
    assert_none("dead links", dead);
}

#[test]
fn document_paths_exist() {
    let mut dead = Vec::new();
    for (path, text) in documents() {
        for quoted in text.split('`').skip(1).step_by(2) {
            let inside = [
                "src/",
                "circuits/",
                "tor/",
                "watch/",
                "tests/",
                "fuzz/",
                "docs/",
                ".ci/",
            ];
            let is_path = inside.iter().any(|folder| quoted.starts_with(folder))
                && !quoted.contains(['<', '*', ' ', '{']);
            if is_path && !exists(quoted) && !exists(&format!("circuits/{quoted}")) {
                dead.push(format!("{path}: {quoted}"));
            }
        }
    }
    for (path, text) in files(&["src", "circuits", "tests"], "rs") {
        for word in text.split(|c: char| c.is_whitespace() || "`(),;\"".contains(c)) {
            let word = word.trim_end_matches(['.', ':']);
            if word.starts_with("docs/") && word.ends_with(".md") && !exists(word) {
                dead.push(format!("{path}: {word}"));
            }
        }
    }
    assert_none("dead paths", dead);
}

#[test]
fn citations_resolve() {
    let rules = heading_numbers("docs/spec.md");
    let facts = heading_numbers("docs/protocol.md");
    let notes = heading_numbers("docs/anonymity.md");
    let mut dead = Vec::new();
    for (path, text) in files(&["src", "circuits", "tests", "fuzz/targets"], "rs") {
        let comments = text.lines().map(str::trim_start);
        for line in comments.filter(|line| line.starts_with("//")) {
            if let Some((_, cited)) = line.split_once("spec ") {
                let rule = |word: &&str| {
                    let number = word.strip_prefix(['M', 'F']).unwrap_or_default();
                    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
                };
                let words = cited.split(|c: char| !c.is_alphanumeric());
                let lost = words.filter(rule).filter(|word| !rules.contains(*word));
                dead.extend(lost.map(|word| format!("{path}: spec {word}")));
            }
            for (cite, page, numbers) in [
                ("protocol sheet ", "docs/protocol.md", &facts),
                ("anonymity ", "docs/anonymity.md", &notes),
                ("anonymity notes ", "docs/anonymity.md", &notes),
            ] {
                let Some((_, cited)) = line.split_once(cite) else {
                    continue;
                };
                let number = cited.split(|c: char| !c.is_alphanumeric() && c != '.');
                let number = number.take(1).collect::<String>();
                let number = number.trim_end_matches('.');
                if number.contains(|c: char| c.is_ascii_digit()) && !numbers.contains(number) {
                    dead.push(format!("{path}: {number} is not in {page}"));
                }
            }
            if let Some((before, after)) = line.split_once(".md, section \"") {
                let page = before.rsplit([' ', '(']).next().unwrap_or_default();
                let title = after.split('"').next().unwrap_or_default();
                let anchor = anchor(title);
                if !headings(&format!("{page}.md")).any(|own| own == anchor) {
                    dead.push(format!("{path}: {page}.md, section \"{title}\""));
                }
            }
        }
    }
    assert_none("dead citations", dead);
}

#[test]
fn design_map_lists_exactly_the_modules() {
    let map = read("docs/design.md");
    let mut complaints = Vec::new();
    for (title, source) in [
        ("## Crate `circuits`", "circuits/src"),
        ("## Crate `whisht`", "src"),
        ("## Crate `whisht-tor`", "tor/src"),
        ("## Crate `whisht-watch`", "watch/src"),
    ] {
        let section = map.split(title).nth(1).unwrap_or_default();
        let section = section.split("\n## ").next().unwrap_or_default();
        let mapped: Vec<&str> = section
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .collect();
        let modules: Vec<String> = names(source)
            .iter()
            .filter_map(|name| name.strip_suffix(".rs").map(str::to_owned))
            .filter(|name| name != "lib")
            .collect();
        for module in modules
            .iter()
            .filter(|name| !mapped.contains(&name.as_str()))
        {
            complaints.push(format!("{source}/{module}.rs is not on the map"));
        }
        for module in mapped
            .iter()
            .filter(|name| modules.iter().all(|own| own != *name))
        {
            complaints.push(format!(
                "the map shows {source}/{module}.rs, which does not exist"
            ));
        }
    }
    assert_none("docs/design.md", complaints);
}

#[test]
fn design_map_lists_all_test_files() {
    let map = read("docs/design.md");
    let missing = ["tests", "circuits/tests", "watch/tests"]
        .into_iter()
        .flat_map(|folder| {
            let files = names(folder)
                .into_iter()
                .filter(|name| name.ends_with(".rs"));
            files.map(move |name| format!("{folder}/{name}"))
        });
    let missing = missing.filter(|path| !map.contains(&format!("\n| `{path}` |")));
    assert_none("docs/design.md, section \"Tests\"", missing.collect());
}

#[test]
fn decision_records_are_numbered_and_listed() {
    let list = read("docs/decisions/README.md");
    let pages = names("docs/decisions").into_iter();
    for (index, page) in pages.filter(|name| name != "README.md").enumerate() {
        let number = format!("{:04}", index + 1);
        assert!(
            page.starts_with(&number),
            "{page} should be number {number}"
        );
        assert!(list.contains(&format!("]({page})")), "{page} is not listed");
        let title = read(&format!("docs/decisions/{page}"));
        assert!(
            title.starts_with(&format!("# {number}: ")),
            "{page} is titled otherwise"
        );
    }
}

fn documents() -> impl Iterator<Item = (String, String)> {
    files(&[".", "docs", "tests", "circuits", "fuzz"], "md").into_iter()
}

/// A link as a path from the root.
fn resolve(folder: &str, target: &str, own: &str) -> String {
    if target.is_empty() {
        return own.to_owned();
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.trim_end_matches('/').split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The first words of a document's headings: the numbers by which they are cited.
fn heading_numbers(path: &str) -> BTreeSet<String> {
    let text = read(path);
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .filter_map(|line| line.split_whitespace().nth(1))
        .map(str::to_owned)
        .collect()
}

/// A heading's anchor, as a renderer makes it.
fn anchor(title: &str) -> String {
    let kept = title.chars();
    let kept = kept.filter(|c| c.is_alphanumeric() || "- _".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// The anchors of a document's headings.
fn headings(path: &str) -> impl Iterator<Item = String> {
    let text = read(path);
    let anchors: Vec<String> = text
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches('#').trim_start()))
        .collect();
    anchors.into_iter()
}
