//! Serves the metrics over HTTP on loopback.
//!
//! A web page in the browser of the user must not read them, so Host and Origin are checked as for JSON-RPC.
//! There is no token: the text contains nothing about the use of the node.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};

use super::LatestMetrics;
use crate::shell::Handle;
use crate::shell::accept_limiter::{AcceptLimiter, AcceptLimits, AcceptPermit, Eviction};
use crate::shell::accept_loop::accept_until_end;
use crate::shell::rpc::refusal_of_web_page;

/// Accepts connections until the node ends.
pub(super) async fn run(listener: TcpListener, handle: Handle, latest: LatestMetrics) {
    let limiter = AcceptLimiter::new(LIMITS);
    let serve = |stream, permit| serve(stream, permit, latest.clone());
    let _ended = accept_until_end(listener, &handle, &limiter, "readers of metrics", serve).await;
}

/// Serves one connection. It stays unproven, so that it makes room for others when it is the oldest.
async fn serve(stream: TcpStream, permit: AcceptPermit, latest: LatestMetrics) {
    let service = service_fn(|request: Request<Incoming>| {
        let answer = answer(&request, &latest);
        async move { Ok::<_, Infallible>(answer) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // An error belongs to the reader.
        _served = tokio::time::timeout(CONNECTION_TIMEOUT, served) => {}
        () = permit.evicted() => {}
    }
}

/// Answers a request. A body is not read.
fn answer<B>(request: &Request<B>, latest: &LatestMetrics) -> Response<Body> {
    if let Some((status, text)) = refusal_of_web_page(request.uri(), request.headers()) {
        return response(status, text.to_owned());
    }
    if request.uri().path() != PATH {
        return response(StatusCode::NOT_FOUND, format!("the metrics are at {PATH}"));
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let text = "the metrics can only be read, by GET";
        return response(StatusCode::METHOD_NOT_ALLOWED, text.to_owned());
    }
    let text: Arc<str> = latest.get();
    response(StatusCode::OK, text.to_string())
}

fn response(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// The path that Prometheus reads by default.
const PATH: &str = "/metrics";
/// The format of [`crate::metrics::render`].
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Maximum number of connections; the oldest makes room for the next.
const LIMITS: AcceptLimits = AcceptLimits {
    slots: 0,
    unproven: 8,
    per_source: 0,
    closing: 0,
    loopback_only: true,
    eviction: Eviction::Oldest,
};
/// Maximum size of a request's head in bytes. hyper's minimum is 8 KB.
const MAX_HEAD: usize = 8 * 1024;
/// Time limit for a head, and for the silence between two requests. Prometheus keeps its connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(90);
/// A connection ends after this long in any case.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60 * 60);
