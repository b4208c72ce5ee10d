//! Tests of the store for files, in memory and in a folder.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::memory::MAX_MEMORY_BYTES;
use super::*;
use crate::sealed_file::FileKey;

fn rng() -> ErasingRng {
    ErasingRng::from_seed(&[3; 32])
}

fn worker(chunks: impl ChunkStore + 'static) -> FileWorker {
    FileWorker {
        chunks: Box::new(chunks),
        rng: rng(),
    }
}

fn store(file: StoredFileId, key: &Arc<FileKey>, chunk: u32, bytes: &[u8]) -> FileRequest {
    FileRequest::Store {
        file,
        key: Arc::clone(key),
        chunk,
        bytes: Zeroizing::new(bytes.to_vec()),
    }
}

fn read(file: StoredFileId, key: &Arc<FileKey>, chunk: u32) -> FileRequest {
    let key = Arc::clone(key);
    FileRequest::Read { file, key, chunk }
}

/// The beginning of a chunk, without the zeros that fill it up.
fn text(answer: Result<FileResponse, FileFault>) -> Vec<u8> {
    let Ok(FileResponse::Chunk(bytes)) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(bytes.len(), FILE_CHUNK);
    let end = bytes.iter().position(|byte| *byte == 0);
    bytes.iter().copied().take(end.unwrap()).collect()
}

fn both() -> (tempfile::TempDir, [FileWorker; 2]) {
    let dir = tempfile::tempdir().unwrap();
    let folder = FolderStore::new(dir.path().join("files"));
    (dir, [worker(MemoryStore::default()), worker(folder)])
}

#[test]
fn chunk_comes_back_whatever_the_order_in_which_chunks_were_stored() {
    let (_dir, workers) = both();
    for mut worker in workers {
        let (file, key) = (StoredFileId([1; 16]), Arc::new(FileKey::draw(&mut rng())));
        for (chunk, bytes) in [(2, b"third"), (0, b"first"), (2, b"again")] {
            let stored = worker.carry_out(store(file, &key, chunk, bytes));
            assert!(matches!(stored, Ok(FileResponse::Stored)), "{stored:?}");
        }
        assert_eq!(text(worker.carry_out(read(file, &key, 2))), b"again");
        assert_eq!(text(worker.carry_out(read(file, &key, 0))), b"first");
        // A slot between stored ones is a hole in a folder.
        let hole = worker.carry_out(read(file, &key, 1)).unwrap_err();
        assert!(matches!(hole, FileFault::Missing | FileFault::Damaged));
        let behind = worker.carry_out(read(file, &key, 3)).unwrap_err();
        assert_eq!(behind, FileFault::Missing);
        let other = Arc::new(FileKey::draw(&mut ErasingRng::from_seed(&[4; 32])));
        let damaged = worker.carry_out(read(file, &other, 0)).unwrap_err();
        assert_eq!(damaged, FileFault::Damaged);
    }
}

#[test]
fn files_that_the_state_does_not_name_are_erased_and_the_others_stay() {
    let (_dir, workers) = both();
    for mut worker in workers {
        let key = Arc::new(FileKey::draw(&mut rng()));
        let [kept, orphan, erased] = [1, 2, 3].map(|number| StoredFileId([number; 16]));
        for file in [kept, orphan, erased] {
            worker.carry_out(store(file, &key, 0, b"x")).unwrap();
        }
        worker.carry_out(FileRequest::Erase(erased)).unwrap();
        worker.carry_out(FileRequest::Erase(erased)).unwrap();
        let others = FileRequest::EraseOthers(vec![kept]);
        worker.carry_out(others).unwrap();
        assert_eq!(worker.chunks.files().unwrap(), [kept]);
        let gone = worker.carry_out(read(orphan, &key, 0)).unwrap_err();
        assert_eq!(gone, FileFault::Missing);
        assert_eq!(text(worker.carry_out(read(kept, &key, 0))), b"x");
    }
}

#[test]
fn folder_holds_no_byte_of_the_plaintext_and_belongs_to_its_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("files");
    let mut worker = worker(FolderStore::new(folder.clone()));
    let key = Arc::new(FileKey::draw(&mut rng()));
    let file = StoredFileId([9; 16]);
    let secret = b"the list of names of our sources";
    worker.carry_out(store(file, &key, 1, secret)).unwrap();
    let path = folder.join(hex::encode(file.0));
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(bytes.len(), 2 * SEALED_CHUNK);
    assert!(!bytes.windows(8).any(|eight| eight == &secret[..8]));
    for (path, mode) in [(&folder, 0o700), (&path, 0o600)] {
        let found = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(found & 0o777, mode, "{}", path.display());
    }
}

#[test]
fn file_above_the_room_is_refused_with_both_figures() {
    let mut worker = worker(MemoryStore::default());
    let room = worker.carry_out(FileRequest::CheckRoom(32 << 20));
    assert!(matches!(room, Ok(FileResponse::Room)), "{room:?}");
    let refused = worker.carry_out(FileRequest::CheckRoom(64 << 20));
    assert_eq!(
        refused.unwrap_err(),
        FileFault::NoRoom {
            needed: 1024 * wide(SEALED_CHUNK),
            available: MAX_MEMORY_BYTES
        }
    );
}

#[test]
fn flood_of_chunks_does_not_grow_memory_above_its_limit() {
    let mut chunks = MemoryStore::default();
    let sealed = vec![0; SEALED_CHUNK];
    let file = StoredFileId([1; 16]);
    let most = MAX_MEMORY_BYTES / wide(SEALED_CHUNK);
    for chunk in 0..u32::try_from(most).unwrap() {
        chunks.write(file, chunk, &sealed).unwrap();
    }
    let refused = chunks.write(file, u32::MAX, &sealed).unwrap_err();
    assert!(matches!(refused, FileFault::NoRoom { .. }));
    // A chunk that is there already takes no further room.
    chunks.write(file, 0, &sealed).unwrap();
    chunks.erase(file).unwrap();
    assert_eq!(chunks.available().unwrap(), MAX_MEMORY_BYTES);
}

#[test]
fn disk_room_leaves_a_reserve_for_the_records_of_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let mut worker = worker(FolderStore::new(dir.path().join("files")));
    let available = worker.chunks.available().unwrap();
    let system = rustix::fs::statvfs(dir.path()).unwrap();
    assert!(available < system.f_bavail * system.f_frsize);
    let refused = worker.carry_out(FileRequest::CheckRoom(u64::MAX / 2));
    assert!(matches!(refused, Err(FileFault::NoRoom { .. })));
}
