//! The shell around a node: attacks by unknown peers and local programs, and crashes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use whisht::config::{Config, file};
use whisht::endpoint::{Endpoint, PeerAddr};
use whisht::node::{Command, Reply};
use whisht::shell::rpc::{RpcClient, RpcClientError};
use whisht::shell::runtime::{DataLocation, RunningNode, RuntimeError};

/// Only bounds the wait; an idle machine needs far less.
const TEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Settings of a node in a network of this test's own, with further lines of configuration.
fn config(more: &str) -> Config {
    let base = "profile = 'local'\nnetwork = 'shell-test'\nthreads = 1\n";
    let listen = if more.contains("listen") {
        ""
    } else {
        "listen = ['127.0.0.1:0']\n"
    };
    let text = format!("{base}{listen}{more}");
    Config::build(file::parse(Path::new("test"), &text).unwrap()).unwrap()
}

async fn open(dir: &Path, more: &str) -> Result<RunningNode, RuntimeError> {
    RunningNode::open(config(more), &DataLocation::Directory(dir.to_owned()), None).await
}

async fn ephemeral(more: &str) -> RunningNode {
    RunningNode::open(config(more), &DataLocation::Ephemeral, None)
        .await
        .unwrap()
}

fn address(host: &RunningNode) -> SocketAddr {
    *host.handle().addresses().first().unwrap()
}

fn enode(host: &RunningNode) -> PeerAddr {
    PeerAddr {
        key: host.key(),
        endpoint: Endpoint::Tcp(address(host)),
    }
}

/// The number of a node's peers.
async fn peers(host: &RunningNode) -> usize {
    match host
        .handle()
        .command(Command::Status)
        .await
        .unwrap()
        .unwrap()
    {
        Reply::Status(status) => status.peers,
        other => panic!("{other:?}"),
    }
}

/// Waits until a node has this many peers.
async fn until_peers(host: &RunningNode, wanted: usize) {
    let counting = async {
        while peers(host).await != wanted {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TEST_TIMEOUT, counting)
        .await
        .expect("the number of peers is reached");
}

/// Sends bytes to a node's local socket, and reads until the node closes or `lines` lines arrived.
async fn ipc(host: &RunningNode, sent: &[u8], lines: usize) -> Vec<Value> {
    let mut stream = UnixStream::connect(host.ipc_path()).await.unwrap();
    // The node may close before it has read everything.
    let _ = stream.write_all(sent).await;
    let mut received = Vec::new();
    while received.iter().filter(|byte| **byte == b'\n').count() < lines {
        match timeout(TEST_TIMEOUT, stream.read_buf(&mut received))
            .await
            .expect("an answer")
        {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    let text = String::from_utf8(received).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn code(response: &Value) -> i64 {
    response["error"]["code"].as_i64().unwrap_or_default()
}

#[tokio::test]
async fn listening_node_keeps_key_between_runs() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("data");
    let host = open(&dir, "").await.unwrap();
    let (key, socket) = (host.key(), host.ipc_path().to_owned());
    host.handle().shutdown().await;
    drop(host);
    assert!(!socket.exists(), "the socket is removed with the node");
    let again = open(&dir, "").await.unwrap();
    assert_eq!(again.key(), key);
}

#[tokio::test]
async fn non_listening_node_has_new_key_every_run() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("data");
    let host = open(&dir, "listen = []").await.unwrap();
    let key = host.key();
    assert!(host.handle().addresses().is_empty());
    host.handle().shutdown().await;
    drop(host);
    assert_ne!(open(&dir, "listen = []").await.unwrap().key(), key);
}

#[tokio::test]
async fn directory_in_use_is_refused_until_node_ends() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("data");
    let host = open(&dir, "").await.unwrap();
    let refusal = open(&dir, "").await.unwrap_err().to_string();
    assert!(
        refusal.contains(&format!("process {}", std::process::id())),
        "{refusal}"
    );
    host.handle().shutdown().await;
    drop(host);
    open(&dir, "").await.unwrap();
}

#[tokio::test]
async fn stale_socket_is_replaced() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("data");
    let host = open(&dir, "").await.unwrap();
    let socket = host.ipc_path().to_owned();
    host.handle().shutdown().await;
    drop(host);
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    let host = open(&dir, "").await.unwrap();
    let mut client = RpcClient::connect(host.ipc_path()).await.unwrap();
    client.call("whisht_status", json!([])).await.unwrap();
}

#[tokio::test]
async fn crashed_peer_is_removed() {
    let one = ephemeral("").await;
    let other = ephemeral(&format!("peers = ['{}']", enode(&one))).await;
    until_peers(&one, 1).await;
    until_peers(&other, 1).await;
    other.handle().abort();
    other.handle().finished().await;
    until_peers(&one, 0).await;
}

#[tokio::test]
async fn shutdown_disconnects_peer() {
    let one = ephemeral("").await;
    let other = ephemeral("").await;
    let peer = enode(&one);
    other
        .handle()
        .command(Command::AddPeer(peer))
        .await
        .unwrap()
        .unwrap();
    until_peers(&one, 1).await;
    timeout(TEST_TIMEOUT, other.handle().shutdown())
        .await
        .expect("a shutdown ends");
    until_peers(&one, 0).await;
    assert!(other.handle().command(Command::Status).await.is_err());
}

#[tokio::test]
async fn crashed_relay_restarts_with_its_onion_keys() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("data");
    let relay = open(&dir, "relay = true").await.unwrap();
    let made = timeout(TEST_TIMEOUT, async {
        loop {
            let keys = onion_files(&dir);
            if keys.len() >= 2 {
                break keys;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let made = made.await.expect("a relay creates its keys at once");
    relay.handle().abort();
    relay.handle().finished().await;
    drop(relay);
    let again = async {
        // The storage thread writes its queue before it releases the directory.
        loop {
            match open(&dir, "relay = true").await {
                Ok(relay) => break relay,
                Err(RuntimeError::Dir(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    let again = timeout(TEST_TIMEOUT, again)
        .await
        .expect("the lock ends with the node");
    assert_eq!(peers(&again).await, 0);
    again.handle().shutdown().await;
    let kept = onion_files(&dir);
    assert!(
        made.iter().all(|key| kept.contains(key)),
        "no key is replaced"
    );
}

/// Names and contents of a relay's onion keys.
fn onion_files(dir: &Path) -> Vec<(String, String)> {
    let mut files: Vec<_> = std::fs::read_dir(dir.join("onion"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "key"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn half_open_connections_do_not_block_peer() {
    let victim = ephemeral("").await;
    let mut flood = Vec::new();
    for _ in 0..400 {
        flood.push(TcpStream::connect(address(&victim)).await.unwrap());
    }
    assert_eq!(peers(&victim).await, 0, "the node still answers");
    let honest = ephemeral(&format!("peers = ['{}']", enode(&victim))).await;
    until_peers(&honest, 1).await;
    drop(flood);
}

#[tokio::test]
async fn garbage_connection_is_closed() {
    let host = ephemeral("").await;
    for nonsense in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 4096], &[0; 500]] {
        let mut stream = TcpStream::connect(address(&host)).await.unwrap();
        // The node may close before it has read everything.
        let _ = stream.write_all(nonsense).await;
        let mut rest = Vec::new();
        let end = timeout(TEST_TIMEOUT, stream.read_to_end(&mut rest)).await;
        end.expect("the node closes").ok();
    }
    assert_eq!(peers(&host).await, 0);
}

#[tokio::test]
async fn ipc_requests_are_answered_for_any_fragmentation() {
    let host = ephemeral("").await;
    let request = br#"{"jsonrpc":"2.0","id":7,"method":"whisht_peers"}"#;
    let twice = [request.as_slice(), request.as_slice()].concat();
    let answers = ipc(&host, &twice, 2).await;
    assert_eq!(
        answers,
        vec![json!({"jsonrpc": "2.0", "id": 7, "result": []}); 2]
    );

    let mut stream = UnixStream::connect(host.ipc_path()).await.unwrap();
    for byte in request.chunks(1) {
        stream.write_all(byte).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = [0; 8];
    timeout(TEST_TIMEOUT, stream.read_exact(&mut answer))
        .await
        .expect("an answer")
        .unwrap();
}

#[tokio::test]
async fn ipc_batch_is_answered_as_batch() {
    let host = ephemeral("").await;
    let list = json!([
        {"jsonrpc": "2.0", "id": 1, "method": "whisht_outbox"},
        {"jsonrpc": "2.0", "id": "b", "method": "nonsense"},
    ]);
    let answers = ipc(&host, list.to_string().as_bytes(), 1).await;
    let [Value::Array(answers)] = answers.as_slice() else {
        panic!("{answers:?}")
    };
    assert_eq!(answers.len(), 2);
    assert_eq!(answers.first().unwrap()["result"], json!([]));
    assert_eq!(code(answers.last().unwrap()), -32601);
    assert_eq!(ipc(&host, b"[]", 1).await, [json!([])]);
    let no_id = json!([{"id": 1, "method": "whisht_outbox"}, {"method": "whisht_outbox"}]);
    for unanswerable in [no_id, json!(vec![1; 2000])] {
        let answers = ipc(&host, unanswerable.to_string().as_bytes(), 1).await;
        assert_eq!(code(answers.first().unwrap()), -32700);
    }
}

#[tokio::test]
async fn ipc_garbage_ends_session_not_node() {
    let host = ephemeral("").await;
    let deep = "[".repeat(100_000);
    let long = format!("[\"{}", "x".repeat(3 << 20));
    for (sent, expected) in [
        (&b"\0\0\0"[..], -32600),
        (b"POST / HTTP/1.1", -32600),
        (b"{]", -32600),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1}", -32601),
        (long.as_bytes(), -32600),
    ] {
        let answers = ipc(&host, sent, 1).await;
        assert_eq!(answers.first().map(code), Some(expected));
    }
    // An unclosed bracket is an incomplete request, at any depth.
    let mut waiting = UnixStream::connect(host.ipc_path()).await.unwrap();
    waiting.write_all(deep.as_bytes()).await.unwrap();
    assert_eq!(peers(&host).await, 0);
}

#[tokio::test]
async fn ipc_client_over_limit_is_refused_with_reason() {
    let host = ephemeral("").await;
    let mut clients = Vec::new();
    for _ in 0..32 {
        let mut client = RpcClient::connect(host.ipc_path()).await.unwrap();
        client.call("whisht_outbox", json!([])).await.unwrap();
        clients.push(client);
    }
    let mut late = RpcClient::connect(host.ipc_path()).await.unwrap();
    let refusal = late.call("whisht_outbox", json!([])).await.unwrap_err();
    assert!(
        refusal.to_string().contains("close another one"),
        "{refusal}"
    );
    clients.pop();
    let again = async {
        loop {
            let mut client = RpcClient::connect(host.ipc_path()).await.unwrap();
            if client.call("whisht_outbox", json!([])).await.is_ok() {
                break;
            }
        }
    };
    timeout(TEST_TIMEOUT, again)
        .await
        .expect("a slot becomes free");
}

#[tokio::test]
async fn new_identity_is_stored_and_loaded_at_restart() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("data");
    let host = open(&dir, "").await.unwrap();
    let mut client = RpcClient::connect(host.ipc_path()).await.unwrap();
    let made = client
        .call(
            "whisht_newIdentity",
            json!([{"name": "desk", "password": ""}]),
        )
        .await
        .unwrap();
    let group = json!([{
        "name": "us", "topic": "0x01020304", "group_password": "test", "password": ""
    }]);
    client.call("whisht_newIdentity", group).await.unwrap();
    let again = client
        .call(
            "whisht_newIdentity",
            json!([{"name": "desk", "password": ""}]),
        )
        .await;
    assert!(matches!(again, Err(RpcClientError::Refused(error)) if error.cause.contains("`desk`")));
    host.handle().shutdown().await;
    drop((client, host));

    let host = open(&dir, "").await.unwrap();
    let mut client = RpcClient::connect(host.ipc_path()).await.unwrap();
    let known = client.call("whisht_identities", json!([])).await.unwrap();
    let known = known.as_array().unwrap();
    assert_eq!(known.first(), Some(&made));
    assert_eq!(known.len(), 2);
}

#[tokio::test]
async fn events_subscription_reports_peer_count() {
    let host = ephemeral("").await;
    let mut client = RpcClient::connect(host.ipc_path()).await.unwrap();
    let id = client.subscribe().await.unwrap();
    let _peer = ephemeral(&format!("peers = ['{}']", enode(&host))).await;
    let told = async { while client.next_event().await.unwrap() != json!({"peers": 1}) {} };
    timeout(TEST_TIMEOUT, told).await.expect("an event");
    let ended = client
        .call("whisht_unsubscribe", json!([id]))
        .await
        .unwrap();
    assert_eq!(ended, json!(true));
}
