//! `/panic`: erases the data directory and ends the node, after the user has typed a word.
//!
//! As `whisht panic` does it: the keys first, before anything is answered; then the node's memory; then the
//! rest of the directory. The last page is written in between, because the browser is cut off with the node.

use std::path::Path;
use std::time::Duration;

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::ask::PageError;
use super::forms::Posted;
use super::layout::{Layout, Nav, html, refused};
use super::lock::leave;
use super::server::Shared;
use super::visit::Visit;
use crate::shell::Handle;
use crate::shell::panic_erase::{PanicErase, PanicEraseError};

/// The routes of this page.
pub(super) fn routes() -> Router<Shared> {
    let ask = async |visit: Visit| html(&form(&visit, None));
    Router::new().route("/panic", get(ask).post(erase))
}

#[derive(Template)]
#[template(path = "panic.html", config = "src/shell/console/askama.toml")]
struct PanicPage {
    layout: Layout,
    /// Whether there is a directory to erase.
    has_directory: bool,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "erased.html", config = "src/shell/console/askama.toml")]
struct ErasedPage {
    has_directory: bool,
}

#[derive(Deserialize)]
struct Confirmation {
    #[serde(default)]
    word: String,
}

fn form(visit: &Visit, error: Option<String>) -> PanicPage {
    PanicPage {
        layout: visit.layout(Nav::Settings),
        has_directory: visit.state().parts.data_dir.is_some(),
        error,
    }
}

async fn erase(visit: Visit, Posted(typed): Posted<Confirmation>) -> Result<Response, PageError> {
    if typed.word.trim() != CONFIRMATION {
        let error = format!("nothing was erased: the word is `{CONFIRMATION}`");
        return Ok(refused(&form(&visit, Some(error))));
    }
    let directory = visit.state().parts.data_dir.as_deref();
    let erased = match directory {
        None => None,
        Some(directory) => match erase_keys(directory).await? {
            Ok(erased) => erased,
            Err(error) => return Ok(refused(&form(&visit, Some(error.to_string())))),
        },
    };
    let page = ErasedPage {
        has_directory: directory.is_some(),
    };
    tokio::spawn(end(visit.node().handle().clone(), erased));
    leave(html(&page))
}

/// Erases the keys on a thread that may block. The outer error: the process ends already.
async fn erase_keys(
    directory: &Path,
) -> Result<Result<Option<PanicErase>, PanicEraseError>, PageError> {
    let directory = directory.to_owned();
    let erased = spawn_blocking(move || {
        let mut erase = PanicErase::of(&directory)?;
        if let Some(erase) = &mut erase {
            erase.erase_keys();
        }
        Ok(erase)
    });
    erased.await.map_err(|_| PageError::Unexpected)
}

/// Ends the node, and erases the rest of its directory. The runtime waits for the thread before the process
/// ends.
async fn end(handle: Handle, erased: Option<PanicErase>) {
    sleep(LAST_PAGE_TIME).await;
    let rest = erased.map(|erase| {
        spawn_blocking(move || {
            let lock = erase.wait_for_node();
            // What is left is named by the next `whisht panic`; there is no page to show it any more.
            let _remains = erase.erase_rest();
            drop(lock);
        })
    });
    handle.panic().await;
    drop(rest);
}

/// The word to type, as on the command line.
const CONFIRMATION: &str = "wipe";
/// How long the last page may take to reach the browser, once the keys are gone.
const LAST_PAGE_TIME: Duration = Duration::from_millis(200);
