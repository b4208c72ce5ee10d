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
use super::listen::set_link_options;

/// An event that a remote peer can cause; arrives through a bounded channel.
#[derive(Debug)]
pub(super) enum NetEvent {
    /// A connection was accepted.
    Accepted(LinkStream, AcceptPermit),
    /// Bytes arrived.
    Received(LinkId, Vec<u8>),
    /// The connection ended; no further event comes from it.
    Ended(LinkId),
}

/// The driver's end of a connection. Dropping it closes the connection in order.
#[derive(Debug)]
pub(super) struct LinkHandle {
    chunks: mpsc::UnboundedSender<Vec<u8>>,
    _open: oneshot::Sender<()>,
}

impl LinkHandle {
    /// Queues bytes; they are lost if the connection is ending.
    pub(super) fn send(&self, chunk: Vec<u8>) {
        // A closed channel means that `Ended` is in the queue.
        let _ = self.chunks.send(chunk);
    }
}

/// The task's end of a connection.
#[derive(Debug)]
pub(super) struct LinkTask {
    pub(super) link: LinkId,
    pub(super) stream: LinkStream,
    /// The permit, if the connection is inbound.
    pub(super) permit: Option<AcceptPermit>,
    chunks: mpsc::UnboundedReceiver<Vec<u8>>,
    closing: oneshot::Receiver<()>,
}

impl LinkTask {
    pub(super) fn new(
        link: LinkId,
        stream: LinkStream,
        permit: Option<AcceptPermit>,
    ) -> (LinkHandle, Self) {
        let (to_chunks, chunks) = mpsc::unbounded_channel();
        let (open, closing) = oneshot::channel();
        let handle = LinkHandle {
            chunks: to_chunks,
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
        } = self;
        let (reader, writer) = stream.split();
        tokio::select! {
            () = read(link, reader, &net) => {}
            () = write(link, writer, chunks, completions) => {}
            () = linger(closing) => {}
            () = until_evicted(permit) => {}
        }
        // This fails only if the driver has ended.
        let _ = net.send(NetEvent::Ended(link)).await;
    }
}

/// Reads until the peer closes.
async fn read(link: LinkId, mut reader: StreamReader, net: &mpsc::Sender<NetEvent>) {
    let mut buffer = vec![0; READ_BUFFER];
    while let Ok(len @ 1..) = reader.read(&mut buffer).await {
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
    mut writer: StreamWriter,
    mut chunks: mpsc::UnboundedReceiver<Vec<u8>>,
    completions: mpsc::UnboundedSender<Completion>,
) {
    let mut batch = Vec::new();
    while chunks.recv_many(&mut batch, WRITE_BATCH).await > 0 {
        let bytes = batch.concat();
        batch.clear();
        let written = async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        };
        if !matches!(timeout(STALL_TIMEOUT, written).await, Ok(Ok(()))) {
            sleep(LINGER).await;
            return;
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

/// Holds the permit of an inbound connection. Completes if the connection has to make room for
/// another while its handshake may still be in progress.
async fn until_evicted(permit: Option<AcceptPermit>) {
    let Some(permit) = permit else {
        return pending().await;
    };
    if timeout(HANDSHAKE_TIMEOUT, permit.evicted()).await.is_ok() {
        return;
    }
    // It took its slot on arrival, so this does not fail.
    let _ = permit.promote();
    pending().await
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
        sleep(ACCEPT_RETRY_INTERVAL).await;
    }
}

/// Accepts connections until the driver has ended.
async fn accept(listener: Arc<TcpListener>, limiter: AcceptLimiter, net: mpsc::Sender<NetEvent>) {
    loop {
        // The permit comes first: without one, connections wait in the operating system's queue.
        let Some(slot) = limiter.slot().await else {
            return;
        };
        let (stream, from) = match listener.accept().await {
            Ok(arrival) => arrival,
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; trying again");
                sleep(ACCEPT_RETRY_INTERVAL).await;
                continue;
            }
        };
        let Some(permit) = limiter.admit(from.ip(), Some(slot)) else {
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
    loop {
        let Some(slot) = limiter.slot().await else {
            return;
        };
        let Some(stream) = incoming.next().await else {
            return;
        };
        // Tor reports no source, as for a daemon's connections over loopback.
        let Some(permit) = limiter.admit(Ipv4Addr::LOCALHOST.into(), Some(slot)) else {
            continue;
        };
        let stream = LinkStream::Arti(Box::new(stream));
        if net.send(NetEvent::Accepted(stream, permit)).await.is_err() {
            return;
        }
    }
}

/// Limits on inbound links, shared by all listeners of a node.
pub(super) const fn link_limits(loopback_only: bool) -> AcceptLimits {
    AcceptLimits {
        slots: MAX_INBOUND,
        unproven: MAX_HALF_OPEN,
        per_source: MAX_PER_SOURCE,
        loopback_only,
        eviction: Eviction::Random,
    }
}

/// Maximum number of inbound connections. Each costs two buffers and a file descriptor; the usual
/// limit of 1,024 descriptors leaves room for as many outbound ones.
const MAX_INBOUND: usize = 256;
/// Maximum number of these whose handshake may not be finished.
const MAX_HALF_OPEN: usize = 128;
/// Maximum number of inbound connections from one /24 or /48.
const MAX_PER_SOURCE: usize = MAX_INBOUND / 4;
/// A connection of this age has finished its handshake, because the node otherwise closes it after
/// five seconds. The shell does not parse handshakes.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(6);
/// A reader that accepts nothing for this long is disconnected.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The time limit for the last bytes of a connection.
const LINGER: Duration = Duration::from_secs(1);
/// The pause between two attempts to accept if the process has no file descriptor left.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// Bytes per read.
const READ_BUFFER: usize = 16 * 1024;
/// Chunks per write. The node keeps less than a frame more than 64 KB in flight.
const WRITE_BATCH: usize = 64;

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    /// A connection's task, the driver's ends of it, and the peer's side.
    struct TestLink {
        handle: Option<LinkHandle>,
        net: mpsc::Receiver<NetEvent>,
        completions: mpsc::UnboundedReceiver<Completion>,
        peer: TcpStream,
    }

    async fn pair() -> TestLink {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let (handle, connection) = LinkTask::new(LinkId(1), LinkStream::Tcp(stream), None);
        let (to_net, net) = mpsc::channel(1);
        let (to_completions, completions) = mpsc::unbounded_channel();
        tokio::spawn(connection.run(to_net, to_completions));
        let handle = Some(handle);
        TestLink {
            handle,
            net,
            completions,
            peer,
        }
    }

    impl TestLink {
        /// All bytes until the connection ends, which it must do once.
        async fn drain(&mut self) -> Vec<u8> {
            let mut received = Vec::new();
            loop {
                match self.net.recv().await {
                    Some(NetEvent::Received(LinkId(1), bytes)) => received.extend(bytes),
                    Some(NetEvent::Ended(LinkId(1))) => break,
                    other => panic!("{other:?}"),
                }
            }
            assert!(self.net.recv().await.is_none());
            received
        }
    }

    #[tokio::test(start_paused = true)]
    async fn accept_task_that_ends_is_started_again() {
        let (net, mut driver) = mpsc::channel(8);
        let mut starts = 0;
        let to_driver = net.clone();
        let tasks = keep_running(&net, || {
            starts += 1;
            let (start, net) = (starts, to_driver.clone());
            async move {
                let _ = net.send(NetEvent::Ended(LinkId(start))).await;
                // The first one fails as a task whose log cannot be written; the second returns.
                assert_ne!(start, 1, "the disk is full");
                if start == 3 {
                    pending::<()>().await;
                }
            }
        });
        let driven = async {
            for start in 1..=3 {
                let event = driver.recv().await;
                assert!(matches!(event, Some(NetEvent::Ended(LinkId(id))) if id == start));
            }
        };
        tokio::select! {
            () = tasks => panic!("the driver listens"),
            () = driven => {}
        }
    }

    #[tokio::test]
    async fn busy_node_receives_all_bytes() {
        let TestLink {
            mut net,
            mut peer,
            handle,
            ..
        } = pair().await;
        let said: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
        let copy = said.clone();
        tokio::spawn(async move { peer.write_all(&copy).await });
        // The node reads one chunk at a time; the peer waits.
        let mut received = Vec::new();
        while let Some(NetEvent::Received(_, bytes)) = net.recv().await {
            received.extend(bytes);
            tokio::task::yield_now().await;
        }
        assert!(received == said);
        drop(handle);
    }

    #[tokio::test]
    async fn last_bytes_arrive_before_end() {
        let mut pair = pair().await;
        let words = vec![7; 100_000];
        pair.handle.as_ref().unwrap().send(words.clone());
        pair.handle = None;
        let mut heard = Vec::new();
        pair.peer.read_to_end(&mut heard).await.unwrap();
        assert!(heard == words);
        pair.peer
            .write_all(b"too late, but not lost")
            .await
            .unwrap();
        pair.peer.shutdown().await.unwrap();
        assert_eq!(pair.drain().await, b"too late, but not lost");
        let flushed = pair.completions.recv().await;
        assert!(matches!(
            flushed,
            Some(Completion::Flushed(LinkId(1), 100_000))
        ));
    }

    #[tokio::test]
    async fn sent_bytes_are_reported_once() {
        let mut pair = pair().await;
        for len in 1..100 {
            pair.handle.as_ref().unwrap().send(vec![0; len]);
        }
        let mut heard = vec![0; 4950];
        pair.peer.read_exact(&mut heard).await.unwrap();
        pair.handle = None;
        drop(pair.peer);
        let mut reported = 0;
        while let Some(Completion::Flushed(LinkId(1), len)) = pair.completions.recv().await {
            reported += len;
        }
        assert_eq!(reported, 4950);
    }

    #[tokio::test(start_paused = true)]
    async fn peer_that_reads_nothing_is_disconnected() {
        let mut pair = pair().await;
        let begun = tokio::time::Instant::now();
        // More than any system buffers for a connection.
        for _ in 0..1_000 {
            pair.handle.as_ref().unwrap().send(vec![0; 64 * 1024]);
        }
        assert!(pair.drain().await.is_empty());
        assert!(begun.elapsed() >= STALL_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn peer_that_keeps_connection_open_is_dropped() {
        let mut pair = pair().await;
        pair.handle = None;
        let begun = tokio::time::Instant::now();
        assert!(pair.drain().await.is_empty());
        assert!(begun.elapsed() >= LINGER);
    }

    #[tokio::test(start_paused = true)]
    async fn connection_past_its_handshake_is_not_evicted() {
        let limiter = AcceptLimiter::new(link_limits(false));
        let from = std::net::IpAddr::from([127, 0, 0, 1]);
        let mut waiters = JoinSet::new();
        let slot = limiter.slot().await;
        waiters.spawn(until_evicted(limiter.admit(from, slot)));
        sleep(HANDSHAKE_TIMEOUT * 2).await;
        let mut flood = Vec::new();
        for _ in 1..MAX_INBOUND {
            let slot = limiter.slot().await;
            flood.push(limiter.admit(from, slot).unwrap());
        }
        sleep(HANDSHAKE_TIMEOUT * 2).await;
        assert!(waiters.try_join_next().is_none());
        let waits = timeout(HANDSHAKE_TIMEOUT, limiter.slot()).await;
        assert!(waits.is_err(), "the rest wait outside");
    }

    #[tokio::test(start_paused = true)]
    async fn connection_in_its_handshake_makes_room_for_another() {
        let limiter = AcceptLimiter::new(link_limits(false));
        let from = std::net::IpAddr::from([127, 0, 0, 1]);
        let mut waiters = JoinSet::new();
        for _ in 0..=MAX_HALF_OPEN {
            let slot = limiter.slot().await;
            waiters.spawn(until_evicted(limiter.admit(from, slot)));
        }
        let evicted = timeout(HANDSHAKE_TIMEOUT / 2, waiters.join_next()).await;
        assert!(evicted.is_ok(), "one makes room");
        assert!(waiters.try_join_next().is_none(), "and only one");
    }
}
