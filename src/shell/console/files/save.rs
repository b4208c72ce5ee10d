//! Saves a complete file through the browser, chunk by chunk.

use std::io;

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream::try_unfold;

use super::{command, described};
use crate::node::{FileCommand, FileDirection, FileReply, FileStage};
use crate::shell::console::ask::PageError;
use crate::shell::console::visit::Visit;

/// Answers with the bytes of a file. A read error in the middle breaks the connection, so that the browser
/// reports a failed download and does not keep half a file as a whole one.
pub(super) async fn save(visit: Visit, Path(file): Path<u64>) -> Result<Response, PageError> {
    let view = described(&visit, file).await?;
    if view.direction != FileDirection::In || view.stage != FileStage::Complete {
        return Err(PageError::Form(
            "only a complete file of another person can be saved".to_owned(),
        ));
    }
    let disposition = format!("attachment; filename=\"{}\"", safe_name(&view.name, file));
    let disposition = HeaderValue::try_from(disposition).map_err(|_| PageError::Unexpected)?;
    let chunks = view.chunks();
    let body = try_unfold(0, move |chunk: u32| {
        let visit = visit.clone();
        async move {
            if u64::from(chunk) >= chunks {
                return Ok(None);
            }
            let bytes = read(&visit, file, chunk).await?;
            Ok::<_, io::Error>(Some((bytes, chunk + 1)))
        }
    });
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        ),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CONTENT_LENGTH, HeaderValue::from(view.size)),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

async fn read(visit: &Visit, file: u64, chunk: u32) -> io::Result<Bytes> {
    match command(visit, FileCommand::Read { file, chunk }).await {
        Ok(FileReply::Chunk(bytes)) => Ok(Bytes::copy_from_slice(&bytes.0)),
        Ok(_) | Err(_) => Err(io::Error::other("the chunk cannot be read")),
    }
}

/// A name for the disk of the user: what the sender chose, reduced to letters, digits and a few marks. The
/// number of the file stands first, so that the name cannot hide the file, replace a known one, or be a
/// device of an operating system.
fn safe_name(name: &str, file: u64) -> String {
    let kept: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') {
                c
            } else {
                '_'
            }
        })
        .take(MAX_NAME)
        .collect();
    match kept.trim_matches(['.', '_']) {
        "" => format!("file-{file}"),
        kept => format!("file-{file}-{kept}"),
    }
}

/// The longest name of an offer.
const MAX_NAME: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_name_becomes_a_plain_one() {
        let cases = [
            ("report.pdf", "file-7-report.pdf"),
            ("", "file-7"),
            ("../../.bashrc", "file-7-bashrc"),
            ("a\"; filename=\"b.exe", "file-7-a___filename__b.exe"),
            ("CON", "file-7-CON"),
            ("\u{202e}fdp.exe", "file-7-fdp.exe"),
            ("x\r\nSet-Cookie: a=b", "file-7-x__Set-Cookie__a_b"),
        ];
        for (name, expected) in cases {
            assert_eq!(safe_name(name, 7), expected, "{name:?}");
        }
        assert!(safe_name(&"a".repeat(10_000), 7).len() < 80);
    }
}
