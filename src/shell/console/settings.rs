//! `/settings`: which keys are locked, the relay, and the way to what ends the session or everything.
//!
//! The page shows settings that a running node can change, and names the others. Keys and paths of files are
//! not on it.

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};

use super::ask::PageError;
use super::forms::{NoFields, Posted};
use super::layout::{Layout, Nav, html, see};
use super::server::Shared;
use super::visit::Visit;
use super::words::duration;
use crate::node::{Command, IdentityView, Reply, StatusView};

/// The routes of this page.
pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/settings", get(show))
        .route("/settings/drain", post(drain))
        .route("/settings/undrain", post(undrain))
}

#[derive(Template)]
#[template(path = "settings.html", config = "src/shell/console/askama.toml")]
struct SettingsPage {
    layout: Layout,
    client: String,
    level: &'static str,
    is_relay: bool,
    drained_in: Option<String>,
    /// Names of identities, and whether they are locked.
    identities: Vec<(String, bool)>,
    is_state_locked: bool,
    keeps_state: bool,
}

impl SettingsPage {
    fn is_anything_locked(&self) -> bool {
        self.is_state_locked || self.identities.iter().any(|(_, is_locked)| *is_locked)
    }
}

async fn show(visit: Visit) -> Result<Response, PageError> {
    Ok(html(&page(&visit).await?))
}

async fn page(visit: &Visit) -> Result<SettingsPage, PageError> {
    let status: StatusView = visit.node().status().await?;
    let identities: Vec<IdentityView> = match visit.node().command(Command::Identities).await? {
        Reply::Identities(identities) => identities,
        _ => return Err(PageError::Unexpected),
    };
    Ok(SettingsPage {
        layout: visit.layout(Nav::Settings),
        client: status.client,
        level: status.level.word(),
        is_relay: status.relay,
        drained_in: status
            .drained_in_secs
            .map(|secs| duration(u64::from(secs) * 1_000)),
        identities: identities
            .into_iter()
            .map(|view| (view.name, view.locked))
            .collect(),
        is_state_locked: status.state_locked,
        keeps_state: visit.state().parts.data_dir.is_some(),
    })
}

async fn drain(visit: Visit, _: Posted<NoFields>) -> Result<Response, PageError> {
    visit.node().command(Command::Drain(true)).await?;
    Ok(see("/settings"))
}

async fn undrain(visit: Visit, _: Posted<NoFields>) -> Result<Response, PageError> {
    visit.node().command(Command::Drain(false)).await?;
    Ok(see("/settings"))
}
