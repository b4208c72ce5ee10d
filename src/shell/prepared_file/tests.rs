//! Tests of files that are made ready: their names, and what cleans them.

use std::path::Path;
use std::process::Command;

use super::*;

fn written(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn whole(file: &mut PreparedFile) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(chunk) = file.next_chunk().unwrap() {
        bytes.extend_from_slice(&chunk);
    }
    bytes
}

#[test]
fn name_says_nothing_of_the_original_unless_the_user_gives_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(
        dir.path(),
        "Minutes of Jane Doe 2026-03-01.TXT",
        b"at nine\n",
    );
    let mut file = PreparedFile::open(&path, &FileWishes::default()).unwrap();
    assert_eq!((file.name(), file.size()), ("file.txt", 8));
    assert_eq!(whole(&mut file), b"at nine\n");
    let named = FileWishes {
        name: Some("minutes.txt".to_owned()),
        as_is: false,
    };
    let file = PreparedFile::open(&path, &named).unwrap();
    assert_eq!(file.name(), "minutes.txt");
    let long = FileWishes {
        name: Some("x".repeat(65)),
        as_is: false,
    };
    let refused = PreparedFile::open(&path, &long).unwrap_err();
    assert!(matches!(refused.cause, PrepareCause::LongName(65)));
}

#[test]
fn file_as_it_is_comes_in_whole_chunks_and_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..150_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let path = written(dir.path(), "dump.bin", &bytes);
    let wishes = FileWishes {
        name: None,
        as_is: true,
    };
    let mut file = PreparedFile::open(&path, &wishes).unwrap();
    assert_eq!((file.name(), file.size()), ("file.bin", 150_000));
    let first = file.next_chunk().unwrap().unwrap();
    assert_eq!(first.len(), FILE_CHUNK);
    let rest = whole(&mut file);
    assert_eq!([first.as_slice(), &rest].concat(), bytes);
}

#[test]
fn empty_file_and_folder_are_refused_with_the_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), "empty.txt", b"");
    let refused = PreparedFile::open(&path, &FileWishes::default()).unwrap_err();
    assert!(
        refused.to_string().contains("empty.txt: the file is empty"),
        "{refused}"
    );
    let refused = PreparedFile::open(dir.path(), &FileWishes::default()).unwrap_err();
    assert!(matches!(refused.cause, PrepareCause::NotAFile), "{refused}");
}

#[test]
fn file_without_an_ending_is_refused_and_the_remedy_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), "dump", b"\0\x01\x02");
    let refused = PreparedFile::open(&path, &FileWishes::default()).unwrap_err();
    let words = refused.to_string();
    assert!(
        words.contains("ending") && words.contains("--as-is"),
        "{words}"
    );
}

/// Whether mat2 works here in its sandbox. In continuous integration it must.
fn has_mat2() -> bool {
    let works = Path::new("/usr/bin/mat2").exists()
        && Command::new("bwrap")
            .args(["--unshare-all", "--ro-bind", "/", "/", "/bin/true"])
            .status()
            .is_ok_and(|status| status.success());
    assert!(
        works || std::env::var_os("CI").is_none(),
        "mat2 and bwrap must work in CI"
    );
    if !works {
        eprintln!("SKIPPED: mat2 and bwrap are missing or do not work; run .ci/prepare");
    }
    works
}

const PDF: &[u8] = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n\
    2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n\
    3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 72 72]>>endobj\n\
    4 0 obj<</Author(CANARY Jane)/Producer(CANARY)>>endobj\n\
    trailer<</Root 1 0 R/Info 4 0 R>>\n";

#[test]
fn author_of_a_document_is_removed_by_mat2_in_its_sandbox() {
    if !has_mat2() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), "report.pdf", PDF);
    let mut file = PreparedFile::open(&path, &FileWishes::default()).unwrap();
    assert_eq!(
        (file.name(), file.notes()),
        ("file.pdf", &["cleaned by mat2".to_owned()][..])
    );
    let bytes = whole(&mut file);
    assert!(bytes.starts_with(b"%PDF"));
    assert!(!bytes.windows(6).any(|window| window == b"CANARY"));
    assert_eq!(
        std::fs::read(&path).unwrap(),
        PDF,
        "the original is only read"
    );
}

#[test]
fn kind_that_mat2_does_not_know_is_refused_with_its_reason() {
    if !has_mat2() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = written(dir.path(), "dump.bin", b"\0\x01\x02");
    let refused = PreparedFile::open(&path, &FileWishes::default()).unwrap_err();
    let words = refused.to_string();
    assert!(
        words.contains("not supported") && words.contains("--as-is"),
        "{words}"
    );
}
