//! Tasks of connections and listeners, over loopback.

use tokio::net::TcpStream;

use super::*;
use crate::bandwidth::BandwidthLimits;
use crate::shell::clock::Clock;

/// A connection's task, the driver's ends of it, and the peer's side.
struct TestLink {
    handle: Option<LinkHandle>,
    net: mpsc::Receiver<NetEvent>,
    completions: mpsc::UnboundedReceiver<Completion>,
    peer: TcpStream,
}

fn no_limits() -> LinkGates {
    LinkGates::new(&BandwidthLimits::default(), Clock::start())
}

async fn pair() -> TestLink {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let (handle, connection) = LinkTask::new(LinkId(1), LinkStream::Tcp(stream), None, no_limits());
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
            if start < 3 {
                let event = driver.recv().await;
                let Some(NetEvent::ListenerFault(fault)) = event else {
                    panic!("the driver is not told: {event:?}");
                };
                assert!(fault.starts_with("the task that accepts"), "{fault}");
            }
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

#[tokio::test]
async fn link_that_the_node_keeps_takes_a_slot_until_it_closes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let limiter = AcceptLimiter::new(AcceptLimits {
        slots: 1,
        ..link_limits(false)
    });
    let (to_net, _net) = mpsc::channel(8);
    let (to_completions, _completions) = mpsc::unbounded_channel();
    let mut peers = Vec::new();
    let mut links = Vec::new();
    for id in 1..=2 {
        peers.push(
            TcpStream::connect(listener.local_addr().unwrap())
                .await
                .unwrap(),
        );
        let (stream, from) = listener.accept().await.unwrap();
        let permit = limiter.admit(from.ip());
        let (handle, task) =
            LinkTask::new(LinkId(id), LinkStream::Tcp(stream), permit, no_limits());
        tokio::spawn(task.run(to_net.clone(), to_completions.clone()));
        links.push(handle);
    }
    let second = links.pop().unwrap();
    let first = links.pop().unwrap();
    assert!(first.keep() && !second.keep());
    drop(first);
    assert!(second.keep());
}
