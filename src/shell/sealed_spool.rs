//! A file of unknown length that waits on the disk until it is complete: sealed, and without a name.
//!
//! A browser does not say how long a file is before it has sent it. What arrives is sealed chunk by chunk
//! under a key that is in memory only, into a file that no folder names: it is gone with the process. Memory
//! holds one chunk. The caller bounds the length.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use circuits::erasing_rng::ErasingRng;
use zeroize::Zeroizing;

use super::seeded_rng;
use crate::sealed_file::{FILE_CHUNK, FileKey, SEALED_CHUNK, StoredFileId};

/// A file in sealed chunks. It is written once, finished, and read from its begin.
#[derive(Debug)]
pub struct SealedSpool {
    file: File,
    id: StoredFileId,
    key: FileKey,
    rng: ErasingRng,
    /// What does not fill a chunk yet.
    pending: Zeroizing<Vec<u8>>,
    written: u32,
    len: u64,
    /// The next chunk to read.
    next: u32,
}

impl SealedSpool {
    /// A spool on the disk of this folder. Blocks.
    ///
    /// # Errors
    ///
    /// The error of the operating system, also where its file system has no files without a name.
    pub fn create(folder: &Path) -> io::Result<Self> {
        let mut rng = seeded_rng().map_err(io::Error::other)?;
        Ok(Self {
            file: unnamed_file(folder)?,
            id: StoredFileId::draw(&mut rng),
            key: FileKey::draw(&mut rng),
            rng,
            pending: Zeroizing::new(Vec::with_capacity(FILE_CHUNK)),
            written: 0,
            len: 0,
            next: 0,
        })
    }

    /// Appends bytes. Blocks when a chunk is full.
    ///
    /// # Errors
    ///
    /// The error of the operating system.
    pub fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = FILE_CHUNK.saturating_sub(self.pending.len());
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.pending.extend_from_slice(now);
            self.len = self
                .len
                .saturating_add(u64::try_from(now.len()).unwrap_or(u64::MAX));
            if self.pending.len() == FILE_CHUNK {
                self.seal_pending()?;
            }
            bytes = later;
        }
        Ok(())
    }

    /// Seals what is left; the next chunk that is read is the first. Blocks.
    ///
    /// # Errors
    ///
    /// The error of the operating system.
    pub fn finish(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            self.seal_pending()?;
        }
        self.rewind()
    }

    /// Number of bytes that were written.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The next chunk that is read is the first one. Blocks.
    ///
    /// # Errors
    ///
    /// The error of the operating system.
    pub fn rewind(&mut self) -> io::Result<()> {
        self.next = 0;
        self.file.rewind()
    }

    /// The next chunk: 65,536 bytes, or what is left; `None` at the end. Blocks.
    ///
    /// # Errors
    ///
    /// The error of the operating system, or that the disk changed the chunk.
    pub fn next_chunk(&mut self) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        if self.next >= self.written {
            return Ok(None);
        }
        let mut sealed = vec![0; SEALED_CHUNK];
        self.file.read_exact(&mut sealed)?;
        let opened = self.key.open(self.id, self.next, &sealed);
        let mut chunk = opened.map_err(io::Error::other)?;
        let chunk_len = u64::try_from(FILE_CHUNK).unwrap_or(u64::MAX);
        let before = chunk_len.saturating_mul(u64::from(self.next));
        let left = self.len.saturating_sub(before);
        chunk.truncate(usize::try_from(left).unwrap_or(FILE_CHUNK));
        self.next = self.next.saturating_add(1);
        Ok(Some(chunk))
    }

    fn seal_pending(&mut self) -> io::Result<()> {
        let sealed = self
            .key
            .seal(self.id, self.written, &self.pending, &mut self.rng);
        self.file.write_all(&sealed.map_err(io::Error::other)?)?;
        self.written = self
            .written
            .checked_add(1)
            .ok_or(io::ErrorKind::FileTooLarge)?;
        self.pending.clear();
        Ok(())
    }
}

/// A file that no folder names.
#[cfg(target_os = "linux")]
fn unnamed_file(folder: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};

    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    Ok(File::from(rustix::fs::open(folder, flags, mode)?))
}

/// Other systems have no such file; one with a name would stay after a crash.
#[cfg(not(target_os = "linux"))]
fn unnamed_file(_: &Path) -> io::Result<File> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this system has no files without a name",
    ))
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    fn bytes(len: u32) -> Vec<u8> {
        (0..len).flat_map(u32::to_le_bytes).collect()
    }

    fn whole(spool: &mut SealedSpool) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(chunk) = spool.next_chunk().unwrap() {
            assert!(chunk.len() <= FILE_CHUNK);
            all.extend_from_slice(&chunk);
        }
        all
    }

    #[test]
    fn spool_gives_back_what_was_written_in_any_parts() {
        let dir = tempfile::tempdir().unwrap();
        for part in [1_000, FILE_CHUNK, 3 * FILE_CHUNK + 1] {
            let content = bytes(80_000);
            let mut spool = SealedSpool::create(dir.path()).unwrap();
            for part in content.chunks(part) {
                spool.write(part).unwrap();
                assert!(
                    spool.pending.capacity() == FILE_CHUNK,
                    "memory holds one chunk"
                );
            }
            spool.finish().unwrap();
            assert_eq!(spool.len(), 320_000);
            assert!(whole(&mut spool) == content);
            spool.rewind().unwrap();
            assert!(whole(&mut spool) == content, "a second reading");
        }
    }

    #[test]
    fn disk_has_neither_a_name_nor_the_content_of_a_spool() {
        let dir = tempfile::tempdir().unwrap();
        let secret = b"the minister signed it on a Sunday ".repeat(4_000);
        let mut spool = SealedSpool::create(dir.path()).unwrap();
        spool.write(&secret).unwrap();
        spool.finish().unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let mut stored = Vec::new();
        spool.file.read_to_end(&mut stored).unwrap();
        assert!(stored.len() > secret.len());
        let begin = secret.get(..16).unwrap();
        assert!(!stored.windows(16).any(|window| window == begin));
    }

    #[test]
    fn chunk_that_the_disk_changed_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = SealedSpool::create(dir.path()).unwrap();
        spool.write(&[7; 100]).unwrap();
        spool.finish().unwrap();
        spool.file.write_all(&[0; 40]).unwrap();
        spool.rewind().unwrap();
        assert!(spool.next_chunk().is_err());
    }
}
