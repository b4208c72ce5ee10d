//! The listeners on loopback: who may connect, and how long a connection may say nothing.
//!
//! hyper is driven by hand, since axum does not hand through what matters here: how long a
//! request's head may take. A connection that became a WebSocket stays with the task that took it
//! in, so that nothing outlives its listener.

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

use super::guard::Guard;
use super::limits::{HEAD, MAX_HEAD, Pace, STALL};
use super::seats::{Seat, Seats, evicted};
use super::session::{Access, Session};
use super::token::TokenFile;
use super::{Service, http, ws};
use crate::config::rpc::RpcConfig;

/// What all listeners share.
#[derive(Clone)]
pub(super) struct Tcp {
    pub(super) guard: Guard,
    service: Service,
    access: Access,
    seats: Seats,
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Speaks {
    /// Requests in bodies.
    pub(super) http: bool,
    /// Requests in texts on a connection that stays.
    pub(super) ws: bool,
}

/// A listener that is being served, until this is dropped.
#[derive(Debug)]
pub(super) struct Server(JoinSet<()>);

impl Server {
    /// Completes when the node has ended and the last client was told.
    pub(super) async fn ended(&mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

impl Tcp {
    pub(super) fn new(config: &RpcConfig, token: Option<&TokenFile>, service: &Service) -> Self {
        Self {
            guard: Guard {
                token: token.map(TokenFile::token),
                origins: config.origins.clone(),
            },
            service: service.clone(),
            access: Access::over_tcp(config, Arc::new(Pace::new())),
            seats: Seats::new(),
        }
    }

    /// Begins to serve a listener.
    pub(super) fn serve(&self, listener: TcpListener, speaks: Speaks) -> Server {
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, self.clone(), speaks));
        Server(tasks)
    }

    /// A session over WebSocket.
    fn session(&self) -> Session {
        Session::new(self.service.clone(), self.access.clone())
    }

    /// A session for one body over HTTP, where nothing can be told later.
    pub(super) fn short_session(&self) -> Session {
        Session::new(
            self.service.clone(),
            self.access.clone().without_notifications(),
        )
    }
}

/// Takes connections in until the node ends. They end with the task that owns them.
async fn accept(listener: TcpListener, tcp: Tcp, speaks: Speaks) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = tcp.service.handle.finished() => break,
        };
        match accepted {
            Ok((stream, from)) => {
                // A listener on loopback hears nobody else; this costs nothing.
                if from.ip().to_canonical().is_loopback() {
                    connections.spawn(serve(stream, tcp.clone(), speaks));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept JSON-RPC clients; trying again");
                tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Serves one connection.
async fn serve(stream: TcpStream, tcp: Tcp, speaks: Speaks) {
    if tune(&stream).is_err() {
        return;
    }
    let (seat, notice) = tcp.seats.stranger();
    let (upgraded, upgrade) = oneshot::channel();
    let connection = Arc::new(Connection {
        tcp,
        speaks,
        seat,
        upgraded: Mutex::new(Some(upgraded)),
    });
    tokio::select! {
        () = requests(stream, Arc::clone(&connection)) => {}
        () = evicted(notice) => return,
    }
    let session = connection.tcp.session();
    // Nobody is left who could upgrade but whoever has begun to.
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

/// Answers requests until the connection ends, or goes on as a WebSocket.
async fn requests(stream: TcpStream, connection: Arc<Connection>) {
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let connection = Arc::clone(&connection);
        async move { Ok::<_, Infallible>(http::answer(connection, request.map(Body::new)).await) }
    });
    let mut served = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
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

/// Sets what every connection wants.
fn tune(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    // A client that does not read what it asked for.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(STALL))?;
    Ok(())
}

/// A connection that has sent no request yet, or some.
pub(super) struct Connection {
    pub(super) tcp: Tcp,
    pub(super) speaks: Speaks,
    pub(super) seat: Seat,
    upgraded: Mutex<Option<oneshot::Sender<WebSocket>>>,
}

impl Connection {
    /// Where to bring the WebSocket that the connection becomes; only once.
    pub(super) fn upgrade(&self) -> Option<oneshot::Sender<WebSocket>> {
        self.upgraded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}
