//! The workload of a leak test: links, gossip, messages, mail, and every JSON-RPC call.
//!
//! The workload never uses the identities of the user, which stay locked: a key made for the test
//! sends to itself. A refusal is a valid outcome; the test observes what the node does meanwhile. A
//! partner, a second node on this machine that keeps nothing, makes traffic possible without a
//! network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::traced_node::loopback_enodes;
use super::{console_pages, note};
use crate::cli::output::safe;
use crate::cli::run::banner::Banner;
use crate::node::StatusView;
use crate::shell::clock::Clock;
use crate::shell::rpc::{RpcClient, RpcClientError};

/// The steps so far, in order.
pub(super) type Steps = Vec<Step>;

/// A step of the workload.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// The method or action.
    pub(super) what: String,
    /// The outcome of the step.
    pub(super) outcome: StepOutcome,
}

/// The outcome of a step.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum StepOutcome {
    /// The step succeeded.
    Done,
    /// The node refused it, with this reason.
    Refused(String),
    /// There was no answer in time.
    Silent,
}

impl fmt::Display for StepOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Silent => f.write_str("no answer"),
        }
    }
}

/// Waits until Tor may carry links, for at most [`TOR_TIMEOUT`].
pub(super) async fn reach(node: &Banner) {
    let mut told = None;
    let reached = async {
        loop {
            // The socket may not answer yet.
            if let Ok(StatusView {
                shut, unverified, ..
            }) = status(node).await
            {
                let Some(reason) = shut.as_deref().map(safe) else {
                    return unverified;
                };
                if told.as_ref() != Some(&reason) {
                    note(&reason);
                    told = Some(reason);
                }
            }
            sleep(POLL_INTERVAL).await;
        }
    };
    match timeout(TOR_TIMEOUT, reached).await {
        Ok(None) => note("Tor is ready"),
        Ok(Some(reason)) => note(format_args!(
            "whether Tor is ready is unknown: {}",
            safe(&reason)
        )),
        Err(_) => note("Tor is not ready yet; the test continues"),
    }
}

async fn status(node: &Banner) -> Result<StatusView, RpcClientError> {
    let mut client = RpcClient::connect(&node.ipc).await?;
    client.view("whisht_status", json!([])).await
}

/// Whether Tor carried a link during the test. Without one, the test shows nothing about links.
pub(super) async fn link_through_tor(node: &Banner) -> Step {
    let outcome = match timeout(REPLY_TIMEOUT, status(node)).await {
        Ok(Ok(status)) => link_outcome(status.shut.as_deref().or(status.unverified.as_deref())),
        Ok(Err(error)) => StepOutcome::Refused(error.to_string()),
        Err(_) => StepOutcome::Silent,
    };
    if outcome != StepOutcome::Done {
        note(NO_LINK);
    }
    Step {
        what: "a link through Tor".to_owned(),
        outcome,
    }
}

/// The outcome, by the reason that no link is known to work.
fn link_outcome(reason: Option<&str>) -> StepOutcome {
    match reason {
        None => StepOutcome::Done,
        Some(reason) => StepOutcome::Refused(format!("{NO_LINK}: {}", safe(reason))),
    }
}

/// Runs all steps, with the help of a partner if there is one. `clear` is whether the node may be told
/// to connect to a clear address, because all its traffic goes through Tor.
pub(super) async fn all(node: &Banner, partner: Option<&Banner>, clear: bool, steps: &mut Steps) {
    let mut session = WorkloadSession::new(node.ipc.clone(), "", steps);
    session.look_around().await;
    let Some(keys) = session.keys().await else {
        return;
    };
    let dead = session.peers(&keys, partner).await;
    if clear {
        session.unreachable_peer(&keys).await;
    }
    session.talk(&keys).await;
    for enode in partner.into_iter().flat_map(loopback_enodes) {
        session.hand_over(&keys, &enode).await;
    }
    session.mail().await;
    session.console().await;
    let token = node.rpc_token.as_deref();
    if let Some(at) = &node.http {
        let outcome = http(at, token).await;
        session.record("JSON-RPC over HTTP", outcome);
    }
    if let Some(at) = &node.ws {
        let outcome = web_socket(at, token).await;
        session.record("JSON-RPC over WebSocket", outcome);
    }
    if let Some(partner) = partner {
        other_end(node, partner, session.steps).await;
    }
    drop(dead);
}

/// The steps of the partner: it posts, so that the node has an envelope to forward, and requests mail.
async fn other_end(node: &Banner, partner: &Banner, steps: &mut Steps) {
    let mut session = WorkloadSession::new(partner.ipc.clone(), "partner: ", steps);
    for enode in loopback_enodes(node) {
        session.call("whisht_addPeer", json!([enode])).await;
    }
    // Connecting takes longer under a tracer.
    sleep(SETTLE_TIME).await;
    if let Some(keys) = session.keys().await {
        session.post(&keys).await;
    }
    if node.mail
        && let Some(enode) = loopback_enodes(node).into_iter().next()
    {
        let mut request = range();
        if let Some(request) = request.as_object_mut() {
            request.insert("from".to_owned(), enode.into());
        }
        session.call("whisht_fetchMail", json!([request])).await;
        sleep(SETTLE_TIME).await;
    }
}

/// Keys made for the test, and the work that envelopes need.
struct WorkloadKeys {
    symmetric: Value,
    public: String,
    work: Value,
}

impl WorkloadKeys {
    /// The enode URL of a peer with the public key.
    fn enode(&self, place: SocketAddr) -> String {
        let key = self.public.strip_prefix("0x04").unwrap_or_default();
        format!("enode://{key}@{place}")
    }

    /// An envelope that only this program can decrypt.
    fn envelope(&self) -> Value {
        json!({
            "symKeyID": self.symmetric,
            "topic": TOPIC,
            "payload": "0x6c65616b",
            "ttl": LIFE,
            "powTarget": self.work,
            "powTime": 5,
        })
    }
}

/// Calls to one node.
struct WorkloadSession<'a> {
    path: PathBuf,
    prefix: &'static str,
    client: Option<RpcClient>,
    steps: &'a mut Steps,
}

impl<'a> WorkloadSession<'a> {
    const fn new(path: PathBuf, prefix: &'static str, steps: &'a mut Steps) -> Self {
        Self {
            path,
            prefix,
            client: None,
            steps,
        }
    }

    fn record(&mut self, what: &str, outcome: StepOutcome) {
        let what = format!("{}{what}", self.prefix);
        self.steps.push(Step { what, outcome });
    }

    /// Calls a method, and records the outcome.
    async fn call(&mut self, method: &str, params: Value) -> Option<Value> {
        let answer = timeout(REPLY_TIMEOUT, self.ask(method, params)).await;
        let (outcome, value) = match answer {
            Ok(Ok(value)) => (StepOutcome::Done, Some(value)),
            Ok(Err(RpcClientError::Refused(error))) => (StepOutcome::Refused(error.cause), None),
            Ok(Err(_)) | Err(_) => {
                // The connection may still deliver the late answer.
                self.client = None;
                (StepOutcome::Silent, None)
            }
        };
        self.record(method, outcome);
        value
    }

    async fn ask(&mut self, method: &str, params: Value) -> Result<Value, RpcClientError> {
        let client = match &mut self.client {
            Some(client) => client,
            none => none.insert(RpcClient::connect(&self.path).await?),
        };
        client.call(method, params).await
    }

    /// Calls every method that only reads.
    async fn look_around(&mut self) {
        for method in QUESTIONS {
            self.call(method, json!([])).await;
        }
        self.call("web3_sha3", json!(["0x6c65616b"])).await;
    }

    /// Makes keys in the node's memory.
    async fn keys(&mut self) -> Option<WorkloadKeys> {
        let pair = self.call("shh_newKeyPair", json!([])).await?;
        let public = self.call("shh_getPublicKey", json!([pair])).await?;
        let mut info = self.call("shh_info", json!([])).await?;
        Some(WorkloadKeys {
            symmetric: self.call("shh_newSymKey", json!([])).await?,
            public: public.as_str()?.to_owned(),
            work: info.get_mut("minPow")?.take(),
        })
    }

    /// Adds the partner as a peer, and a listener that accepts connections and stays silent until the
    /// result is dropped.
    async fn peers(
        &mut self,
        keys: &WorkloadKeys,
        partner: Option<&Banner>,
    ) -> Option<TcpListener> {
        for enode in partner.into_iter().flat_map(loopback_enodes) {
            self.call("whisht_addPeer", json!([enode])).await;
        }
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.ok()?;
        let enode = keys.enode(silent.local_addr().ok()?);
        self.call("admin_addPeer", json!([enode])).await;
        sleep(SETTLE_TIME).await;
        self.call("admin_removePeer", json!([enode])).await;
        self.call("whisht_peers", json!([])).await;
        Some(silent)
    }

    /// Adds a peer at a reserved address, which may be requested from Tor only.
    async fn unreachable_peer(&mut self, keys: &WorkloadKeys) {
        let enode = keys.enode(UNREACHABLE);
        self.call("whisht_addPeer", json!([enode])).await;
        sleep(SETTLE_TIME).await;
        self.call("admin_removePeer", json!([enode])).await;
    }

    /// Posts, reads and sends, from a key of the test to itself.
    async fn talk(&mut self, keys: &WorkloadKeys) {
        let criteria = json!([{"symKeyID": keys.symmetric, "topics": [TOPIC]}]);
        let filter = self.call("shh_newMessageFilter", criteria).await;
        self.post(keys).await;
        if let Some(filter) = filter {
            self.call("shh_getFilterMessages", json!([filter])).await;
            self.call("shh_deleteMessageFilter", json!([filter])).await;
        }
        let message = json!([{"to": keys.public, "payload": "6c65616b", "life": LIFE}]);
        self.call("whisht_estimate", message.clone()).await;
        if let Some(id) = self.call("whisht_send", message).await {
            // The first cells leave within this time.
            sleep(SETTLE_TIME).await;
            self.call("whisht_outbox", json!([])).await;
            self.call("whisht_cancel", json!([id])).await;
        }
    }

    /// Posts an envelope at the node's own level.
    async fn post(&mut self, keys: &WorkloadKeys) {
        self.call("shh_post", json!([keys.envelope()])).await;
    }

    /// Sends a direct message to the partner.
    async fn hand_over(&mut self, keys: &WorkloadKeys, enode: &str) {
        let mut envelope = keys.envelope();
        if let Some(envelope) = envelope.as_object_mut() {
            envelope.insert("targetPeer".to_owned(), enode.into());
            envelope.insert("level".to_owned(), "open".into());
        }
        self.call("shh_post", json!([envelope])).await;
    }

    /// Requests the mail of the last minutes from the first trusted peer; refused if there is none.
    async fn mail(&mut self) {
        self.call("whisht_fetchMail", json!([range()])).await;
    }

    /// Opens the console, and loads its pages.
    async fn console(&mut self) {
        let url = self.call("whisht_console", json!([])).await;
        let Some(url) = url.as_ref().and_then(Value::as_str) else {
            return;
        };
        let outcome = match timeout(REPLY_TIMEOUT, console_pages::visit(url)).await {
            Ok(Ok(())) => StepOutcome::Done,
            Ok(Err(reason)) => StepOutcome::Refused(reason),
            Err(_) => StepOutcome::Silent,
        };
        self.record("the pages of the console", outcome);
    }
}

/// A mail request for the last [`MAIL_BEHIND`] seconds.
fn range() -> Value {
    let now = Clock::start().now().unix;
    json!({"since": now.before(MAIL_BEHIND).0})
}

/// A JSON-RPC request over HTTP.
async fn http(at: &str, token: Option<&Path>) -> StepOutcome {
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"shh_version","params":[]}"#;
    let head = format!(
        "Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n",
        body.len()
    );
    request(at.strip_prefix("http://"), token, "POST", &head, body).await
}

/// An upgrade to WebSocket without a message.
async fn web_socket(at: &str, token: Option<&Path>) -> StepOutcome {
    let head = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";
    request(at.strip_prefix("ws://"), token, "GET", head, "").await
}

async fn request(
    at: Option<&str>,
    token: Option<&Path>,
    method: &str,
    head: &str,
    body: &str,
) -> StepOutcome {
    let place = at.and_then(|at| at.parse::<SocketAddr>().ok());
    let Some(place) = place.filter(|place| place.ip().is_loopback()) else {
        return StepOutcome::Refused("not on loopback".to_owned());
    };
    let token = token.and_then(|path| std::fs::read_to_string(path).ok());
    let authorization = token
        .map(|token| format!("Authorization: Bearer {}\r\n", token.trim()))
        .unwrap_or_default();
    let request =
        format!("{method} / HTTP/1.1\r\nHost: {place}\r\n{authorization}{head}\r\n{body}");
    let exchange = async {
        let mut stream = TcpStream::connect(place).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut status = [0; 12];
        stream.read_exact(&mut status).await?;
        Ok::<_, std::io::Error>(status)
    };
    match timeout(REPLY_TIMEOUT, exchange).await {
        Ok(Ok(status)) => match status.get(9..) {
            Some(b"200" | b"101") => StepOutcome::Done,
            _ => StepOutcome::Refused(String::from_utf8_lossy(&status).into_owned()),
        },
        _ => StepOutcome::Silent,
    }
}

/// Waits for the rest of the test, with a note if that takes long.
pub(super) async fn idle(left: Duration) {
    if left > MIN_ANNOUNCED_WAIT {
        note(format_args!("watching for another {} s", left.as_secs()));
    }
    sleep(left).await;
}

/// Methods without effects.
const QUESTIONS: [&str; 14] = [
    "whisht_status",
    "whisht_peers",
    "whisht_relays",
    "whisht_identities",
    "whisht_inbox",
    "whisht_outbox",
    "admin_nodeInfo",
    "admin_peers",
    "net_listening",
    "net_peerCount",
    "net_version",
    "rpc_modules",
    "shh_version",
    "web3_clientVersion",
];

/// The topic of the test's envelopes.
const TOPIC: &str = "0x6c65616b";

/// Time limit of an answer.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// An address for documentation (RFC 5737), and the port of the discard protocol.
const UNREACHABLE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);

const NO_LINK: &str = "no link was carried by Tor during the test";

/// Time limit for Tor to become ready, and the interval of the checks.
const TOR_TIMEOUT: Duration = Duration::from_secs(120);
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Time for two nodes to connect, and for a message to leave.
const SETTLE_TIME: Duration = Duration::from_millis(1_500);

/// Lifetime of envelopes and messages, in seconds.
const LIFE: u64 = 60;

/// The range of a mail request, in seconds.
const MAIL_BEHIND: u32 = 300;

/// The shortest wait that is announced.
const MIN_ANNOUNCED_WAIT: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_without_a_link_through_tor_says_so() {
        assert_eq!(link_outcome(None), StepOutcome::Done);
        let StepOutcome::Refused(why) = link_outcome(Some("no link was carried yet")) else {
            panic!("it counts as a success");
        };
        assert!(
            why.starts_with("no link was carried by Tor during the test"),
            "{why}"
        );
    }
}
