//! First messages: bodies, what their boxes contain, stored boxes and key blocks.

use whisht::contact::first_contact::{FirstBox, FirstContent, Tau};
use whisht::contact::key_block::KeyBlock;

/// Decodes the input as each of them. Panics if what was decoded is encoded differently, or if a body opens.
pub fn first_message(data: &[u8]) {
    if let Ok(content) = FirstContent::decode(&Tau([7; 32]), data) {
        assert!(data.ends_with(&content.content));
    }
    if let Ok(stored) = FirstBox::from_bytes(data) {
        assert_eq!(stored.to_bytes().as_slice(), data);
        assert!(stored.unwrap_body(data).is_err());
    }
    if let Some(Ok(block)) = data.first_chunk().map(KeyBlock::decode) {
        assert!(data.starts_with(&block.to_bytes()));
    }
}
