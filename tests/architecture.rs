//! Architecture rules that the compiler does not check.
//!
//! Each test reads the tree as text and names every place that breaks its rule. A rule is here only
//! if it can be broken by accident at a cost: a layer that depends on a higher one, a core that reads
//! a clock, a dead link, a word that no reader searches for.

#![expect(
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a tree that cannot be read is a failed test"
)]

#[path = "architecture/code.rs"]
mod code;
#[path = "architecture/documents.rs"]
mod documents;
#[path = "architecture/layers.rs"]
mod layers;
#[path = "architecture/node.rs"]
mod node;
#[path = "architecture/sizes.rs"]
mod sizes;
#[path = "architecture/source.rs"]
mod source;
#[path = "architecture/tree.rs"]
mod tree;
#[path = "architecture/types.rs"]
mod types;
#[path = "architecture/words.rs"]
mod words;

/// Fails with all complaints at once, because a cleanup needs the whole list.
fn assert_none(rule: &str, complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{rule}:\n{}", complaints.join("\n"));
}
