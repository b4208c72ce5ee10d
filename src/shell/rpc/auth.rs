//! Who may call over TCP.
//!
//! Loopback keeps other machines out, but not what runs on this one: a web page in the user's own
//! browser, or another user's program. Three checks, in this order, each for an attack:
//!
//! * **Host**: a page whose name was made to resolve to 127.0.0.1 (DNS rebinding) is of the same
//!   origin as we are, to the browser; its name in the Host header gives it away.
//! * **Origin**: a page of another origin can send requests, and open WebSockets, even where it
//!   cannot read the answers; only pages that the user named may.
//! * **Token**: any program on the machine can connect; only the owner's can read the token.
//!
//! They are the same for every request, upgrades to WebSocket included.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::token::Token;
use crate::config::rpc::Origin;

/// What is demanded of every request.
#[derive(Clone, Debug)]
pub(super) struct RequestAuth {
    /// What has to be shown; nothing if `None`.
    pub(super) token: Option<Token>,
    /// Web pages that may call.
    pub(super) origins: Vec<Origin>,
}

/// Proof that a request may be answered; only [`RequestAuth::authorize`] makes one.
#[derive(Debug)]
#[must_use]
pub(super) struct Authorized(());

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum AuthError {
    /// It was sent to a name that is not this machine's.
    Host,
    /// It comes from a web page that nobody named.
    Origin,
    /// It shows no token, or another.
    Token,
}

impl RequestAuth {
    /// Judges where a request comes from, and the page it comes from if it is one that may call.
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

    /// Judges a request.
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
    /// The status of the answer.
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Host | Self::Origin => StatusCode::FORBIDDEN,
            Self::Token => StatusCode::UNAUTHORIZED,
        }
    }

    /// Its text. The first is go-ethereum's.
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

/// Whether a request names this machine, and only this machine, as its destination.
fn is_for_us(uri: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let host = Authority::try_from(host.as_bytes());
    host.is_ok_and(|host| is_loopback(&host)) && uri.authority().is_none_or(is_loopback)
}

/// Whether a name is this machine's without asking anybody. The port does not matter: a tunnel may
/// have another one at its far end.
fn is_loopback(authority: &Authority) -> bool {
    if authority.as_str().contains('@') {
        return false;
    }
    let host = authority.host();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// Whether a request shows the token: as a bearer, as the password of a URL with a user in it, or,
/// for a browser's WebSocket, which can send no headers, as `?token=`.
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

/// What follows a scheme, in whatever letters it is written.
fn after<'a>(value: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = value.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// Whether `user:password` in Base64 has the token for a password, whoever the user is.
fn is_password(encoded: &[u8], token: &Token) -> bool {
    let pair = STANDARD.decode(encoded).map(Zeroizing::new);
    let pair = pair.unwrap_or_default();
    let password = pair.splitn(2, |byte| *byte == b':').nth(1);
    password.is_some_and(|password| token.is(password))
}

/// Whether a request asks to go on in another protocol.
pub(super) fn is_upgrade(parts: &request::Parts) -> bool {
    parts.method == Method::GET && parts.headers.contains_key(header::UPGRADE)
}

#[cfg(test)]
mod tests;
