//! `/files/new`: hands over a file that the browser uploads.
//!
//! The upload is written into memory that has no name on any disk, cleaned as `whisht send --attach` does it,
//! and sealed into the store chunk by chunk. The token of the session is the first field: nothing of a forged
//! upload is read. A file above the limit goes by the command line, which reads it where it is.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::time::Duration;

use askama::Template;
use axum::extract::Multipart;
use axum::extract::multipart::{Field, MultipartError, MultipartRejection};
use axum::response::Response;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::command;
use crate::metadata::PROMISE;
use crate::node::{FileCommand, FileOutgoing, FileReply};
use crate::shell::console::ask::PageError;
use crate::shell::console::layout::{Layout, Nav, html, refused, see};
use crate::shell::console::visit::Visit;
use crate::shell::prepared_file::{FileWishes, PreparedFile};

#[derive(Template)]
#[template(path = "attach.html", config = "src/shell/console/askama.toml")]
struct AttachPage {
    layout: Layout,
    /// Names of contacts.
    contacts: Vec<String>,
    promise: &'static str,
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
    file: Option<UploadedFile>,
}

#[derive(Debug)]
struct UploadedFile {
    /// Its name on the user's machine. It decides the ending only.
    original: String,
    content: File,
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
                "file" => upload.file = Some(content(field).await?),
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

/// The file, in memory.
async fn content(mut field: Field<'_>) -> Result<UploadedFile, PageError> {
    let original = field.file_name().unwrap_or_default().to_owned();
    let failed = |error| PageError::Form(format!("the file cannot be held in memory: {error}"));
    let mut content = memory_file().map_err(failed)?;
    let mut len: u64 = 0;
    while let Some(part) = in_time(field.chunk()).await? {
        len = len.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
        if len > MAX_UPLOAD {
            return Err(PageError::Form(format!(
                "the page takes files of up to {} MiB; use `whisht send --attach FILE`, which takes larger \
                 ones",
                MAX_UPLOAD >> 20
            )));
        }
        // Memory: this does not wait for a disk.
        content.write_all(&part).map_err(failed)?;
    }
    content.rewind().map_err(failed)?;
    Ok(UploadedFile { original, content })
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
    let file = upload.file.take();
    let file = file.ok_or_else(|| PageError::Form("no file was chosen".to_owned()))?;
    let prepared = blocking(move || {
        PreparedFile::of(file.content, &file.original, &wishes).map_err(|cause| cause.to_string())
    });
    let mut prepared = prepared.await?.map_err(PageError::Form)?;
    let begin = FileCommand::Begin(FileOutgoing {
        to: upload.to,
        name: prepared.name().to_owned(),
        size: prepared.size(),
        level: None,
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
/// Maximum size of an upload in bytes: what cleaning takes.
const MAX_UPLOAD: u64 = 256 << 20;
/// Maximum size of a field that is not a file, in bytes.
const MAX_TEXT: usize = 1_024;
/// Time limit for each part of a field.
const PART_TIMEOUT: Duration = Duration::from_secs(30);
