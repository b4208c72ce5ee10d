//! The plaintext of a message of a conversation: the decoder of its head and parts.

use whisht::contact::parts::{InnerMessage, Part};

/// Reads the input as a plaintext. Panics if a rule is broken.
pub fn contact_parts(data: &[u8]) {
    let Some(bind) = data.get(22..38).and_then(|bytes| bytes.first_chunk()) else {
        return;
    };
    let Ok(message) = InnerMessage::decode(data, bind) else {
        return;
    };
    // What a decoder accepts, an encoder can say, and it reads the same again.
    let parts = Part::encode_all(&message.parts).expect("decoded parts are within their limits");
    let again = InnerMessage::encode(message.number, message.acks, bind, &parts);
    let decoded = InnerMessage::decode(&again, bind).expect("an encoding decodes");
    assert_eq!(decoded, message);
    assert!(again.len() <= data.len());
}
