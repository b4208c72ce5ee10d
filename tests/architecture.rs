//! Architecture rules that the compiler does not check.
//!
//! Each test reads the tree as text and names every place that breaks its rule. A rule stands here
//! only if it can be broken by accident and would cost something: a layer that reaches upwards, a
//! core that reads a clock, a document that points nowhere. Taste is left to people.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a tree that cannot be read is a failed test"
)]

#[path = "architecture/code.rs"]
mod code;
#[path = "architecture/documents.rs"]
mod documents;
#[path = "architecture/layers.rs"]
mod layers;
#[path = "architecture/tree.rs"]
mod tree;

/// Fails with all complaints at once: whoever cleans up wants the whole list.
fn assert_none(rule: &str, complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{rule}:\n{}", complaints.join("\n"));
}
