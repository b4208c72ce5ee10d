//! RLP, the encoding of Ethereum's wire formats.
//!
//! [`RlpReader`] decodes what a peer wrote, and [`RlpWriter`] encodes what this node sends. All
//! formats of the node use the two; neither knows a format.

mod reader;
mod writer;

pub(crate) use self::reader::{RlpError, RlpItem, RlpReader, integer};
pub(crate) use self::writer::RlpWriter;
