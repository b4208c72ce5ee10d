//! `/files`: files that are handed over: what is offered, how far each is, and what to do with it.
//!
//! A file is never opened, shown or named by the program: it leaves as bytes without a type, under a name
//! that the browser cannot take for a path or a page.

mod attach;
mod save;
mod stage;

use askama::Template;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path};
use axum::response::Response;
use axum::routing::{get, post};

use self::stage::{ListedFile, row};
use super::ask::PageError;
use super::forms::{NoFields, Posted};
use super::layout::{Layout, Nav, html, see};
use super::server::Shared;
use super::visit::Visit;
use crate::node::{Command, FileCommand, FileReply, FileView, Reply};

/// The routes of this page.
pub(super) fn routes() -> Router<Shared> {
    // The upload is read in parts, under limits of its own.
    let new = get(attach::form).post(attach::bring_in);
    Router::new()
        .route("/files", get(list))
        .route("/files/new", new.layer(DefaultBodyLimit::disable()))
        .route("/files/{file}/accept", post(accept))
        .route("/files/{file}/decline", post(decline))
        .route("/files/{file}/erase", post(erase))
        .route("/files/{file}/save", get(save::save))
}

#[derive(Template)]
#[template(path = "files.html", config = "src/shell/console/askama.toml")]
struct FilesPage {
    layout: Layout,
    files: Vec<ListedFile>,
    /// Why there is no list.
    refusal: Option<String>,
}

async fn list(visit: Visit) -> Result<Response, PageError> {
    // Files are locked with the user's state; the page then tells it.
    let (files, refusal) = match command(&visit, FileCommand::List).await {
        Ok(FileReply::Files(files)) => (files, None),
        Ok(_) => return Err(PageError::Unexpected),
        Err(PageError::Refused(refusal)) => (Vec::new(), Some(refusal.to_string())),
        Err(error) => return Err(error),
    };
    Ok(html(&FilesPage {
        layout: visit.layout(Nav::Files).refreshing("/files"),
        files: files.iter().rev().map(row).collect(),
        refusal,
    }))
}

async fn accept(
    visit: Visit,
    Path(file): Path<u64>,
    _: Posted<NoFields>,
) -> Result<Response, PageError> {
    change(&visit, FileCommand::Accept { file, level: None }).await
}

async fn decline(
    visit: Visit,
    Path(file): Path<u64>,
    _: Posted<NoFields>,
) -> Result<Response, PageError> {
    change(&visit, FileCommand::Decline(file)).await
}

async fn erase(
    visit: Visit,
    Path(file): Path<u64>,
    _: Posted<NoFields>,
) -> Result<Response, PageError> {
    change(&visit, FileCommand::Erase(file)).await
}

async fn change(visit: &Visit, wanted: FileCommand) -> Result<Response, PageError> {
    command(visit, wanted).await?;
    Ok(see("/files"))
}

/// Sends a command about files and waits for its reply.
async fn command(visit: &Visit, command: FileCommand) -> Result<FileReply, PageError> {
    match visit.node().command(Command::File(command)).await? {
        Reply::File(reply) => Ok(*reply),
        _ => Err(PageError::Unexpected),
    }
}

/// A file by its number.
async fn described(visit: &Visit, file: u64) -> Result<FileView, PageError> {
    match command(visit, FileCommand::Show(file)).await? {
        FileReply::File(view) => Ok(view),
        _ => Err(PageError::Unexpected),
    }
}
