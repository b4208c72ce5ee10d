//! Mail servers: who was away can ask for what was flooded meanwhile.
//!
//! A server keeps every envelope that entered its pool and gives ranges of them out to whoever may
//! ask (protocol sheet 8). Four ways of asking are alive, and are all understood: go-ethereum's
//! packed bytes, status-im's two sealed forms, and status-im's plain list ([`request`]). The
//! answer comes as P2P messages, and ends with a word of completion that go-ethereum's clients
//! ignore ([`response`]). Servers fill each other's gaps by [`sync`].
//!
//! Nothing here stores or sends. [`server`] and [`client`] are machines that are told what came
//! and say what to do; [`archive`] is the vocabulary in which a node talks to the store that its
//! shell keeps. A client tells the server what it reads about, unless it asks for more than it
//! wants: [`query_padding`] sees to that.

pub mod access;
pub mod archive;
pub mod client;
pub mod cursor;
pub mod query_padding;
pub mod request;
pub mod request_quota;
pub mod response;
pub mod server;
pub mod sync;

use core::fmt;

/// Names one request between a client and a server.
///
/// The hash of the envelope that carried it, or what the client put into a plain list.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct RequestId(pub [u8; 32]);

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestId([redacted])")
    }
}

/// Bytes of the largest packet that every peer takes: go-ethereum's default for all codes.
pub const MAX_PACKET: usize = 1 << 20;
