//! A file of the user, made ready to be handed over: cleaned, and under a name that says nothing.
//!
//! Pictures and plain text are cleaned here ([`crate::metadata`]); every other kind goes through the program
//! `mat2`, if it and the sandbox `bwrap` are installed (`metadata_tool`). A file that cannot be cleaned is
//! refused with the reason, unless the user wants it as it is. The original is only read.

mod metadata_tool;

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::sealed_spool::SealedSpool;
use crate::metadata::{self, CleanError, CleanedFile, FileKind, MAX_PICTURE};
use crate::sealed_file::FILE_CHUNK;

pub use metadata_tool::ToolError;

/// What the user wants of a file.
#[derive(Clone, Debug, Default)]
pub struct FileWishes {
    /// The name that the recipient sees; `file` with the ending of its kind if `None`.
    pub name: Option<String>,
    /// Hand the file over as it is, with everything that it says about its maker.
    pub as_is: bool,
}

/// A file that is ready to be handed over.
#[derive(Debug)]
pub struct PreparedFile {
    name: String,
    size: u64,
    content: FileContent,
    notes: Vec<String>,
}

#[derive(Debug)]
enum FileContent {
    /// A cleaned file; where the next chunk begins.
    Cleaned(CleanedFile, usize),
    /// The file itself.
    Original(File),
    /// The file itself, as a browser uploaded it.
    Spooled(SealedSpool),
}

impl PreparedFile {
    /// Prepares a file. Blocks: for at most a minute if a program cleans it.
    ///
    /// # Errors
    ///
    /// [`PrepareError`] names the file, the reason and the remedy.
    pub fn open(path: &Path, wishes: &FileWishes) -> Result<Self, PrepareError> {
        let original = path.file_name().unwrap_or_default().to_string_lossy();
        let prepared = File::open(path)
            .map_err(PrepareCause::from)
            .and_then(|file| Self::of(file, &original, wishes));
        prepared.map_err(|cause| PrepareError {
            path: path.to_owned(),
            cause,
        })
    }

    /// Prepares an open file, whose name was this. Blocks as [`PreparedFile::open`].
    ///
    /// # Errors
    ///
    /// [`PrepareCause`] with the remedy.
    pub fn of(mut file: File, original: &str, wishes: &FileWishes) -> Result<Self, PrepareCause> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(PrepareCause::NotAFile);
        }
        if metadata.len() == 0 {
            return Err(PrepareCause::Empty);
        }
        let mut head = Vec::new();
        (&file).take(HEAD_LEN).read_to_end(&mut head)?;
        file.rewind()?;
        let kind = FileKind::of(original, &head);
        let ending = ending_of(kind, original);
        let name = shown_name(wishes, ending.as_deref())?;
        if wishes.as_is {
            return Ok(Self {
                name,
                size: metadata.len(),
                content: FileContent::Original(file),
                notes: Vec::new(),
            });
        }
        let cleaned = cleaned(kind, file, metadata.len(), ending.as_deref())?;
        Ok(Self {
            name,
            size: u64::try_from(cleaned.bytes.len()).unwrap_or(u64::MAX),
            notes: cleaned.notes.clone(),
            content: FileContent::Cleaned(cleaned, 0),
        })
    }

    /// Prepares a finished upload, whose name was this, to be handed over as it is. Blocks.
    ///
    /// # Errors
    ///
    /// [`PrepareCause`] with the remedy.
    pub fn of_spool(
        mut spool: SealedSpool,
        original: &str,
        wishes: &FileWishes,
    ) -> Result<Self, PrepareCause> {
        let first = spool.next_chunk()?.ok_or(PrepareCause::Empty)?;
        let kind = FileKind::of(original, &first);
        spool.rewind()?;
        Ok(Self {
            name: shown_name(wishes, ending_of(kind, original).as_deref())?,
            size: spool.len(),
            content: FileContent::Spooled(spool),
            notes: Vec::new(),
        })
    }

    /// The name that the recipient sees.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its size in bytes, after cleaning.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// What was removed or kept, for the user.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The next chunk is the first one again. Blocks while it seeks.
    ///
    /// # Errors
    ///
    /// The error of the operating system.
    pub fn rewind(&mut self) -> io::Result<()> {
        match &mut self.content {
            FileContent::Cleaned(_, at) => *at = 0,
            FileContent::Original(file) => file.rewind()?,
            FileContent::Spooled(spool) => spool.rewind()?,
        }
        Ok(())
    }

    /// The next chunk: 65,536 bytes, or what is left; `None` at the end. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// The error of the operating system.
    pub fn next_chunk(&mut self) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
        let mut chunk = Zeroizing::new(Vec::with_capacity(FILE_CHUNK));
        match &mut self.content {
            FileContent::Cleaned(file, at) => {
                let left = file.bytes.get(*at..).unwrap_or_default();
                let (next, _) = left.split_at_checked(FILE_CHUNK).unwrap_or((left, &[]));
                chunk.extend_from_slice(next);
                *at = at.saturating_add(next.len());
            }
            FileContent::Original(file) => {
                let limit = u64::try_from(FILE_CHUNK).unwrap_or(u64::MAX);
                file.take(limit).read_to_end(&mut chunk)?;
            }
            FileContent::Spooled(spool) => return spool.next_chunk(),
        }
        Ok((!chunk.is_empty()).then_some(chunk))
    }
}

fn cleaned(
    kind: FileKind,
    mut file: File,
    len: u64,
    ending: Option<&str>,
) -> Result<CleanedFile, PrepareCause> {
    if usize::try_from(len).map_or(true, |len| len > MAX_PICTURE) {
        return Err(PrepareCause::Unclean(CleanError::TooLong));
    }
    if kind == FileKind::Other {
        let bytes = metadata_tool::clean(file, ending)?;
        return Ok(CleanedFile {
            bytes,
            notes: vec!["cleaned by mat2".to_owned()],
        });
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.read_to_end(&mut bytes)?;
    metadata::clean(kind, &bytes).map_err(PrepareCause::Unclean)
}

/// The name that the recipient sees.
fn shown_name(wishes: &FileWishes, ending: Option<&str>) -> Result<String, PrepareCause> {
    match &wishes.name {
        Some(name) if name.len() > MAX_NAME_LEN => Err(PrepareCause::LongName(name.len())),
        Some(name) => Ok(name.clone()),
        None => Ok(ending.map_or_else(|| "file".to_owned(), |ending| format!("file.{ending}"))),
    }
}

/// The ending that the recipient sees: that of a known kind, else the original's.
fn ending_of(kind: FileKind, original: &str) -> Option<String> {
    let known = kind.extension();
    known.map_or_else(|| ending(original), |known| Some(known.to_owned()))
}

/// The ending of a file name, in small letters, if it is short and of letters and digits.
fn ending(name: &str) -> Option<String> {
    let (_, ending) = name.rsplit_once('.')?;
    let is_ending = (1..=MAX_ENDING_LEN).contains(&ending.len())
        && ending.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_ending.then(|| ending.to_ascii_lowercase())
}

/// A file is not handed over.
#[derive(Debug, thiserror::Error)]
#[error("{}: {cause}", path.display())]
pub struct PrepareError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub cause: PrepareCause,
}

/// Why a file is not handed over.
#[derive(Debug, thiserror::Error)]
pub enum PrepareCause {
    /// It has no content.
    #[error("the file is empty; name another one")]
    Empty,
    /// The name for the recipient is too long.
    #[error("a name has at most {MAX_NAME_LEN} bytes; this has {0}")]
    LongName(usize),
    /// It is a folder or a device.
    #[error("this is not a file; pack a folder into one")]
    NotAFile,
    /// The operating system refuses.
    #[error("the file cannot be read: {0}; name a readable file")]
    System(#[from] io::Error),
    /// The program that would clean it does not.
    #[error(
        "{0}, or hand it over as it is with --as-is, with everything that it says about its maker"
    )]
    Tool(#[from] ToolError),
    /// It cannot be cleaned.
    #[error(
        "{0}; or hand it over as it is with --as-is, with everything that it says about its maker"
    )]
    Unclean(CleanError),
}

/// Longest name that an offer carries, in bytes.
const MAX_NAME_LEN: usize = 64;
/// Longest ending of a file name.
const MAX_ENDING_LEN: usize = 8;
/// Bytes at the beginning of a file that tell its kind.
const HEAD_LEN: u64 = 4_096;

#[cfg(test)]
mod tests;
