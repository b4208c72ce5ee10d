//! `/lock`: ends every session of the console at once, and locks identities, contacts and messages.
//!
//! The node goes on relaying. The pages are gone from the browser: no page is cached, and the browser is asked to
//! clear what it holds of this origin. Sessions end first, so that they end even where nothing else can be
//! locked because no password protects it.

use askama::Template;
use axum::Router;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use super::ask::PageError;
use super::forms::{NoFields, Posted};
use super::guard::COOKIE;
use super::layout::html;
use super::server::Shared;
use super::visit::Visit;
use crate::shell::identity_service::LockResult;

/// The route of the form.
pub(super) fn routes() -> Router<Shared> {
    let lock = async |visit: Visit, _: Posted<NoFields>| lock(&visit).await;
    Router::new().route("/lock", post(lock))
}

#[derive(Template)]
#[template(path = "locked.html", config = "src/shell/console/askama.toml")]
struct LockedPage {
    /// What the password protects, in words.
    text: String,
}

async fn lock(visit: &Visit) -> Result<Response, PageError> {
    visit.state().sessions().close_all();
    let identities = &visit.state().parts.identities;
    let text = match identities.lock(visit.node().handle()).await {
        Ok(locked) => words(&locked),
        Err(error) => format!("Keys are not locked: {error}."),
    };
    let mut page = html(&LockedPage { text });
    *page.status_mut() = StatusCode::FORBIDDEN;
    leave(page)
}

/// What was locked.
fn words(locked: &LockResult) -> String {
    let keys = match locked.identities.as_slice() {
        [] => None,
        [one] => Some(format!("the identity {one}")),
        several => Some(format!("{} identities", several.len())),
    };
    let state = locked.state.then(|| "contacts and messages".to_owned());
    match (keys, state) {
        (None, None) => "Everything that a password protects was locked before.".to_owned(),
        (Some(what), None) | (None, Some(what)) => format!("Locked: {what}."),
        (Some(keys), Some(state)) => format!("Locked: {keys}, {state}."),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_what_was_locked() {
        let locked = |names: &[&str], state| LockResult {
            identities: names.iter().map(|name| name.parse().unwrap()).collect(),
            state,
        };
        assert_eq!(
            words(&locked(&["desk"], true)),
            "Locked: the identity desk, contacts and messages."
        );
        assert_eq!(words(&locked(&["a", "b"], false)), "Locked: 2 identities.");
        assert!(words(&locked(&[], false)).contains("before"));
    }
}
