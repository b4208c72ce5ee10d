//! `/lock`: ends every session of the console at once.
//!
//! The node goes on: it relays, receives and keeps its keys. The pages are gone from the browser: no page is
//! cached, and the browser is asked to clear what it holds of this origin.

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use super::ask::PageError;
use super::forms::{NoFields, Posted};
use super::guard::COOKIE;
use super::server::Shared;
use super::visit::Visit;

/// The route of the form.
pub(super) fn routes() -> Router<Shared> {
    let lock = async |visit: Visit, _: Posted<NoFields>| lock(&visit);
    Router::new().route("/lock", post(lock))
}

fn lock(visit: &Visit) -> Result<Response, PageError> {
    visit.state().sessions().close_all();
    leave(PageError::NoSession)
}

/// The last page of a session.
pub(super) fn leave(page: impl IntoResponse) -> Result<Response, PageError> {
    let mut response = page.into_response();
    let cookie = format!("{COOKIE}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
    let cookie = HeaderValue::try_from(cookie).map_err(|_| PageError::Unexpected)?;
    let headers = response.headers_mut();
    headers.insert(header::SET_COOKIE, cookie);
    headers.insert(
        CLEAR_SITE_DATA,
        HeaderValue::from_static("\"cache\", \"storage\""),
    );
    Ok(response)
}

const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");
