//! Subscriptions: which client gets which message, and until when.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::client::{CLIENT_TIMEOUT, Ws, call, node, rpc};

const TOPIC: &str = "0x07678231";

/// The criteria of a client with this shared key.
fn criteria(key: &Value) -> Value {
    json!({"symKeyID": key, "topics": [TOPIC]})
}

/// A message under this shared key.
fn message(key: &Value, payload: &str) -> Value {
    json!({"symKeyID": key, "topic": TOPIC, "payload": payload, "ttl": 60,
           "powTarget": 0.002, "powTime": 5})
}

async fn key(ws: &mut Ws) -> Value {
    ws.ask("shh_newSymKey", json!([])).await
}

async fn subscribe(ws: &mut Ws, criteria: Value) -> Value {
    ws.ask("shh_subscribe", json!(["messages", criteria])).await
}

/// The message of a notification, and its subscription.
async fn notified(ws: &mut Ws) -> (Value, Value) {
    let mut told = ws.next().await.expect("a notification");
    assert_eq!(told["method"], "shh_subscription", "{told}");
    let params = &mut told["params"];
    (
        params["subscription"].take(),
        params["result"]["payload"].take(),
    )
}

#[tokio::test]
async fn notification_carries_its_subscription_id() {
    let host = node("").await;
    let mut ws = Ws::connect(&host).await;
    let key = key(&mut ws).await;
    let id = subscribe(&mut ws, criteria(&key)).await;
    let digits = id.as_str().unwrap().strip_prefix("0x").unwrap();
    assert!(
        (1..=32).contains(&digits.len()) && !digits.starts_with('0'),
        "{id}"
    );
    call(&host, "shh_post", json!([message(&key, "0x01")])).await;
    assert_eq!(notified(&mut ws).await, (id, json!("0x01")));
}

#[tokio::test]
async fn client_receives_only_its_own_subscriptions() {
    let host = node("").await;
    let (mut one, mut two) = (Ws::connect(&host).await, Ws::connect(&host).await);
    let (first, second) = (key(&mut one).await, key(&mut two).await);
    let mine = subscribe(&mut one, criteria(&first)).await;
    let theirs = subscribe(&mut two, criteria(&second)).await;
    assert_ne!(mine, theirs);
    call(&host, "shh_post", json!([message(&second, "0x02")])).await;
    assert_eq!(notified(&mut two).await.1, "0x02");
    call(&host, "shh_post", json!([message(&first, "0x01")])).await;
    assert_eq!(
        notified(&mut one).await,
        (mine, json!("0x01")),
        "and nothing before it"
    );
    // A client cannot end the subscription of another.
    let answer = one.call("shh_unsubscribe", json!([theirs])).await;
    assert_eq!(answer["error"]["message"], "subscription not found");
    call(&host, "shh_post", json!([message(&second, "0x03")])).await;
    assert_eq!(notified(&mut two).await, (theirs, json!("0x03")));
}

#[tokio::test]
async fn events_subscription_excludes_other_clients_messages() {
    let host = node("modules = ['shh', 'whisht']").await;
    let (mut one, mut two) = (Ws::connect(&host).await, Ws::connect(&host).await);
    let key = key(&mut one).await;
    subscribe(&mut one, criteria(&key)).await;
    two.ask("whisht_subscribe", json!(["events"])).await;
    call(&host, "shh_post", json!([message(&key, "0x01")])).await;
    assert_eq!(notified(&mut one).await.1, "0x01");
    assert!(two.is_silent(Duration::from_millis(300)).await);
}

#[tokio::test]
async fn unsubscribe_stops_notifications() {
    let host = node("").await;
    let mut ws = Ws::connect(&host).await;
    let key = key(&mut ws).await;
    let id = subscribe(&mut ws, criteria(&key)).await;
    assert_eq!(ws.ask("shh_unsubscribe", json!([id])).await, true);
    let again = ws.call("shh_unsubscribe", json!([id])).await;
    assert_eq!(again["error"]["message"], "subscription not found");
    ws.ask("shh_post", json!([message(&key, "0x01")])).await;
    assert!(ws.is_silent(Duration::from_millis(300)).await);
}

#[tokio::test]
async fn notification_follows_subscribe_response() {
    let host = node("").await;
    let mut ws = Ws::connect(&host).await;
    let key = key(&mut ws).await;
    // One batch subscribes and posts: the message arrives before the batch is answered.
    let list = json!([
        {"id": 1, "method": "shh_subscribe", "params": ["messages", criteria(&key)]},
        {"id": 2, "method": "shh_post", "params": [message(&key, "0x01")]},
        {"id": 3, "method": "shh_version", "params": []},
    ]);
    ws.send(&list.to_string()).await;
    let answers = ws.next().await.unwrap();
    let id = answers[0]["result"].clone();
    assert!(id.is_string(), "{answers}");
    assert_eq!(notified(&mut ws).await, (id, json!("0x01")));
}

#[tokio::test]
async fn disconnect_removes_client_filters() {
    let host = node("").await;
    let key = call(&host, "shh_newSymKey", json!([])).await["result"].clone();
    // Many times what the node queues at once.
    for _ in 0..60 {
        let mut ws = Ws::connect(&host).await;
        for _ in 0..60 {
            subscribe(&mut ws, criteria(&key)).await;
        }
    }
}

#[tokio::test]
async fn subscriptions_per_client_are_limited() {
    let host = node("").await;
    let mut ws = Ws::connect(&host).await;
    let key = key(&mut ws).await;
    let mut last = Value::Null;
    for _ in 0..64 {
        last = subscribe(&mut ws, criteria(&key)).await;
    }
    let answer = ws
        .call("shh_subscribe", json!(["messages", criteria(&key)]))
        .await;
    assert_eq!(answer["error"]["data"]["kind"], "busy", "{answer}");
    ws.ask("shh_unsubscribe", json!([last])).await;
    subscribe(&mut ws, criteria(&key)).await;
}

#[tokio::test]
async fn local_socket_delivers_notifications() {
    let host = node("").await;
    let mut stream = UnixStream::connect(host.ipc_path()).await.unwrap();
    let mut received = Vec::new();
    let key = call(&host, "shh_newSymKey", json!([])).await["result"].clone();
    // No separator and no final newline, as web3 sends it.
    let twice = [
        rpc(1, "shh_version", json!([])),
        rpc(2, "shh_subscribe", json!(["messages", criteria(&key)])),
    ];
    stream.write_all(twice.concat().as_bytes()).await.unwrap();
    let mut posted = false;
    let reading = async {
        loop {
            let lines = received.split(|byte| *byte == b'\n').count() - 1;
            if lines == 2 && !posted {
                call(&host, "shh_post", json!([message(&key, "0x01")])).await;
                posted = true;
            }
            if lines == 3 {
                break;
            }
            assert_ne!(stream.read_buf(&mut received).await.unwrap(), 0);
        }
    };
    timeout(CLIENT_TIMEOUT, reading)
        .await
        .expect("a notification");
    let text = String::from_utf8(received).unwrap();
    let told: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(told["params"]["result"]["payload"], "0x01");
}
