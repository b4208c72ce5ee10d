//! One task for each connection, and one for each listener.
//!
//! A task reads into a bounded channel, so that a busy node makes its peers wait (TCP
//! back-pressure), and writes the bytes that the node queued. The node sees each connection end
//! exactly once. Nothing is parsed here.

use std::future::pending;
#[cfg(feature = "tor")]
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use circuits::ids::LinkId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::accept_limiter::{AcceptLimiter, AcceptLimits, AcceptPermit, Eviction};
use super::connector::{LinkStream, StreamReader, StreamWriter};
use super::driver::Completion;
use super::link_gates::{Gate, LinkGates};
use super::listen::set_link_options;
use super::log_throttle::LogThrottle;
use crate::node::MAX_INBOUND_LINKS;

/// An event that a remote peer can cause; arrives through a bounded channel.
#[derive(Debug)]
pub(super) enum NetEvent {
    /// A connection was accepted.
    Accepted(LinkStream, AcceptPermit),
    /// Bytes arrived.
    Received(LinkId, Vec<u8>),
    /// The connection ended; no further event comes from it.
    Ended(LinkId),
    /// A listener does not accept connections for the moment, for this reason.
    ListenerFault(String),
}

/// The driver's end of a connection. Dropping it closes the connection in order.
#[derive(Debug)]
pub(super) struct LinkHandle {
    chunks: mpsc::UnboundedSender<Vec<u8>>,
    /// The permit, if the connection is inbound.
    permit: Option<Arc<AcceptPermit>>,
    _open: oneshot::Sender<()>,
}

impl LinkHandle {
    /// Queues bytes; they are lost if the connection is ending.
    pub(super) fn send(&self, chunk: Vec<u8>) {
        // A closed channel means that `Ended` is in the queue.
        let _ = self.chunks.send(chunk);
    }

    /// Keeps an inbound connection: it is not evicted any more. False if there are too many.
    pub(super) fn keep(&self) -> bool {
        self.permit.as_ref().is_none_or(|permit| permit.promote())
    }
}

impl Drop for LinkHandle {
    fn drop(&mut self) {
        // If the task has ended, this is the last owner, and nothing is left to write.
        if let Some(permit) = self.permit.take()
            && Arc::strong_count(&permit) > 1
        {
            permit.close();
        }
    }
}

/// The task's end of a connection.
#[derive(Debug)]
pub(super) struct LinkTask {
    pub(super) link: LinkId,
    pub(super) stream: LinkStream,
    permit: Option<Arc<AcceptPermit>>,
    chunks: mpsc::UnboundedReceiver<Vec<u8>>,
    closing: oneshot::Receiver<()>,
    gates: LinkGates,
}

impl LinkTask {
    /// A connection within these limits of bandwidth.
    pub(super) fn new(
        link: LinkId,
        stream: LinkStream,
        permit: Option<AcceptPermit>,
        gates: LinkGates,
    ) -> (LinkHandle, Self) {
        if gates.is_on() {
            shrink_buffers(&stream);
        }
        let (to_chunks, chunks) = mpsc::unbounded_channel();
        let (open, closing) = oneshot::channel();
        let permit = permit.map(Arc::new);
        let handle = LinkHandle {
            chunks: to_chunks,
            permit: permit.clone(),
            _open: open,
        };
        (
            handle,
            Self {
                link,
                stream,
                permit,
                chunks,
                closing,
                gates,
            },
        )
    }

    /// Copies bytes both ways until either side ends.
    pub(super) async fn run(
        self,
        net: mpsc::Sender<NetEvent>,
        completions: mpsc::UnboundedSender<Completion>,
    ) {
        let Self {
            link,
            stream,
            permit,
            chunks,
            closing,
            gates,
        } = self;
        let (reader, writer) = stream.split();
        tokio::select! {
            () = read(link, reader, (permit.as_deref(), &gates.reads), &net) => {}
            () = write(link, (writer, &gates.writes), chunks, completions) => {}
            () = linger(closing) => {}
            () = until_evicted(permit.as_deref()) => {}
        }
        drop(permit);
        // This fails only if the driver has ended.
        let _ = net.send(NetEvent::Ended(link)).await;
    }
}

/// Makes the buffers of the operating system small: they hold what has crossed the line before it is read here,
/// and with the usual ones a limit of bandwidth holds on average only.
fn shrink_buffers(stream: &LinkStream) {
    #[cfg(any(target_os = "android", target_os = "linux"))]
    if let Some(socket) = stream.socket() {
        let _ = socket.set_recv_buffer_size(LIMITED_BUFFER);
        let _ = socket.set_send_buffer_size(LIMITED_BUFFER);
    }
}

/// Reads until the peer closes.
async fn read(
    link: LinkId,
    mut reader: StreamReader,
    (permit, gate): (Option<&AcceptPermit>, &Gate),
    net: &mpsc::Sender<NetEvent>,
) {
    let mut buffer = Vec::new();
    let mut is_silent = true;
    loop {
        buffer.resize(gate.chunk().min(READ_BUFFER), 0);
        let Ok(len @ 1..) = reader.read(&mut buffer).await else {
            return;
        };
        if std::mem::take(&mut is_silent)
            && let Some(permit) = permit
        {
            permit.note_received();
        }
        gate.pass(len).await;
        let bytes = buffer.get(..len).unwrap_or_default().to_vec();
        if net.send(NetEvent::Received(link, bytes)).await.is_err() {
            return;
        }
    }
}

/// Writes queued bytes. Completes only when the peer accepts no more; after that, the peer's last
/// bytes are still read for a moment.
async fn write(
    link: LinkId,
    (mut writer, gate): (StreamWriter, &Gate),
    mut chunks: mpsc::UnboundedReceiver<Vec<u8>>,
    completions: mpsc::UnboundedSender<Completion>,
) {
    let mut batch = Vec::new();
    while chunks.recv_many(&mut batch, WRITE_BATCH).await > 0 {
        let bytes = batch.concat();
        batch.clear();
        for part in bytes.chunks(gate.chunk()) {
            gate.pass(part.len()).await;
            let written = async {
                writer.write_all(part).await?;
                writer.flush().await
            };
            if !matches!(timeout(STALL_TIMEOUT, written).await, Ok(Ok(()))) {
                sleep(LINGER).await;
                return;
            }
        }
        if completions
            .send(Completion::Flushed(link, bytes.len()))
            .is_err()
        {
            return;
        }
    }
    // The node closes: the peer reads the last bytes before it sees the end.
    let _ = writer.shutdown().await;
    pending().await
}

/// The time limit of a connection after the node has closed it.
async fn linger(closing: oneshot::Receiver<()>) {
    let _ = closing.await;
    sleep(LINGER).await;
}

/// Completes if an inbound connection has to make room for another: one that the node does not keep
/// yet, or one that it has closed.
async fn until_evicted(permit: Option<&AcceptPermit>) {
    match permit {
        Some(permit) => permit.evicted().await,
        None => pending().await,
    }
}

/// Accepts connections while the driver listens. If the task that accepts ends early, that is logged
/// and another one takes its place: a listener that is open and accepts nothing looks like a node
/// that works.
pub(super) async fn keep_accepting(
    listener: TcpListener,
    limiter: AcceptLimiter,
    net: mpsc::Sender<NetEvent>,
) {
    let listener = Arc::new(listener);
    keep_running(&net, || {
        accept(Arc::clone(&listener), limiter.clone(), net.clone())
    })
    .await;
}

/// Runs a task again each time it ends while the driver still listens.
async fn keep_running<F>(net: &mpsc::Sender<NetEvent>, mut start: impl FnMut() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    while !net.is_closed() {
        tasks.spawn(start());
        let ended = tasks.join_next().await;
        if net.is_closed() {
            return;
        }
        let cause = match ended {
            Some(Err(error)) => error.to_string(),
            _ => "it returned".to_owned(),
        };
        tracing::error!("the task that accepts connections ended, and is started again: {cause}");
        let fault = format!("the task that accepts connections ended: {cause}");
        // This fails only if the driver has ended.
        let _ = net.send(NetEvent::ListenerFault(fault)).await;
        sleep(ACCEPT_RETRY_INTERVAL).await;
    }
}

/// Accepts connections until the driver has ended.
async fn accept(listener: Arc<TcpListener>, limiter: AcceptLimiter, net: mpsc::Sender<NetEvent>) {
    let mut failures = LogThrottle::default();
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(arrival) => arrival,
            Err(error) => {
                if let Some(times) = failures.note() {
                    tracing::warn!(%error, times, "cannot accept connections; trying again");
                    let fault = NetEvent::ListenerFault(format!("cannot accept: {error}"));
                    if net.send(fault).await.is_err() {
                        return;
                    }
                }
                limiter.make_room();
                sleep(ACCEPT_RETRY_INTERVAL).await;
                continue;
            }
        };
        let Some(permit) = limiter.admit(from.ip()) else {
            continue;
        };
        if set_link_options(&stream).is_err() {
            continue;
        }
        if net
            .send(NetEvent::Accepted(LinkStream::Tcp(stream), permit))
            .await
            .is_err()
        {
            return;
        }
    }
}

/// Accepts streams of the onion service while it exists.
#[cfg(feature = "tor")]
pub(super) async fn accept_onion(
    mut incoming: whisht_tor::IncomingStreams,
    limiter: AcceptLimiter,
    net: mpsc::Sender<NetEvent>,
) {
    while let Some(stream) = incoming.next().await {
        // Tor reports no source, as for a daemon's connections over loopback.
        let Some(permit) = limiter.admit(Ipv4Addr::LOCALHOST.into()) else {
            continue;
        };
        let stream = LinkStream::Arti(Box::new(stream));
        if net.send(NetEvent::Accepted(stream, permit)).await.is_err() {
            return;
        }
    }
}

/// Limits on inbound links, shared by all listeners of a node. The node decides which links it
/// keeps; these limits bound the descriptors of the others.
pub(super) const fn link_limits(loopback_only: bool) -> AcceptLimits {
    AcceptLimits {
        slots: MAX_INBOUND_LINKS + MAX_NAMED_ABOVE,
        unproven: MAX_HALF_OPEN,
        per_source: MAX_HALF_OPEN / 4,
        closing: MAX_CLOSING,
        loopback_only,
        eviction: Eviction::Random,
    }
}

/// Peers that the user named, and that the node keeps above its maximum. With the other limits,
/// inbound links use at most 416 descriptors; the usual limit is 1,024.
const MAX_NAMED_ABOVE: usize = 32;
/// Maximum number of inbound connections that the node does not keep yet.
const MAX_HALF_OPEN: usize = 96;
/// Maximum number of inbound connections that write their last bytes.
const MAX_CLOSING: usize = 32;
/// A reader that accepts nothing for this long is disconnected.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The time limit for the last bytes of a connection.
const LINGER: Duration = Duration::from_secs(1);
/// The pause between two attempts to accept if the process has no file descriptor left.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// Bytes of a buffer of the operating system for a link with a limit of bandwidth.
#[cfg(any(target_os = "android", target_os = "linux"))]
const LIMITED_BUFFER: usize = 16 * 1024;
/// Bytes per read.
const READ_BUFFER: usize = 16 * 1024;
/// Chunks per write. The node keeps less than a frame more than 64 KB in flight.
const WRITE_BATCH: usize = 64;

#[cfg(test)]
mod tests;
