//! The Hello message, by which two ends introduce themselves.
//!
//! Every version in a Hello is accepted, and elements of later versions are skipped (EIP-8). A
//! client name becomes printable ASCII of bounded length here, because user interfaces show it.

use circuits::ids::RelayKey;

use super::capability::{AdvertisedCapability, Capability};
use super::fault::PeerFault;
use crate::rlp::{RlpError, RlpReader, RlpWriter};

/// The content of a peer's Hello.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hello {
    /// Version of the base protocol; from 5 on, payloads are compressed.
    pub version: u64,
    /// Name of the program, reduced to printable ASCII.
    pub client_id: String,
    /// Capabilities in the peer's order, with repetitions.
    pub capabilities: Vec<AdvertisedCapability>,
    /// Port that the peer claims to listen on; geth always sends 0.
    pub listen_port: u64,
    /// Identity, not yet compared with the authenticated key of the handshake.
    pub id: RelayKey,
}

impl Hello {
    /// Reads a Hello payload.
    ///
    /// # Errors
    ///
    /// [`PeerFault::FrameTooLong`] above [`MAX_PAYLOAD`], [`PeerFault::HelloMalformed`], or
    /// [`PeerFault::IdentityInvalid`].
    pub fn decode(payload: &[u8]) -> Result<Self, PeerFault> {
        if payload.len() > MAX_PAYLOAD {
            return Err(PeerFault::FrameTooLong);
        }
        let (hello, id) = Self::parse(payload).map_err(|RlpError| PeerFault::HelloMalformed)?;
        let id = id.try_into().map_err(|_| PeerFault::IdentityInvalid)?;
        if id == [0; 64] {
            return Err(PeerFault::IdentityInvalid);
        }
        Ok(Self {
            id: RelayKey(id),
            ..hello
        })
    }

    fn parse(payload: &[u8]) -> Result<(Self, &[u8]), RlpError> {
        let mut fields = RlpReader::new(payload).list()?;
        let version = fields.integer()?;
        let client_id = harmless(fields.bytes()?);
        let mut listed = fields.list()?;
        let mut capabilities = Vec::new();
        while !listed.is_empty() {
            let mut pair = listed.list()?;
            capabilities.push(AdvertisedCapability {
                name: pair.bytes()?.to_vec(),
                version: pair.integer()?,
            });
            if !pair.is_empty() {
                return Err(RlpError);
            }
        }
        let listen_port = fields.integer()?;
        let id = fields.bytes()?;
        let hello = Self {
            version,
            client_id,
            capabilities,
            listen_port,
            id: RelayKey([0; 64]),
        };
        Ok((hello, id))
    }

    /// Whether payloads after the Hello are compressed.
    #[must_use]
    pub const fn speaks_snappy(&self) -> bool {
        self.version >= SNAPPY_VERSION
    }
}

/// Writes our own Hello. Sorts the capabilities and reduces the client name to printable ASCII.
#[must_use]
pub fn encode(
    client_id: &str,
    listen_port: u16,
    capabilities: &[Capability],
    id: &RelayKey,
) -> Vec<u8> {
    let mut sorted = capabilities.to_vec();
    sorted.sort_unstable();
    RlpWriter::only_list(|hello| {
        hello.integer(SNAPPY_VERSION);
        hello.bytes(harmless(client_id.as_bytes()).as_bytes());
        hello.list(|list| {
            for capability in sorted {
                list.list(|list| {
                    list.bytes(capability.name().as_bytes());
                    list.integer(capability.version());
                });
            }
        });
        hello.integer(listen_port).bytes(&id.0);
    })
}

/// Cuts a name to [`MAX_CLIENT_ID`] characters and replaces what is not printable ASCII.
fn harmless(name: &[u8]) -> String {
    String::from_utf8_lossy(name)
        .chars()
        .take(MAX_CLIENT_ID)
        .map(|c| if matches!(c, ' '..='~') { c } else { '?' })
        .collect()
}

/// Maximum length of a Hello payload, in bytes.
pub const MAX_PAYLOAD: usize = 2048;
/// Maximum length of a client name, in characters.
pub const MAX_CLIENT_ID: usize = 128;
/// The base protocol version that added compression (EIP-706), and the version of our Hello.
const SNAPPY_VERSION: u64 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_hello_round_trips_sorted() {
        let ours = [Capability::SHH_6, Capability::SHH_5, Capability::ONION_1];
        let hello = Hello::decode(&encode("whisht", 20_819, &ours, &RelayKey([7; 64]))).unwrap();
        let listed: Vec<_> = hello
            .capabilities
            .iter()
            .map(|listed| (listed.name.as_slice(), listed.version))
            .collect();
        assert_eq!(listed, [(&b"onion"[..], 1), (b"shh", 5), (b"shh", 6)]);
        assert_eq!(hello.client_id, "whisht");
        assert_eq!((hello.version, hello.listen_port), (5, 20_819));
        assert_eq!(hello.id, RelayKey([7; 64]));
    }

    #[test]
    fn client_name_with_control_characters_is_cleaned() {
        assert_eq!(harmless(b"a\x1b[2J\nb\xff\0"), "a?[2J?b??");
        assert_eq!(harmless("r\u{202e}l\u{e9}".as_bytes()), "r?l?");
        assert_eq!(harmless(&[b'n'; 5000]).len(), MAX_CLIENT_ID);
    }

    #[test]
    fn truncated_hello_is_refused() {
        let whole = encode("whisht", 0, &[Capability::SHH_6], &RelayKey([7; 64]));
        for len in 0..whole.len() {
            assert_eq!(Hello::decode(&whole[..len]), Err(PeerFault::HelloMalformed));
        }
    }
}
