//! Files of the repository, as text.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The repository's files below `folders` that end in `extension`: path from the root, content.
pub(crate) fn files(folders: &[&str], extension: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for folder in folders {
        collect_files(folder, extension, &mut found);
    }
    assert!(!found.is_empty(), "no .{extension} in {folders:?}");
    found
}

/// Whether a path from the root names a file or a folder.
pub(crate) fn exists(path: &str) -> bool {
    root().join(path).exists()
}

/// Whether a path belongs to the node's module.
pub(crate) fn is_node(path: &str) -> bool {
    path == "src/node.rs" || path.starts_with("src/node/")
}

/// One file.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names in one folder, sorted; empty if there is no such folder.
pub(crate) fn names(folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root().join(folder)) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn collect_files(folder: &str, extension: &str, found: &mut BTreeMap<String, String>) {
    for name in names(folder) {
        let path = if folder == "." {
            name.clone()
        } else {
            format!("{folder}/{name}")
        };
        if root().join(&path).is_dir() {
            let ours = !name.starts_with('.') && name != "node_modules" && name != "target";
            if ours && folder != "." {
                collect_files(&path, extension, found);
            }
        } else if path.ends_with(&format!(".{extension}")) {
            found.insert(path.clone(), read(&path));
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
