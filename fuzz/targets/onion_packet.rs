//! One packet of `onion/1` from a peer: the first byte is its code, the rest its body.
//!
//! Every body has one encoding, so a parsed body must be written as the same bytes.

use whisht::onion_wire::OnionMessage;

/// Reads one packet. Panics if a rule is broken.
pub fn onion_packet(data: &[u8]) {
    let Some((&code, body)) = data.split_first() else {
        return;
    };
    if let Ok(Some(message)) = OnionMessage::decode(code, body) {
        assert_eq!(message.code(), code);
        assert_eq!(message.encode().as_deref(), Ok(body));
    }
}
