//! The loopback listeners: connection limits and idle timeouts.
//!
//! hyper is driven directly, because axum does not expose the time limit for a request's head. A
//! connection that became a WebSocket stays with its task, so that nothing outlives its listener.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::ws::WebSocket;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::access::ClientAccess;
use super::auth::RequestAuth;
use super::limits::{CLIENT_LIMITS, HEAD_TIMEOUT, MAX_HEAD, STALL_TIMEOUT};
use super::session::RpcSession;
use super::token::TokenFile;
use super::{Service, http, ws};
use crate::config::rpc::RpcConfig;
use crate::shell::accept_limiter::{AcceptLimiter, AcceptPermit};
use crate::shell::accept_loop::{accept_until_end, set_client_options};

/// State that all listeners share.
#[derive(Clone)]
pub(super) struct TcpContext {
    pub(super) auth: RequestAuth,
    service: Service,
    access: ClientAccess,
    limiter: AcceptLimiter,
}

/// The protocol of a listener.
#[derive(Clone, Copy, Debug)]
pub(super) struct Protocols {
    /// HTTP: requests in bodies.
    pub(super) http: bool,
    /// WebSocket: requests in messages on a persistent connection.
    pub(super) ws: bool,
}

/// A served listener; it ends on drop.
#[derive(Debug)]
pub(super) struct TcpServer(JoinSet<()>);

impl TcpServer {
    /// Completes when the node has ended and the last client is notified.
    pub(super) async fn ended(&mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

impl TcpContext {
    pub(super) fn new(
        config: &RpcConfig,
        token: Option<&TokenFile>,
        service: &Service,
        access: ClientAccess,
    ) -> Self {
        Self {
            auth: RequestAuth {
                token: token.map(TokenFile::token),
                origins: config.origins.clone(),
            },
            service: service.clone(),
            access,
            limiter: AcceptLimiter::new(CLIENT_LIMITS),
        }
    }

    /// Serves a listener.
    pub(super) fn serve(&self, listener: TcpListener, protocols: Protocols) -> TcpServer {
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, self.clone(), protocols));
        TcpServer(tasks)
    }

    /// A session over WebSocket.
    fn session(&self) -> RpcSession {
        RpcSession::new(self.service.clone(), self.access.clone())
    }

    /// A session for one HTTP body, without notifications.
    pub(super) fn short_session(&self) -> RpcSession {
        RpcSession::new(
            self.service.clone(),
            self.access.clone().without_notifications(),
        )
    }
}

/// Accepts connections until the node ends. They end with the task that owns them.
async fn accept(listener: TcpListener, tcp: TcpContext, protocols: Protocols) {
    let (handle, limiter) = (tcp.service.handle.clone(), tcp.limiter.clone());
    let serve = |stream, permit| serve(stream, permit, tcp.clone(), protocols);
    let mut connections =
        accept_until_end(listener, &handle, &limiter, "JSON-RPC clients", serve).await;
    while connections.join_next().await.is_some() {}
}

/// Serves one connection.
async fn serve(stream: TcpStream, permit: AcceptPermit, tcp: TcpContext, protocols: Protocols) {
    if set_client_options(&stream, STALL_TIMEOUT).is_err() {
        return;
    }
    let (upgraded, upgrade) = oneshot::channel();
    let connection = Arc::new(HttpConnection {
        tcp,
        protocols,
        permit,
        upgraded: Mutex::new(Some(upgraded)),
    });
    tokio::select! {
        () = requests(stream, Arc::clone(&connection)) => {}
        () = connection.permit.evicted() => return,
    }
    let session = connection.tcp.session();
    // Only a connection that has started its upgrade can still complete it.
    drop(
        connection
            .upgraded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(),
    );
    if let Ok(socket) = upgrade.await {
        ws::serve(socket, session).await;
    }
}

/// Answers requests until the connection ends, or becomes a WebSocket.
async fn requests(stream: TcpStream, connection: Arc<HttpConnection>) {
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let connection = Arc::clone(&connection);
        async move { Ok::<_, Infallible>(http::answer(connection, request.map(Body::new)).await) }
    });
    let mut served = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    let served = tokio::select! {
        served = served.as_mut() => served,
        () = connection.tcp.service.handle.finished() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a JSON-RPC connection ended early");
    }
}

/// A connection, with or without a first request.
pub(super) struct HttpConnection {
    pub(super) tcp: TcpContext,
    pub(super) protocols: Protocols,
    pub(super) permit: AcceptPermit,
    upgraded: Mutex<Option<oneshot::Sender<WebSocket>>>,
}

impl HttpConnection {
    /// Receives the WebSocket that the connection becomes, once.
    pub(super) fn upgrade(&self) -> Option<oneshot::Sender<WebSocket>> {
        self.upgraded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}
