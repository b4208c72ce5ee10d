//! Requirements on every source file, and the functions that the core must not use.

use crate::assert_none;
use crate::tree::{exists, files, names, read};

/// The folders with code of ours.
pub(crate) const CODE: &[&str] = &[
    "src",
    "circuits",
    "tor",
    "watch",
    "tests",
    "benches",
    "fuzz/targets",
];

#[test]
fn source_files_start_with_module_docs() {
    let silent = files(CODE, "rs")
        .into_iter()
        .filter(|(path, text)| !text.starts_with("//! ") && !path.ends_with("tests.rs"))
        .map(|(path, _)| path);
    assert_none("begin with `//!`", silent.collect());
}

#[test]
fn source_files_are_declared_as_modules() {
    let mut orphans = Vec::new();
    for source in ["src", "circuits/src"] {
        for path in files(&[source], "rs").into_keys() {
            let inner = path.trim_start_matches(source).trim_start_matches('/');
            let inner = inner.trim_end_matches(".rs");
            let (parent, name) = match inner.rsplit_once('/') {
                Some((parent, name)) => (format!("{source}/{parent}.rs"), name),
                None if inner == "lib" || inner == "main" => continue,
                None => (format!("{source}/lib.rs"), inner),
            };
            let declares = |text: &str| text.contains(&format!("mod {name};"));
            if !declares(&read(&parent)) {
                orphans.push(format!("{path}: `mod {name};` is not in {parent}"));
            }
        }
    }
    assert_none("files that nothing compiles", orphans);
}

#[test]
fn core_uses_no_clock_socket_file_thread_or_global_rng() {
    let forbidden = [
        "tokio",
        "std::time::Instant",
        "std::time::SystemTime",
        "SystemTime::now",
        "Instant::now",
        "TcpStream",
        "TcpListener",
        "UdpSocket",
        "std::fs",
        "std::env",
        "std::process",
        "std::thread",
        "getrandom",
        "OsRng",
        "thread_rng",
        "rand::rng",
    ];
    let mut found = Vec::new();
    for (path, text) in core() {
        for (number, line) in code_lines(&text) {
            for word in forbidden.iter().filter(|word| line.contains(**word)) {
                found.push(format!("{path}:{number}: {word}"));
            }
        }
    }
    assert_none("only the shell and the command line may use them", found);
}

#[test]
fn circuits_crate_does_not_mention_whisper() {
    let mut found = Vec::new();
    for (path, text) in files(&["circuits/src"], "rs") {
        for (number, line) in code_lines(&text) {
            let lower = line.to_lowercase();
            for word in ["whisper", "shh/", "bloom", "devp2p"] {
                if lower.contains(word) {
                    found.push(format!("{path}:{number}: {word}"));
                }
            }
        }
    }
    assert_none("to `circuits` an envelope is a byte string", found);
}

#[test]
fn core_files_disable_no_lint_for_whole_file() {
    let mut found = Vec::new();
    for (path, text) in core() {
        for (number, line) in text.lines().enumerate() {
            if line.starts_with("#![expect(") || line.starts_with("#![allow(") {
                found.push(format!("{path}:{}", number + 1));
            }
        }
    }
    assert_none("switch a lint off for one statement at a time", found);
}

#[test]
fn unsafe_code_is_confined_and_has_safety_comments() {
    let keyword = ["uns", "afe"].concat();
    let mut found = Vec::new();
    for (path, text) in files(
        &["src", "circuits", "tests", "benches", "fuzz/targets"],
        "rs",
    ) {
        let home = path == "src/keccak.rs" || path.starts_with("src/keccak/");
        for (number, line) in code_lines(&text) {
            let mut words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            if !words.any(|word| word == keyword) {
                continue;
            }
            let above: Vec<&str> = text.lines().take(number - 1).map(str::trim_start).collect();
            let comment = above.iter().rev().take_while(|line| line.starts_with("//"));
            let said = comment
                .into_iter()
                .any(|line| line.starts_with("// SAFETY: "));
            if !home || !said {
                found.push(format!("{path}:{number}: {}", line.trim()));
            }
        }
    }
    assert!(read("Cargo.toml").contains("\nunsafe_code = \"deny\"\n"));
    assert!(read("circuits/src/lib.rs").contains("\n#![forbid(unsafe_code)]\n"));
    assert_none("only src/keccak may, with a SAFETY comment above", found);
}

#[test]
fn stand_in_arithmetic_is_named_by_simulator_only() {
    // The modules that hold a stand-in or choose between it and the real operation.
    let homes = [
        "circuits/src/arithmetic.rs",
        "circuits/src/cell_builder.rs",
        "circuits/src/cell_builder/stand_in.rs",
        "circuits/src/circuit/hop_keys.rs",
        "circuits/src/circuit/setup.rs",
        "circuits/src/relay.rs",
        "circuits/src/relay/stand_in.rs",
        "src/link/frame.rs",
        "src/link/handshake.rs",
    ];
    // They hand on the arithmetic that they were given.
    let passing = ["src/node/relay.rs", "src/node/emission/client_loops.rs"];
    let mut found = Vec::new();
    let sources = files(&["src", "circuits/src", "benches", "fuzz/targets"], "rs");
    for (path, text) in sources
        .into_iter()
        .filter(|(path, _)| !path.ends_with("/tests.rs"))
    {
        let simulator = path == "src/sim.rs" || path.starts_with("src/sim/");
        for (number, line) in code_lines(&text) {
            let names = line.contains("stand_in") || line.contains("StandIn");
            let chooses =
                line.contains("Arithmetic::stand_in") || line.contains(".with_arithmetic(");
            let passes_on = passing.contains(&path.as_str()) && !line.contains("stand_in");
            if (names && !simulator && !homes.contains(&path.as_str()))
                || (chooses && !simulator && !passes_on)
            {
                found.push(format!("{path}:{number}: {}", line.trim()));
            }
        }
    }
    assert_none("only src/sim may ask for a stand-in", found);
    for home in homes {
        let text = read(home);
        let guarded = text.contains("#[cfg(feature = \"sim\")]") || home.ends_with("stand_in.rs");
        assert!(guarded, "{home} has a stand-in without the feature `sim`");
    }
}

#[test]
fn adversaries_of_simulator_cannot_name_the_truth() {
    // The compiler hides the type of the truth from them; the imports show that nothing else of the
    // trial reaches them either.
    let mut found = Vec::new();
    for (path, text) in files(&["src/sim/anonymity"], "rs") {
        let is_adversary = path.starts_with("src/sim/anonymity/adversary");
        if !is_adversary && path != "src/sim/anonymity/sighting.rs" {
            continue;
        }
        for (number, line) in code_lines(&text) {
            if line.contains("trial") || line.contains("Truth") {
                found.push(format!("{path}:{number}: {}", line.trim()));
            }
        }
    }
    assert_none("an adversary reads sightings only", found);
    let trial = read("src/sim/anonymity/trial.rs");
    assert!(
        trial.contains("\nmod truth;\n"),
        "the truth must be private"
    );
    assert!(read("src/sim/anonymity/trial/truth.rs").contains("pub(super) struct Truth"));
}

#[test]
fn sources_contain_no_todo_marks() {
    let marks = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["HA", "CK"]].map(|mark| mark.concat());
    let mut found = Vec::new();
    let documents = files(&[".", "docs"], "md");
    for (path, text) in files(CODE, "rs").into_iter().chain(documents) {
        for (number, line) in text.lines().enumerate() {
            let mut words = line.split(|c: char| !c.is_ascii_alphanumeric());
            if words.any(|word| marks.iter().any(|mark| mark == word)) {
                found.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert_none("finish it, or document that it is missing", found);
}

#[test]
fn domain_separation_labels_are_prefix_free() {
    let mut labels: Vec<String> = Vec::new();
    for (_, text) in files(&["src", "circuits/src"], "rs") {
        for (_, line) in code_lines(&text) {
            let literals = line.split('"').skip(1).step_by(2);
            labels.extend(literals.filter(|text| is_label(text)).map(str::to_owned));
        }
    }
    labels.sort();
    labels.dedup();
    assert!(labels.len() > 3, "the search finds no labels: {labels:?}");
    let clash = labels
        .iter()
        .zip(labels.iter().skip(1))
        .filter(|(shorter, longer)| longer.starts_with(shorter.as_str()))
        .map(|(shorter, longer)| format!("{shorter} and {longer}"));
    assert_none("two inputs could be equal", clash.collect());
}

/// Whether a text is a label that separates domains. The bare prefix, which code extends, is not.
fn is_label(text: &str) -> bool {
    text.strip_prefix("whisht/1/")
        .is_some_and(|rest| !rest.is_empty())
}

#[test]
fn vector_files_are_described_in_readme() {
    let mut silent = Vec::new();
    for folder in ["tests/vectors", "circuits/tests/vectors"] {
        let data = |name: &String| !name.ends_with(".rs") && name != "README.md";
        for name in names(folder).into_iter().filter(data) {
            let readme = format!("{folder}/README.md");
            if !exists(&readme) || !read(&readme).contains(&name) {
                silent.push(format!("{folder}/{name}"));
            }
        }
    }
    assert_none("name the source in the README beside it", silent);
}

/// The files of the core, which compiles without tokio.
fn core() -> impl Iterator<Item = (String, String)> {
    let shell = ["src/shell", "src/cli", "src/main.rs"];
    files(&["src", "circuits/src"], "rs")
        .into_iter()
        .filter(move |(path, _)| !shell.iter().any(|part| path.starts_with(part)))
        .filter(|(path, _)| !path.ends_with("tests.rs") && !path.contains("/tests/"))
}

/// Numbered lines without comments, up to the tests at the end of the file.
pub(crate) fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .take_while(|line| *line != "#[cfg(test)]")
        .enumerate()
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or_default()))
        .filter(|(_, line)| !line.trim().is_empty())
}
