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
use circuits::level::Level;
use serde::Deserialize;

use self::stage::{ListedFile, row};
use super::ask::PageError;
use super::conversation::level;
use super::forms::{NoFields, Posted};
use super::layout::{Layout, Nav, html, see};
use super::server::Shared;
use super::visit::Visit;
use super::words::duration;
use crate::node::{Command, FileCommand, FileOutgoing, FileReply, FileView, Reply};

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

impl FilesPage {
    fn asks_level(&self) -> bool {
        self.files.iter().any(|file| file.price_at_normal.is_some())
    }
}

async fn list(visit: Visit) -> Result<Response, PageError> {
    // Files are locked with the user's state; the page then tells it.
    let (files, refusal) = match command(&visit, FileCommand::List).await {
        Ok(FileReply::Files(files)) => (files, None),
        Ok(_) => return Err(PageError::Unexpected),
        Err(PageError::Refused(refusal)) => (Vec::new(), Some(refusal.to_string())),
        Err(error) => return Err(error),
    };
    let asks_level = asks_level(&visit).await?;
    let mut rows = Vec::new();
    for view in files.iter().rev() {
        let mut row = row(view);
        if asks_level && row.can_accept {
            row.price_at_normal = Some(price_at_normal(&visit, view).await?);
        }
        rows.push(row);
    }
    let layout = visit.layout(Nav::Files);
    Ok(html(&FilesPage {
        // A page with something to choose does not load itself again.
        layout: if asks_level {
            layout
        } else {
            layout.refreshing("/files")
        },
        files: rows,
        refusal,
    }))
}

/// Whether the user has to name level `normal` for what travels through circuits: the default level has cover
/// traffic, and is never lowered silently.
async fn asks_level(visit: &Visit) -> Result<bool, PageError> {
    Ok(visit.node().status().await?.level.is_mixing())
}

/// How long an offered file takes at level `normal`; empty if that is not known.
async fn price_at_normal(visit: &Visit, view: &FileView) -> Result<String, PageError> {
    let price = FileCommand::Price(FileOutgoing {
        to: view.conversation.clone(),
        name: String::new(),
        size: view.size,
        level: Some(Level::Normal),
    });
    match command(visit, price).await {
        Ok(FileReply::Price(price)) => {
            let time = duration(price.seconds.saturating_mul(1_000));
            Ok(format!("at least {time}, once the circuits have met"))
        }
        Ok(_) => Err(PageError::Unexpected),
        Err(PageError::Refused(_)) => Ok(String::new()),
        Err(error) => Err(error),
    }
}

/// The level of an acceptance, where the user has to name one.
#[derive(Deserialize)]
struct AcceptForm {
    level: Option<String>,
}

async fn accept(
    visit: Visit,
    Path(file): Path<u64>,
    Posted(AcceptForm { level: word }): Posted<AcceptForm>,
) -> Result<Response, PageError> {
    let level = level(word.as_deref())?;
    change(&visit, FileCommand::Accept { file, level }).await
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
