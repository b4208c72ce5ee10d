//! `/unlock`: the password of identities, contacts and conversations.
//!
//! The one-time URL opens the pages, not the keys. The password is derived by the identity service, one
//! at a time, which bounds how fast passwords can be tried.

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::ask::PageError;
use super::forms::Posted;
use super::layout::{Layout, Nav, html, refused, see};
use super::server::Shared;
use super::visit::Visit;
use crate::keystore::Password;

/// The routes of this page.
pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/unlock", get(show).post(unlock))
}

#[derive(Template)]
#[template(path = "unlock.html", config = "src/shell/console/askama.toml")]
struct UnlockPage {
    layout: Layout,
    error: Option<String>,
}

async fn show(visit: Visit) -> Response {
    html(&UnlockPage {
        layout: visit.layout(Nav::Settings),
        error: None,
    })
}

#[derive(Deserialize)]
struct UnlockForm {
    password: Zeroizing<String>,
}

async fn unlock(visit: Visit, Posted(form): Posted<UnlockForm>) -> Result<Response, PageError> {
    let again = |error: String| {
        Ok(refused(&UnlockPage {
            layout: visit.layout(Nav::Settings),
            error: Some(error),
        }))
    };
    let password = match Password::new(form.password) {
        Ok(password) => password,
        Err(error) => return again(error.to_string()),
    };
    let identities = &visit.state().parts.identities;
    match identities
        .unlock(visit.node().handle(), password, None)
        .await
    {
        Ok(_) => Ok(see("/")),
        Err(error) => again(error.to_string()),
    }
}
