//! Authentication of requests over TCP.
//!
//! Loopback keeps other machines out, but not programs on this one: a web page in the user's
//! browser, or another user's program. Three checks, in this order, each against one attack:
//!
//! * **Host**: a page whose name resolves to 127.0.0.1 (DNS rebinding) has the same origin as the
//!   node in the browser's view; the name in its Host header differs.
//! * **Origin**: a page of another origin can send requests, and open WebSockets, even where it
//!   cannot read the answers; only pages that the user named may.
//! * **Token**: any program on the machine can connect; only the owner's programs can read the
//!   token.
//!
//! The checks are the same for every request, including upgrades to WebSocket.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::token::Token;
use crate::config::rpc::Origin;

/// The rules for every request.
#[derive(Clone, Debug)]
pub(super) struct RequestAuth {
    /// The token; `None` if none is required.
    pub(super) token: Option<Token>,
    /// Origins of web pages that may call.
    pub(super) origins: Vec<Origin>,
}

/// Proof that a request passed all checks; only [`RequestAuth::authorize`] creates one.
#[derive(Debug)]
#[must_use]
pub(super) struct Authorized(());

/// Why a request is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum AuthError {
    /// The Host header names another machine.
    Host,
    /// The Origin is not on the user's list.
    Origin,
    /// The token is missing or wrong.
    Token,
}

impl RequestAuth {
    /// Checks the Host and the Origin; returns the origin if it is an allowed page.
    ///
    /// # Errors
    ///
    /// [`AuthError::Host`] or [`AuthError::Origin`].
    pub(super) fn allowed_origin(
        &self,
        parts: &request::Parts,
    ) -> Result<Option<HeaderValue>, AuthError> {
        if !is_for_us(&parts.uri, &parts.headers) {
            return Err(AuthError::Host);
        }
        let mut origins = parts.headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Ok(None),
            (Some(origin), None) if self.allows(origin) => Ok(Some(origin.clone())),
            _ => Err(AuthError::Origin),
        }
    }

    /// Checks a request.
    ///
    /// # Errors
    ///
    /// [`AuthError`] names the first check that fails.
    pub(super) fn authorize(&self, parts: &request::Parts) -> Result<Authorized, AuthError> {
        self.allowed_origin(parts)?;
        match &self.token {
            Some(token) if !shows(parts, token) => Err(AuthError::Token),
            _ => Ok(Authorized(())),
        }
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        let mut named = self.origins.iter();
        named.any(|named| named.as_str().as_bytes() == origin.as_bytes())
    }
}

impl AuthError {
    /// The HTTP status of the refusal.
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Host | Self::Origin => StatusCode::FORBIDDEN,
            Self::Token => StatusCode::UNAUTHORIZED,
        }
    }

    /// The text of the refusal. The first is go-ethereum's.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Host => "invalid host specified",
            Self::Origin => "invalid origin; name it in rpc.origins to let its pages in",
            Self::Token => {
                "token missing or wrong; send what stands in the file rpc-token, as \
                 `Authorization: Bearer`"
            }
        }
    }
}

/// The status and text for a request of a web page: one that names another host, or that has an origin.
/// For endpoints without a token.
pub(in crate::shell) fn refusal_of_web_page(
    uri: &Uri,
    headers: &HeaderMap,
) -> Option<(StatusCode, &'static str)> {
    let refused = if !is_for_us(uri, headers) {
        AuthError::Host
    } else if headers.contains_key(header::ORIGIN) {
        AuthError::Origin
    } else {
        return None;
    };
    let text = match refused {
        AuthError::Origin => "web pages may not read this",
        refused => refused.text(),
    };
    Some((refused.status(), text))
}

/// Whether the Host of a request is this machine.
fn is_for_us(uri: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let host = Authority::try_from(host.as_bytes());
    host.is_ok_and(|host| is_loopback(&host)) && uri.authority().is_none_or(is_loopback)
}

/// Whether a name is this machine's without a DNS lookup. The port does not matter: a tunnel may
/// have another port at its far end.
fn is_loopback(authority: &Authority) -> bool {
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Whether a request shows the token: as a bearer, as the password of a URL with a user, or, for a
/// browser's WebSocket, which can send no headers, as `?token=`.
fn shows(parts: &request::Parts, token: &Token) -> bool {
    let mut shown = parts.headers.get_all(header::AUTHORIZATION).iter();
    match (shown.next(), shown.next()) {
        (Some(value), None) => {
            let value = value.as_bytes();
            let bearer = after(value, b"bearer ").is_some_and(|shown| token.is(shown));
            bearer || after(value, b"basic ").is_some_and(|shown| is_password(shown, token))
        }
        (None, _) if is_upgrade(parts) => {
            let query = parts.uri.query().unwrap_or_default();
            let shown = query
                .split('&')
                .find_map(|pair| pair.strip_prefix("token="));
            shown.is_some_and(|shown| token.is(shown.as_bytes()))
        }
        _ => false,
    }
}

/// The credentials after a scheme, which is case-insensitive.
fn after<'a>(value: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = value.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// Whether `user:password` in Base64 has the token as its password, for any user.
fn is_password(encoded: &[u8], token: &Token) -> bool {
    let pair = STANDARD.decode(encoded).map(Zeroizing::new);
    let pair = pair.unwrap_or_default();
    let password = pair.splitn(2, |byte| *byte == b':').nth(1);
    password.is_some_and(|password| token.is(password))
}

/// Whether a request asks for a protocol upgrade.
pub(super) fn is_upgrade(parts: &request::Parts) -> bool {
    parts.method == Method::GET && parts.headers.contains_key(header::UPGRADE)
}

#[cfg(test)]
mod tests;
