//! The listener of the console: its routes, its connections and their limits.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::ask::PageError;
use super::guard::{self, COOKIE};
use super::layout::see;
use super::limits::{CONNECTION_LIMITS, HEAD_TIMEOUT, MAX_HEAD, SHUTDOWN_TIMEOUT, STALL_TIMEOUT};
use super::login::LoginRefusal;
use super::{
    ConsoleState, assets, card, compose, conversation, events, files, inbox, lock, network, outbox,
    panic, settings, unlock,
};
use crate::shell::accept_limiter::{AcceptLimiter, AcceptPermit};
use crate::shell::accept_loop::{accept_until_end, set_client_options};

/// What handlers get as axum's state.
pub(super) type Shared = Arc<ConsoleState>;

/// All pages. Each module of pages has a function `routes`, which is merged here.
fn router(state: Shared) -> Router {
    Router::new()
        .route("/in/{token}", get(open))
        .route("/app.css", get(assets::style))
        .route("/app.js", get(assets::script))
        .route("/events", get(events::stream))
        .merge(card::routes())
        .merge(files::routes())
        .merge(lock::routes())
        .merge(network::routes())
        .merge(panic::routes())
        .merge(settings::routes())
        .merge(inbox::routes())
        .merge(conversation::routes())
        .merge(compose::routes())
        .merge(outbox::routes())
        .merge(unlock::routes())
        .fallback(async || PageError::NotFound)
        .method_not_allowed_fallback(async || PageError::Method)
        .layer(from_fn_with_state(Arc::clone(&state), guard::check))
        .with_state(state)
}

/// Opens a session with a one-time URL.
async fn open(
    State(state): State<Shared>,
    Path(token): Path<String>,
) -> Result<Response, PageError> {
    let now = Instant::now();
    let redeemed = state.login().redeem(&token, now);
    redeemed.map_err(|refusal| match refusal {
        LoginRefusal::Spent => PageError::SpentUrl,
        LoginRefusal::Wrong => PageError::WrongUrl,
        LoginRefusal::Closed => PageError::UrlsClosed,
    })?;
    let key = state.sessions().open(now)?;
    let cookie = format!(
        "{COOKIE}={}; HttpOnly; SameSite=Strict; Path=/",
        key.as_str()
    );
    let mut cookie = HeaderValue::try_from(cookie).map_err(|_| PageError::Unexpected)?;
    cookie.set_sensitive(true);
    Ok(([(header::SET_COOKIE, cookie)], see("/")).into_response())
}

/// The served listener; it ends on drop.
#[derive(Debug)]
pub(super) struct ConsoleServer(JoinSet<()>);

impl ConsoleServer {
    pub(super) fn start(listener: TcpListener, state: Shared) -> Self {
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, state));
        Self(tasks)
    }

    /// Completes when the node has ended and the last page is written, or has taken too long.
    pub(super) async fn ended(&mut self) {
        let ended = async { while self.0.join_next().await.is_some() {} };
        if timeout(SHUTDOWN_TIMEOUT, ended).await.is_err() {
            self.0.abort_all();
        }
    }
}

/// Accepts connections until the node ends, and all sessions with it.
async fn accept(listener: TcpListener, state: Shared) {
    let handle = state.node.handle().clone();
    let limiter = AcceptLimiter::new(CONNECTION_LIMITS);
    let router = router(Arc::clone(&state));
    let serve = |stream, permit| {
        let (router, node) = (router.clone(), handle.clone());
        async move {
            tokio::select! {
                () = serve(stream, permit, router) => {}
                () = node.finished() => {}
            }
        }
    };
    let connections = accept_until_end(
        listener,
        &handle,
        &limiter,
        "browsers of the console",
        serve,
    )
    .await;
    state.sessions().close_all();
    drop(connections);
}

/// Serves one connection. Errors belong to the browser's user, not to the log.
async fn serve(stream: TcpStream, permit: AcceptPermit, router: Router) {
    if set_client_options(&stream, STALL_TIMEOUT).is_ok() {
        serve_pages(stream, permit, router).await;
    }
}

async fn serve_pages<S>(stream: S, permit: AcceptPermit, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let permit = Arc::new(permit);
    let pages = TowerToHyperService::new(router);
    let known = Arc::clone(&permit);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        known.note_received();
        request.extensions_mut().insert(Arc::clone(&known));
        pages.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        _served = served => {}
        () = permit.evicted() => {}
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    /// A browser's end of a connection to pages that all say `page`.
    fn connect() -> DuplexStream {
        let (near, far) = duplex(1 << 20);
        let limiter = AcceptLimiter::new(CONNECTION_LIMITS);
        let permit = limiter.admit(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap();
        let router = Router::new().fallback(async || "page");
        tokio::spawn(serve_pages(far, permit, router));
        near
    }

    async fn answer(mut stream: DuplexStream) -> String {
        let mut answer = Vec::new();
        // A connection that is cut off has no further answer.
        let _cut = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn head_that_never_ends_is_cut_off_in_time() {
        let mut stream = connect();
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a")
            .await
            .unwrap();
        let ended = timeout(10 * HEAD_TIMEOUT, answer(stream)).await;
        let answer = ended.expect("the connection ends by itself");
        assert!(!answer.contains("page"), "{answer}");
    }

    #[tokio::test(start_paused = true)]
    async fn flood_of_headers_is_refused_beyond_the_limit() {
        let head = |path: &str, headers: &str| {
            format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n")
        };
        let mut stream = connect();
        let usual = head("/", &"x: y\r\n".repeat(50));
        stream.write_all(usual.as_bytes()).await.unwrap();
        assert!(answer(stream).await.ends_with("page"));
        let large = format!("x: {}\r\n", "y".repeat(MAX_HEAD));
        for flood in [
            head("/", &"x: y\r\n".repeat(2 * MAX_HEAD)),
            head("/", &large.repeat(3)),
            head(&format!("/{}", "a".repeat(3 * MAX_HEAD)), ""),
        ] {
            let mut stream = connect();
            // The other end may have closed the connection before the flood is over.
            let _cut = stream.write_all(flood.as_bytes()).await;
            let answer = answer(stream).await;
            assert!(!answer.contains("200 OK"), "{answer}");
        }
    }
}
