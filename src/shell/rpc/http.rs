//! HTTP: one body, one request or batch, one answer.
//!
//! Statuses and texts are go-ethereum's (tests/vectors/rpc_transcript.json), and so is the
//! definition of a request: any path, `POST` with a JSON content type. An empty `GET` gets an empty
//! answer, for liveness probes. Pages of an allowed origin get the CORS headers that a browser
//! requires.

use std::sync::Arc;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{FromRequestParts, Request, WebSocketUpgrade};
use axum::http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header, request,
};
use axum::response::IntoResponse;
use futures_util::StreamExt;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::auth::{Authorized, is_upgrade};
use super::budget::AnswerMemory;
use super::limits::{BODY_TIMEOUT, DISCARD_TIMEOUT, KEEP_ALIVE, MAX_DISCARDED, MAX_REQUEST};
use super::tcp::HttpConnection;

/// Answers a request.
pub(super) async fn answer(connection: Arc<HttpConnection>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let auth = &connection.tcp.auth;
    let origin = match auth.allowed_origin(&parts) {
        Ok(origin) => origin,
        Err(error) => return plain(error.status(), error.text()),
    };
    let mut response = match auth.authorize(&parts) {
        // A browser's preflight request carries no token.
        Err(_) if origin.is_some() && parts.method == Method::OPTIONS => {
            empty(StatusCode::NO_CONTENT)
        }
        Err(error) => plain(error.status(), error.text()),
        Ok(authorized) => serve(&connection, authorized, parts, body).await,
    };
    if let Some(origin) = origin {
        allow(response.headers_mut(), origin);
    }
    response
}

/// Answers a request that passed the checks.
async fn serve(
    connection: &Arc<HttpConnection>,
    _: Authorized,
    parts: request::Parts,
    body: Body,
) -> Response<Body> {
    if connection.protocols.ws && is_upgrade(&parts) {
        if !connection.permit.promote() {
            return too_many_clients();
        }
        return upgrade(connection, parts).await;
    }
    if !connection.protocols.http {
        return plain(
            StatusCode::UPGRADE_REQUIRED,
            "this address speaks WebSocket",
        );
    }
    let length = length(&parts.headers);
    match parts.method {
        Method::GET if length.unwrap_or(0) == 0 => return empty(StatusCode::OK),
        Method::OPTIONS => return empty(StatusCode::OK),
        Method::POST => {}
        _ => return plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"),
    }
    if let Some(length) = length.filter(|length| *length > MAX_REQUEST) {
        let text = format!("content length too large ({length}>{MAX_REQUEST})");
        if !parts.headers.contains_key(header::EXPECT) {
            discard(body.into_data_stream()).await;
        }
        return plain(StatusCode::PAYLOAD_TOO_LARGE, &text);
    }
    if !is_json(&parts.headers) {
        let text = "invalid content type, only application/json is supported";
        return plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, text);
    }
    let body = match timeout(BODY_TIMEOUT, read(body)).await {
        Ok(Ok(body)) => body,
        Ok(Err(refusal)) => return refusal,
        Err(_) => return plain(StatusCode::REQUEST_TIMEOUT, "the body took too long"),
    };
    // A connection takes the place of a client when its request is complete, so that slow bodies
    // take none: until then it makes room for others, the oldest first.
    if !connection.permit.promote() {
        return too_many_clients();
    }
    let body = Zeroizing::new(body);
    let answer = connection.tcp.short_session().answer(body).await;
    let text = answer.text.map_or_else(String::new, |text| text + "\n");
    let text = Bytes::from_owner(WrittenAnswer {
        text,
        _memory: answer.memory,
    });
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (HeaderName::from_static("keep-alive"), KEEP_ALIVE),
    ];
    (headers, text).into_response()
}

/// An answer that counts until it is written.
struct WrittenAnswer {
    text: String,
    _memory: Option<AnswerMemory>,
}

impl AsRef<[u8]> for WrittenAnswer {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// Upgrades to WebSocket.
async fn upgrade(connection: &Arc<HttpConnection>, mut parts: request::Parts) -> Response<Body> {
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(refusal) => return refusal.into_response(),
    };
    let Some(to_session) = connection.upgrade() else {
        return plain(StatusCode::BAD_REQUEST, "the connection is no longer HTTP");
    };
    upgrade
        .max_message_size(MAX_REQUEST)
        .max_frame_size(MAX_REQUEST)
        .on_upgrade(|socket| async {
            // This fails only if the listener has ended.
            let _ = to_session.send(socket);
        })
}

/// Reads a body up to the size limit.
async fn read(body: Body) -> Result<Vec<u8>, Response<Body>> {
    let mut chunks = body.into_data_stream();
    let mut read = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk: Bytes =
            chunk.map_err(|_| plain(StatusCode::BAD_REQUEST, "the body cannot be read"))?;
        if read.len() + chunk.len() > MAX_REQUEST {
            let text = format!("content length too large (>{MAX_REQUEST})");
            discard(chunks).await;
            return Err(plain(StatusCode::PAYLOAD_TOO_LARGE, &text));
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read)
}

/// Reads and drops the rest of a body, up to a limit: a client that is still writing when the
/// connection closes may lose the answer.
async fn discard(mut chunks: BodyDataStream) {
    let reading = async {
        let mut left = MAX_DISCARDED;
        while let Some(Ok(chunk)) = chunks.next().await {
            let Some(rest) = left.checked_sub(chunk.len()) else {
                return;
            };
            left = rest;
        }
    };
    // What is left after the limit is lost with the connection.
    let _ = timeout(DISCARD_TIMEOUT, reading).await;
}

fn too_many_clients() -> Response<Body> {
    plain(StatusCode::SERVICE_UNAVAILABLE, "too many clients")
}

/// The Content-Length of a request.
fn length(headers: &HeaderMap) -> Option<usize> {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return Some(1);
    }
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Whether the content type is JSON. A web page can set it only after a preflight request.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let kind = value.unwrap_or_default().split(|byte| *byte == b';').next();
    let kind = kind.unwrap_or_default().trim_ascii();
    let known: [&[u8]; 3] = [
        b"application/json",
        b"application/json-rpc",
        b"application/jsonrequest",
    ];
    known.iter().any(|known| kind.eq_ignore_ascii_case(known))
}

/// The CORS headers of an answer.
fn allow(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "POST"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn empty(status: StatusCode) -> Response<Body> {
    status.into_response()
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = (status, format!("{text}\n")).into_response();
    if status == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Bearer");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, scheme);
    }
    response
}
