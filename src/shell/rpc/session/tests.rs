//! A session with a scripted node.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::timeout;

use super::*;
use crate::config::rpc::{RpcConfig, RpcSettings};
use crate::node::{ClientId, IdentityKind, IdentityView};
use crate::shell::Handle;
use crate::shell::handle::DriverRequest;
use crate::shell::identity_service::IdentityService;
use crate::shell::rpc::budget::DerivationQueue;
use crate::shell::rpc::limits::MAX_ANSWER_BYTES;
use crate::shell::store::Storage;
use crate::subscriptions::FilterId;

/// The other side of a handle.
struct FakeNode {
    requests: mpsc::Receiver<DriverRequest>,
    events: broadcast::Sender<Arc<Event>>,
    _running: watch::Sender<()>,
}

impl FakeNode {
    /// Installs the filter of the next subscription.
    async fn install(&mut self, filter: u64) {
        match self.requests.recv().await.unwrap() {
            DriverRequest::Command(_, Command::Shh(ShhCommand::Subscribe(_)), answer) => {
                let reply = Reply::Shh(Ok(ShhReply::Subscribed(FilterId(filter))));
                answer.send(Ok(reply)).unwrap();
            }
            _ => panic!("a subscription"),
        }
    }

    /// The next filter that the session releases.
    async fn removed(&mut self) -> u64 {
        match self.requests.recv().await.unwrap() {
            DriverRequest::Command(_, Command::Shh(ShhCommand::Unsubscribe(filter)), answer) => {
                // The requester may have ended.
                let _ = answer.send(Ok(Reply::Shh(Ok(ShhReply::Known(true)))));
                filter.0
            }
            _ => panic!("the end of a subscription"),
        }
    }
}

/// A session with a node that forgets events beyond the last two.
fn session() -> (RpcSession, FakeNode) {
    let (to_requests, requests) = mpsc::channel(8);
    let (events, _) = broadcast::channel(2);
    let (running, finished) = watch::channel(());
    let handle = Handle {
        client: ClientId::OWN,
        requests: to_requests,
        events: events.downgrade(),
        addresses: Arc::new([]),
        driver: tokio::spawn(std::future::pending::<()>()).abort_handle(),
        last_use: crate::shell::idle_lock::LastUse::new(),
        panicked: Arc::default(),
        finished,
    };
    let service = Service {
        handle,
        identities: IdentityService::from(&Storage::Memory),
        console: std::sync::Weak::new(),
    };
    let config = RpcConfig::build(RpcSettings::default()).unwrap();
    let node = FakeNode {
        requests,
        events,
        _running: running,
    };
    let derivations = Arc::new(DerivationQueue::new());
    let access = ClientAccess::all(&config, derivations);
    (RpcSession::new(service, access), node)
}

fn text(text: &[u8]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(text.to_vec())
}

const SUBSCRIBE: &[u8] =
    br#"{"id":1,"method":"shh_subscribe","params":["messages",{"privateKeyID":"00"}]}"#;
const SUBSCRIBE_TO_EVENTS: &[u8] = br#"{"id":1,"method":"whisht_subscribe","params":["events"]}"#;

/// The result in an answer.
fn result(answer: &SessionReply) -> Value {
    let answer: Value = serde_json::from_str(answer.text.as_ref().unwrap()).unwrap();
    answer["result"].clone()
}

/// Whether no notification is pending.
async fn is_silent(session: &mut RpcSession) -> bool {
    timeout(Duration::from_millis(50), session.notifications())
        .await
        .is_err()
}

#[tokio::test]
async fn client_gone_during_subscribe_leaves_no_filter() {
    let (mut session, mut node) = session();
    let answering = tokio::spawn(session.answer(text(SUBSCRIBE)));
    let DriverRequest::Command(_, Command::Shh(ShhCommand::Subscribe(_)), reply) =
        node.requests.recv().await.unwrap()
    else {
        panic!("a subscription");
    };
    answering.abort();
    assert!(answering.await.is_err());
    session.close().await;
    reply
        .send(Ok(Reply::Shh(Ok(ShhReply::Subscribed(FilterId(5))))))
        .unwrap();
    assert_eq!(node.removed().await, 5);
}

#[tokio::test]
async fn closed_session_releases_filters() {
    let (mut session, mut node) = session();
    for filter in [5, 6] {
        let answering = tokio::spawn(session.answer(text(SUBSCRIBE)));
        node.install(filter).await;
        assert!(result(&answering.await.unwrap()).is_string());
    }
    let closing = tokio::spawn(session.close());
    let removed = [node.removed().await, node.removed().await];
    assert!(removed == [5, 6] || removed == [6, 5], "{removed:?}");
    closing.await.unwrap();
}

#[tokio::test]
async fn notifications_follow_the_subscription_answer() {
    let (mut session, node) = session();
    let answer = session.answer(text(SUBSCRIBE_TO_EVENTS)).await;
    let id = result(&answer);
    node.events.send(Arc::new(Event::Peers(1))).unwrap();
    assert!(is_silent(&mut session).await);
    // As the connection does once it has written it.
    drop(answer);
    let told = session.notifications().await.unwrap();
    let told: Value = serde_json::from_str(told.first().unwrap()).unwrap();
    assert_eq!(
        told["params"],
        json!({"subscription": id, "result": {"peers": 1}})
    );
}

#[tokio::test]
async fn slow_client_gets_count_of_lost_events() {
    let (mut session, mut node) = session();
    let events = result(&session.answer(text(SUBSCRIBE_TO_EVENTS)).await);
    let answering = tokio::spawn(session.answer(text(SUBSCRIBE)));
    node.install(5).await;
    let messages = result(&answering.await.unwrap());
    for peers in 0..5 {
        node.events.send(Arc::new(Event::Peers(peers))).unwrap();
    }
    let told = session.notifications().await.unwrap();
    let mut told: Vec<Value> = told
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    told.sort_by_key(|told| told["method"].to_string());
    let [of_messages, of_events] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(
        of_events["params"],
        json!({"subscription": events, "result": {"lost": 3}})
    );
    // web3 passes every method with `_subscription` in its name to the message handlers.
    assert_eq!(of_messages["method"], "whisht_lost");
    assert_eq!(
        of_messages["params"],
        json!({"subscription": messages, "count": 3})
    );
}

#[tokio::test]
async fn client_without_subscription_gets_end_only() {
    let (mut session, node) = session();
    assert!(is_silent(&mut session).await);
    drop(node);
    assert!(session.notifications().await.is_none());
}

/// Answers every command with `size` bytes, until the sessions have gone; returns how many there
/// were, and how many waited at once.
async fn serve_large(mut node: FakeNode, size: usize) -> (usize, usize) {
    let (mut served, mut at_once) = (0, 0);
    while let Some(request) = node.requests.recv().await {
        let DriverRequest::Command(_, _, answer) = request else {
            panic!("a command");
        };
        // Requests that do not wait for their turn have arrived by then.
        tokio::time::sleep(Duration::from_millis(1)).await;
        at_once = at_once.max(1 + node.requests.len());
        let large = IdentityView {
            name: "x".repeat(size),
            kind: IdentityKind::KeyPair,
            public_key: None,
            topic: None,
            locked: false,
        };
        // The requester may have ended.
        let _ = answer.send(Ok(Reply::Identities(vec![large])));
        served += 1;
    }
    (served, at_once)
}

#[tokio::test(start_paused = true)]
async fn batch_answer_is_bounded_and_the_rest_is_not_executed() {
    let (mut session, node) = session();
    let node = tokio::spawn(serve_large(node, 1_000_000));
    let request = json!({"id": 1, "method": "whisht_inbox"});
    let batch = json!(vec![request; 64]).to_string();
    let answer = session.answer(text(batch.as_bytes())).await;
    let text = answer.text.as_ref().unwrap();
    assert!(text.len() < MAX_BATCH_ANSWER + 1_100_000, "{}", text.len());
    let list: Vec<Value> = serde_json::from_str(text).unwrap();
    let refused = list.iter().filter(|one| one["error"]["code"] == -32003);
    assert_eq!((list.len(), refused.count()), (64, 39));
    drop((answer, session));
    assert_eq!(node.await.unwrap().0, 25);
}

#[tokio::test(start_paused = true)]
async fn large_answers_of_one_client_are_made_one_at_a_time() {
    let (mut session, node) = session();
    let node = tokio::spawn(serve_large(node, 3_000_000));
    let mut answering: FuturesUnordered<_> = (0..16)
        .map(|_| session.answer(text(br#"{"id":1,"method":"whisht_inbox"}"#)))
        .collect();
    let mut unwritten = Vec::new();
    // Until the answers that are not written fill the budget.
    while let Ok(answer) = timeout(Duration::from_secs(60), answering.next()).await {
        unwritten.push(answer.unwrap());
    }
    assert_eq!(unwritten.len(), MAX_ANSWER_BYTES.div_ceil(3_000_000));
    while let Some(written) = unwritten.pop() {
        drop(written);
        unwritten.extend(answering.next().await);
    }
    drop((answering, session));
    assert_eq!(node.await.unwrap(), (16, 1));
}
