//! Cleaning of files: pictures and texts of a user, which may come from an attacker.

use whisht::metadata::{FileKind, clean};

/// Reads the input as each kind of file. Panics if a rule is broken.
pub fn file_metadata(data: &[u8]) {
    for name in ["a.txt", "a.bin"] {
        let _ = FileKind::of(name, data);
    }
    for kind in [FileKind::Jpeg, FileKind::Png, FileKind::Text] {
        let Ok(cleaned) = clean(kind, data) else {
            continue;
        };
        // A segment with the turn of the picture may be new.
        assert!(cleaned.bytes.len() <= data.len() + 36);
        let again = clean(kind, &cleaned.bytes).unwrap();
        assert_eq!(again.bytes, cleaned.bytes, "what is clean stays as it is");
        assert_eq!(FileKind::of("a.txt", &cleaned.bytes), kind);
    }
    assert!(clean(FileKind::Other, data).is_err());
}
