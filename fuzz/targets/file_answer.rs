//! The answer to the offer of a file.

use whisht::transfer::answer::FileAnswer;

/// Decodes the input. Panics if what was decoded is encoded differently.
pub fn file_answer(data: &[u8]) {
    if let Ok(answer) = FileAnswer::decode(data) {
        assert_eq!(answer.encode(), data);
    }
}
