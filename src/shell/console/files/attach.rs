//! `/files/new`: hands over a file that the browser uploads.
//!
//! A file that is cleaned is written into memory that has no name on any disk, cleaned as `whisht send
//! --attach` does it, and sealed into the store chunk by chunk. A file that is handed over as it is may be
//! larger: it is sealed while it arrives, and memory holds one chunk of it. The token of the session is the
//! first field, and the wishes stand before the file: nothing of a forged upload is read.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::PathBuf;
use std::time::Duration;

use askama::Template;
use axum::extract::Multipart;
use axum::extract::multipart::{Field, MultipartError, MultipartRejection};
use axum::response::Response;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{asks_level, command};
use crate::metadata::PROMISE;
use crate::node::{FileCommand, FileOutgoing, FileReply};
use crate::shell::console::ask::PageError;
use crate::shell::console::conversation::level;
use crate::shell::console::layout::{Layout, Nav, html, refused, see};
use crate::shell::console::visit::Visit;
use crate::shell::prepared_file::{FileWishes, PreparedFile};
use crate::shell::sealed_spool::SealedSpool;

#[derive(Template)]
#[template(path = "attach.html", config = "src/shell/console/askama.toml")]
struct AttachPage {
    layout: Layout,
    /// Names of contacts.
    contacts: Vec<String>,
    promise: &'static str,
    /// What cleaning takes, in MiB.
    limit: u64,
    /// Whether the user has to choose level `normal`.
    asks_level: bool,
    error: Option<String>,
}

/// Shows the form.
pub(super) async fn form(visit: Visit) -> Result<Response, PageError> {
    Ok(html(&page(&visit, None).await?))
}

async fn page(visit: &Visit, error: Option<String>) -> Result<AttachPage, PageError> {
    let contacts = visit.node().contacts().await?;
    let with_conversation = contacts
        .into_iter()
        .filter(|contact| !contact.conversations.is_empty());
    Ok(AttachPage {
        layout: visit.layout(Nav::Files),
        contacts: with_conversation.map(|contact| contact.name).collect(),
        promise: PROMISE,
        limit: MAX_PLAIN >> 20,
        asks_level: asks_level(visit).await?,
        error,
    })
}

/// Takes an upload, and offers the file to its contact.
pub(super) async fn bring_in(
    visit: Visit,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Response, PageError> {
    let form = form.map_err(|error| PageError::Form(error.body_text()))?;
    let upload = Upload::read(&visit, form).await?;
    match hand_over(&visit, upload).await {
        Ok(()) => Ok(see("/files")),
        Err(PageError::Form(error)) => Ok(refused(&page(&visit, Some(error)).await?)),
        Err(PageError::Refused(refusal)) => {
            Ok(refused(&page(&visit, Some(refusal.to_string())).await?))
        }
        Err(error) => Err(error),
    }
}

/// The fields of the form.
#[derive(Debug, Default)]
struct Upload {
    to: String,
    /// The name that the recipient sees, if the user wrote one.
    name: String,
    /// The word that hands over a file as it is.
    as_is: String,
    /// The level, where the user has to name one.
    level: Option<String>,
    file: Option<UploadedFile>,
}

#[derive(Debug)]
struct UploadedFile {
    /// Its name on the user's machine. It decides the ending only.
    original: String,
    content: UploadContent,
}

/// What arrived.
#[derive(Debug)]
enum UploadContent {
    /// A file that will be cleaned, in memory.
    Plain(File),
    /// A file as it is.
    Spooled(Box<SealedSpool>),
}

impl Upload {
    async fn read(visit: &Visit, mut form: Multipart) -> Result<Self, PageError> {
        let mut upload = Self::default();
        let mut is_own = false;
        while let Some(field) = in_time(form.next_field()).await? {
            let name = field.name().unwrap_or_default().to_owned();
            if !is_own && name != "token" {
                return Err(PageError::Forged);
            }
            match &*name {
                "token" => {
                    let token = text(field).await?;
                    let sessions = visit.state().sessions();
                    if !sessions.is_form_token(visit.session(), &token) {
                        return Err(PageError::Forged);
                    }
                    is_own = true;
                }
                "to" => upload.to = text(field).await?,
                "name" => upload.name = text(field).await?,
                "as-is" => upload.as_is = text(field).await?,
                "level" => upload.level = Some(text(field).await?),
                "file" => {
                    let as_is = upload.wishes()?.as_is;
                    upload.file = Some(content(visit, field, as_is).await?);
                }
                _ => {}
            }
        }
        Ok(upload)
    }

    fn wishes(&self) -> Result<FileWishes, PageError> {
        let name = self.name.trim();
        let as_is = match self.as_is.trim() {
            "" => false,
            AS_IS => true,
            _ => {
                return Err(PageError::Form(format!(
                    "nothing was handed over: to hand over a file as it is, type `{AS_IS}`; to have \
                     it cleaned, leave the field empty"
                )));
            }
        };
        Ok(FileWishes {
            name: (!name.is_empty()).then(|| name.to_owned()),
            as_is,
        })
    }
}

/// A short field.
async fn text(mut field: Field<'_>) -> Result<String, PageError> {
    let mut bytes = Vec::new();
    while let Some(part) = in_time(field.chunk()).await? {
        bytes.extend_from_slice(&part);
        if bytes.len() > MAX_TEXT {
            return Err(PageError::TooLarge);
        }
    }
    String::from_utf8(bytes).map_err(|_| PageError::Form("a field is not UTF-8".to_owned()))
}

/// The file: in memory if it will be cleaned, else sealed while it arrives.
async fn content(visit: &Visit, field: Field<'_>, as_is: bool) -> Result<UploadedFile, PageError> {
    let original = field.file_name().unwrap_or_default().to_owned();
    let content = match visit.state().parts.data_dir.as_deref().filter(|_| as_is) {
        Some(folder) => spooled(folder.to_owned(), field).await?,
        None => plain(field).await?,
    };
    Ok(UploadedFile { original, content })
}

async fn plain(mut field: Field<'_>) -> Result<UploadContent, PageError> {
    let failed = |error| PageError::Form(format!("the file cannot be held in memory: {error}"));
    let mut content = memory_file().map_err(failed)?;
    let mut len: u64 = 0;
    while let Some(part) = in_time(field.chunk()).await? {
        len = count(len, &part, MAX_PLAIN)?;
        // Memory: this does not wait for a disk.
        content.write_all(&part).map_err(failed)?;
    }
    content.rewind().map_err(failed)?;
    Ok(UploadContent::Plain(content))
}

async fn spooled(folder: PathBuf, mut field: Field<'_>) -> Result<UploadContent, PageError> {
    let failed = |error: io::Error| {
        PageError::Form(format!(
            "the file cannot be stored: {error}; use `whisht send --attach FILE`"
        ))
    };
    let spool = blocking(move || SealedSpool::create(&folder)).await?;
    let mut spool = Box::new(spool.map_err(failed)?);
    let mut len: u64 = 0;
    while let Some(part) = in_time(field.chunk()).await? {
        len = count(len, &part, MAX_SPOOLED)?;
        let written = blocking(move || {
            let written = spool.write(&part);
            written.map(|()| spool)
        });
        spool = written.await?.map_err(failed)?;
    }
    let finished = blocking(move || {
        let finished = spool.finish();
        finished.map(|()| spool)
    });
    Ok(UploadContent::Spooled(finished.await?.map_err(failed)?))
}

/// Counts the bytes of an upload.
fn count(len: u64, part: &[u8], limit: u64) -> Result<u64, PageError> {
    let len = len.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
    if len > limit {
        return Err(PageError::Form(format!(
            "the file has more than {} MiB, the limit of this page; use `whisht send --attach FILE`",
            limit >> 20
        )));
    }
    Ok(len)
}

/// What a part of the form brings, unless it takes too long.
async fn in_time<T>(part: impl Future<Output = Result<T, MultipartError>>) -> Result<T, PageError> {
    match timeout(PART_TIMEOUT, part).await {
        Ok(Ok(part)) => Ok(part),
        Ok(Err(error)) => Err(PageError::Form(error.body_text())),
        Err(_) => Err(PageError::TooSlow),
    }
}

/// Cleans the file, seals it into the store, and offers it.
async fn hand_over(visit: &Visit, mut upload: Upload) -> Result<(), PageError> {
    let wishes = upload.wishes()?;
    let level = level(upload.level.as_deref())?;
    let file = upload.file.take();
    let file = file.ok_or_else(|| PageError::Form("no file was chosen".to_owned()))?;
    let prepared = blocking(move || {
        let prepared = match file.content {
            UploadContent::Plain(content) => PreparedFile::of(content, &file.original, &wishes),
            UploadContent::Spooled(spool) => {
                PreparedFile::of_spool(*spool, &file.original, &wishes)
            }
        };
        prepared.map_err(|cause| cause.to_string())
    });
    let mut prepared = prepared.await?.map_err(PageError::Form)?;
    let begin = FileCommand::Begin(FileOutgoing {
        to: upload.to,
        name: prepared.name().to_owned(),
        size: prepared.size(),
        level,
    });
    let FileReply::File(view) = command(visit, begin).await? else {
        return Err(PageError::Unexpected);
    };
    for chunk in 0_u32.. {
        let (again, next) = blocking(move || {
            let next = prepared.next_chunk();
            (prepared, next)
        })
        .await?;
        prepared = again;
        let next = next.map_err(|error| PageError::Form(error.to_string()))?;
        let Some(bytes) = next else { break };
        let store = FileCommand::Chunk {
            file: view.number,
            chunk,
            bytes,
        };
        command(visit, store).await?;
    }
    command(visit, FileCommand::End(view.number)).await?;
    Ok(())
}

/// Runs on a thread that may block.
async fn blocking<T: Send + 'static>(
    task: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PageError> {
    spawn_blocking(task)
        .await
        .map_err(|_| PageError::Unexpected)
}

/// A file without a name, in memory. Memory may be swapped, as that of the browser may.
#[cfg(target_os = "linux")]
fn memory_file() -> io::Result<File> {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    Ok(File::from(rustix::fs::memfd_create("upload", flags)?))
}

/// Other systems have no such file; a temporary one would leave the content on a disk.
#[cfg(not(target_os = "linux"))]
fn memory_file() -> io::Result<File> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this system has no files in memory; use `whisht send --attach FILE`",
    ))
}

/// The word to type for a file that is not cleaned.
const AS_IS: &str = "as is";
/// Maximum size of a file that is cleaned, in bytes: what cleaning takes ([`crate::metadata::MAX_PICTURE`]).
const MAX_PLAIN: u64 = 256 << 20;
/// Maximum size of a file that is handed over as it is, in bytes. The node may have a lower one.
const MAX_SPOOLED: u64 = 1 << 30;
/// Maximum size of a field that is not a file, in bytes.
const MAX_TEXT: usize = 1_024;
/// Time limit for each part of a field.
const PART_TIMEOUT: Duration = Duration::from_secs(30);
