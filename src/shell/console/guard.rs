//! What every request must pass before a handler sees it, and the headers of every answer.
//!
//! Three kinds of attackers can reach the listener: a page in the user's browser, another program of
//! this machine, and another user of it. The checks are, in order:
//!
//! * **Host** equals our random name and port, so that a name that another site resolves to 127.0.0.1
//!   reaches nothing.
//! * **Method** is `GET` or `POST`.
//! * **Origin** of a `POST` is exactly ours, and **Fetch Metadata**, where a browser sends it, names no
//!   other site. A page on another port of the machine is of the same site, and its requests carry the
//!   cookie if it has our host name: `same-site` is refused too.
//! * **Session**: the cookie names one that has not ended. Only a one-time URL, the style sheet and the
//!   script need none.
//!
//! The token of a form is checked where the body is read ([`super::forms`]).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header, request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;

use super::ConsoleState;
use super::ask::PageError;
use super::session::RequestActivity;
use super::visit::Visit;
use crate::shell::accept_limiter::AcceptPermit;

/// Where the console is served: `http://HOST:PORT`, without a slash at the end.
#[derive(Clone, Debug)]
pub(super) struct ConsoleOrigin {
    origin: String,
    authority: String,
}

impl ConsoleOrigin {
    pub(super) fn new(host: &str, port: u16) -> Self {
        let authority = format!("{host}:{port}");
        Self {
            origin: format!("http://{authority}"),
            authority,
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.origin
    }

    /// Checks the head of a request, without its session.
    ///
    /// # Errors
    ///
    /// [`PageError`] names the first check that fails.
    pub(super) fn admit(&self, parts: &request::Parts) -> Result<(), PageError> {
        let host = only(&parts.headers, &header::HOST);
        let authority = parts.uri.authority();
        if host != Some(self.authority.as_bytes())
            || authority.is_some_and(|named| named.as_str() != self.authority)
        {
            return Err(PageError::WrongHost);
        }
        match parts.method {
            Method::GET => {}
            Method::POST
                if only(&parts.headers, &header::ORIGIN) == Some(self.origin.as_bytes()) => {}
            Method::POST => return Err(PageError::Forged),
            _ => return Err(PageError::Method),
        }
        let own: &[&[u8]] = match parts.method {
            Method::POST => &[b"same-origin"],
            _ => &[b"same-origin", b"none"],
        };
        let mut sites = parts.headers.get_all(FETCH_SITE).iter();
        if sites.all(|site| own.contains(&site.as_bytes())) {
            Ok(())
        } else {
            Err(PageError::Forged)
        }
    }
}

/// The value of a header that is there exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Some(value.as_bytes()),
        _ => None,
    }
}

/// Checks a request, and passes it on with its [`Visit`].
pub(super) async fn check(
    State(state): State<Arc<ConsoleState>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match admitted(&state, request) {
        Ok(request) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, value);
    }
    response
}

fn admitted(state: &Arc<ConsoleState>, request: Request) -> Result<Request, PageError> {
    let (mut parts, body) = request.into_parts();
    state.origin.admit(&parts)?;
    let path = parts.uri.path();
    let is_public =
        parts.method == Method::GET && (path.starts_with(LOGIN) || ASSETS.contains(&path));
    if !is_public {
        let visit = visit(state, &parts).ok_or(PageError::NoSession)?;
        let permit = parts.extensions.get::<Arc<AcceptPermit>>();
        if permit.is_some_and(|permit| !permit.promote()) {
            return Err(PageError::Busy);
        }
        parts.extensions.insert(visit);
    }
    Ok(Request::from_parts(parts, body))
}

/// The session of a request. A program that serves pages under our host name can add cookies of our
/// name, so each of them is tried.
fn visit(state: &Arc<ConsoleState>, parts: &request::Parts) -> Option<Visit> {
    let activity = activity(&parts.method, &parts.uri);
    let cookies = parts.headers.get_all(header::COOKIE).iter();
    let keys = cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
        .take(MAX_COOKIES);
    let now = Instant::now();
    let mut sessions = state.sessions();
    let session = keys
        .filter_map(|key| sessions.find(key, activity, now))
        .next()?;
    drop(sessions);
    Some(Visit::new(Arc::clone(state), session))
}

/// Whether a request shows that the user is there. What a form sends is never automatic.
fn activity(method: &Method, uri: &Uri) -> RequestActivity {
    let query = uri.query().unwrap_or_default();
    if *method == Method::GET && query.split('&').any(|pair| pair == AUTOMATIC) {
        RequestActivity::Automatic
    } else {
        RequestActivity::User
    }
}

/// The headers of every answer.
const HEADERS: [(HeaderName, HeaderValue); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
             connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
             require-trusted-types-for 'script'; trusted-types 'none'",
        ),
    ),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::REFERRER_POLICY,
        // Under `no-referrer` a browser sends `Origin: null` with our own forms (Fetch, section "Origin
        // header"), which the guard refuses. This value tells other origins nothing either.
        HeaderValue::from_static("same-origin"),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static(
            "accelerometer=(), autoplay=(), camera=(), clipboard-read=(), display-capture=(), \
             geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), \
             usb=()",
        ),
    ),
];

/// The name of the cookie.
pub(super) const COOKIE: &str = "whisht";
/// The path of one-time URLs, before the token.
const LOGIN: &str = "/in/";
/// The paths that need no session.
const ASSETS: [&str; 2] = ["/app.css", "/app.js"];
/// The query of requests that a page makes by itself.
pub(super) const AUTOMATIC: &str = "auto=1";
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// How many cookies of our name are tried.
const MAX_COOKIES: usize = 8;

#[cfg(test)]
mod tests;
