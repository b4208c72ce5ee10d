//! Mail servers: a client that was offline requests the envelopes flooded meanwhile.
//!
//! A server archives every envelope that entered its pool and answers requests for ranges of time
//! (protocol sheet 8). Four request formats are in use and supported: go-ethereum's packed bytes,
//! status-im's two sealed forms, and status-im's plain list ([`request`]). The answer is a series
//! of P2P messages and ends with a completion packet, which go-ethereum's clients ignore
//! ([`response`]). Servers fill each other's gaps by [`sync`].
//!
//! This module neither stores nor sends. [`server`] and [`client`] are state machines that receive
//! packets and return actions. [`archive`] defines the requests and responses between a node and
//! the store of its shell. A request shows the server the client's topics unless it asks for more
//! than the client wants: [`query_padding`] adds the rest.

pub mod access;
pub mod archive;
pub mod client;
pub mod cursor;
mod password_guesses;
pub mod query_padding;
pub mod request;
pub mod request_quota;
pub mod response;
pub mod server;
pub mod sync;

use core::fmt;

/// Identifies one request between a client and a server.
///
/// The hash of the envelope that carried the request, or an identifier of the client in a plain
/// list.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct RequestId(pub [u8; 32]);

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestId([redacted])")
    }
}

/// Bytes of the largest packet that every peer accepts: go-ethereum's default for all codes.
pub const MAX_PACKET: usize = 1 << 20;
