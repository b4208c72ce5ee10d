//! Replays a recorded conversation with go-ethereum on this node.
//!
//! The test compares everything: statuses, content types, codes, texts, the order of members, the
//! digits of numbers. Values that cannot be equal are substituted (ids and keys that either side
//! draws, the address of the peer) or masked (padding, times, work, hashes). Error texts of Go's
//! JSON decoder are compared up to their beginning. [`DIFFERENCES`] names all other differences;
//! docs/compatibility.md gives the reasons.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;
use whisht::endpoint::{Endpoint, PeerAddr};
use whisht::node::Command;
use whisht::shell::runtime::RunningNode;

use crate::client::{CLIENT_TIMEOUT, Ws, call, exchange, node, request};

/// The differences: the case, this node's answer, and the beginning of the row of
/// docs/compatibility.md with the reason.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("batch", "\"result\":\"1\"", "| `net_version` |"),
    (
        "OPTIONS",
        FOREIGN,
        "| an `Origin` that is not configured gets 403, preflights too |",
    ),
    (
        "foreign Origin header, no cross-origin configuration: answered, no allow header",
        FOREIGN,
        "| an `Origin` that is not configured gets 403, preflights too |",
    ),
];

/// The answer to a page whose origin is not configured.
const FOREIGN: &str = "invalid origin; name it in rpc.origins to let its pages in\n";

#[tokio::test]
async fn recorded_geth_conversation_is_reproduced() {
    let host = node("allow-key-export = true").await;
    let peer = node("").await;
    let mut replay = Replay::new(&host, &peer).await;
    let mut complaints = Vec::new();
    let mut differing = Vec::new();
    for case in cases() {
        let name = text(&case, "name");
        replay.prepare(name).await;
        match replay.play(&case).await {
            Ok(()) => {}
            Err(Disagreement { recorded, ours }) => {
                let known = DIFFERENCES.iter().find(|(known, said, _)| {
                    *known == name && ours.contains(said) && !recorded.contains(said)
                });
                match known {
                    Some((known, ..)) => differing.push(*known),
                    None => complaints.push(format!(
                        "{}: {name}\n  recorded {recorded}\n  ours     {ours}",
                        text(&case, "group")
                    )),
                }
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    let page = include_str!("../../docs/compatibility.md");
    for (name, _, row) in DIFFERENCES {
        assert!(differing.contains(name), "{name} does not differ any more");
        assert!(
            page.contains(row),
            "docs/compatibility.md does not say {row}"
        );
    }
}

fn cases() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../vectors/rpc_transcript.json")).unwrap();
    file["cases"].as_array().unwrap().clone()
}

fn text<'a>(case: &'a Value, member: &str) -> &'a str {
    case[member].as_str().unwrap_or_default()
}

/// A recorded and an actual answer, after masking.
struct Disagreement {
    recorded: String,
    ours: String,
}

/// The state of the replay.
struct Replay<'a> {
    host: &'a RunningNode,
    ws: Option<Ws>,
    /// Recorded ids, and those of this run.
    names: BTreeMap<String, String>,
}

impl<'a> Replay<'a> {
    async fn new(host: &'a RunningNode, peer: &RunningNode) -> Self {
        let address = *peer.handle().addresses().first().unwrap();
        let peer = PeerAddr {
            key: peer.key(),
            endpoint: Endpoint::Tcp(address),
        };
        let enode = peer.to_string();
        let add = Command::AddPeer(peer);
        host.handle().command(add).await.unwrap().unwrap();
        let connecting = async {
            while call(host, "net_peerCount", json!([])).await["result"] != "0x1" {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(CLIENT_TIMEOUT, connecting).await.expect("a peer");
        Self {
            host,
            ws: None,
            names: BTreeMap::from([(RECORDED_PEER.to_owned(), enode)]),
        }
    }

    /// Repeats the unrecorded actions on go-ethereum, and waits for their effects.
    async fn prepare(&self, name: &str) {
        let time_passed = [
            "three symmetric messages plus one, order is not defined",
            "asymmetric messages",
            "after posting: memory counts pooled envelopes",
        ];
        if time_passed.contains(&name) {
            let trying = async {
                let info = || call(self.host, "shh_info", json!([]));
                while info().await["result"]["messages"] != 0 {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            timeout(CLIENT_TIMEOUT, trying)
                .await
                .expect("all keys are tried");
        }
        let limit = match name {
            "envelope over the size limit (limit set to 500)" => 500,
            "missing parameter" | "too large" => 1_048_576,
            _ => return,
        };
        let set = call(self.host, "shh_setMaxMessageSize", json!([limit])).await;
        assert_eq!(set["result"], true);
    }

    async fn play(&mut self, case: &Value) -> Result<(), Disagreement> {
        match text(case, "transport") {
            "ws" => self.converse(case).await,
            _ => self.exchange(case).await,
        }
    }

    /// One request over HTTP.
    async fn exchange(&mut self, case: &Value) -> Result<(), Disagreement> {
        let method = case["http_method"].as_str().unwrap_or("POST");
        let mut headers = Vec::new();
        if let Some(given) = case["request_headers"].as_object() {
            let given = given
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str().unwrap()));
            headers.extend(given);
            // Our headers only where the recording contains none.
            if headers
                .iter()
                .all(|(name, _)| !name.eq_ignore_ascii_case("content-type"))
            {
                headers.push(("content-type", ""));
            }
        }
        let body = match text(case, "name") {
            "body of exactly 524288 bytes" => padded(524_288),
            "body of 524289 bytes" => padded(524_289),
            _ => self.in_our_words(text(case, "request_text")),
        };
        let answer = exchange(self.host, &request(self.host, method, &headers, &body)).await;
        let frame = |status: u64, kind: Option<&str>, body: &str| {
            format!("{status} {} {body}", kind.unwrap_or("-"))
        };
        let recorded = text(case, "response_text");
        let (said, ours) = match (
            serde_json::from_str(recorded),
            serde_json::from_str(&answer.body),
        ) {
            (Ok(recorded), Ok(ours)) => self.reconcile(case, recorded, ours),
            _ => (recorded.to_owned(), answer.body.clone()),
        };
        agree(
            frame(
                case["http_status"].as_u64().unwrap(),
                case["content_type"].as_str(),
                &said,
            ),
            frame(answer.status.into(), answer.header("content-type"), &ours),
        )
    }

    /// One part of the conversation over WebSocket.
    async fn converse(&mut self, case: &Value) -> Result<(), Disagreement> {
        let mut ws = match self.ws.take() {
            Some(ws) => ws,
            None => Ws::connect(self.host).await,
        };
        let (mut ended, mut verdict) = (false, Ok(()));
        for event in case["events"].as_array().unwrap() {
            if text(event, "dir") == "send" {
                ws.send(&self.in_our_words(text(event, "text"))).await;
                continue;
            }
            let (recorded, ours) = self.hear(case, event, &mut ws).await;
            ended |= recorded == THE_END || ours == THE_END;
            verdict = verdict.and_then(|()| agree(recorded, ours));
        }
        self.ws = (!ended).then_some(ws);
        verdict
    }

    /// A recorded and an actual notification.
    async fn hear(&mut self, case: &Value, event: &Value, ws: &mut Ws) -> (String, String) {
        let silence = text(event, "event") == "timeout";
        let limit = if silence {
            Duration::from_millis(300)
        } else {
            CLIENT_TIMEOUT / 2
        };
        let ours = match timeout(limit, ws.next()).await {
            Ok(Some(ours)) => ours,
            Ok(None) => THE_END.into(),
            Err(_) => SILENCE.into(),
        };
        match event.get("json") {
            Some(recorded) => self.reconcile(case, recorded.clone(), ours),
            None if silence => (SILENCE.to_owned(), text_of(&ours)),
            None => (THE_END.to_owned(), text_of(&ours)),
        }
    }

    /// A recorded text with the ids of this run.
    fn in_our_words(&self, recorded: &str) -> String {
        let put = |text: String, (recorded, ours): (&String, &String)| text.replace(recorded, ours);
        self.names.iter().fold(recorded.to_owned(), put)
    }

    /// Both answers in comparable form; remembers the ids of each.
    fn reconcile(&mut self, case: &Value, recorded: Value, ours: Value) -> (String, String) {
        if is_made_up(case)
            && let (Some(then), Some(now)) = (recorded["result"].as_str(), ours["result"].as_str())
            && shape(then) == shape(now)
        {
            self.names.insert(then.to_owned(), now.to_owned());
        }
        let recorded = self.in_our_words(&recorded.to_string());
        let (mut recorded, mut ours) = (serde_json::from_str(&recorded).unwrap(), ours);
        cut_gos_words(&mut recorded, &mut ours);
        (masked(recorded).to_string(), masked(ours).to_string())
    }
}

/// A text unchanged, any other value as JSON.
fn text_of(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Stands for the end of a connection.
const THE_END: &str = "the end";
/// Stands for the absence of a message.
const SILENCE: &str = "silence";

fn agree(recorded: String, ours: String) -> Result<(), Disagreement> {
    if recorded == ours {
        Ok(())
    } else {
        Err(Disagreement { recorded, ours })
    }
}

/// Whether a successful result is drawn at random.
fn is_made_up(case: &Value) -> bool {
    let (group, name) = (text(case, "group"), text(case, "name"));
    match group {
        // Of a generated pair, not of an imported one.
        "shh_getPublicKey" | "shh_getPrivateKey" | "shh_getSymKey" => name == "success",
        "shh_subscribe" | "shh_post" | "shh_newMessageFilter" => true,
        _ => {
            group.starts_with("shh_new")
                || group.starts_with("shh_add")
                || group == "shh_generateSymKeyFromPassword"
        }
    }
}

/// The common properties of two random ids.
fn shape(text: &str) -> (bool, usize, bool) {
    let digits = text.strip_prefix("0x");
    let is_hex = digits
        .unwrap_or(text)
        .bytes()
        .all(|byte| byte.is_ascii_hexdigit());
    // A subscription id has no leading zeros.
    let length = match text.len() {
        3..=34 => 34,
        length => length,
    };
    (digits.is_some(), length, is_hex)
}

/// An answer without the values that vary between runs.
fn masked(mut value: Value) -> Value {
    mask(&mut value);
    if let Some(messages) = value.get_mut("result").and_then(Value::as_array_mut) {
        // The order is undefined.
        messages.sort_by_key(Value::to_string);
    }
    value
}

fn mask(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(mask),
        Value::Object(members) => {
            for (name, value) in members.iter_mut() {
                match name.as_str() {
                    "timestamp" | "pow" if value.is_number() => *value = "a number".into(),
                    // The envelopes of the last seconds.
                    "memory" if value.as_u64() > Some(0) => *value = "some".into(),
                    "padding" => *value = value.as_str().unwrap().len().into(),
                    "hash" => *value = "a hash".into(),
                    "message" => *value = without_hash(value.as_str().unwrap()).into(),
                    _ => mask(value),
                }
            }
        }
        _ => {}
    }
}

/// Cuts the words of Go's decoder from a recorded error, and as much from ours: only the words
/// before them and the code can be equal.
fn cut_gos_words(recorded: &mut Value, ours: &mut Value) {
    let message = |answer: &Value| answer["error"]["message"].as_str().map(str::to_owned);
    let (Some(then), Some(now)) = (message(recorded), message(ours)) else {
        return;
    };
    let begins = GOS_WORDS.iter().filter_map(|words| then.find(words)).min();
    // The decoder's errors about topics are the only ones that do not name a type of Go.
    if let Some(end) = begins.filter(|_| !then.contains("for Topic")) {
        recorded["error"]["message"] = then.get(..end).into();
        ours["error"]["message"] = now.get(..end).unwrap_or(&now).into();
    }
}

/// The beginnings of the error texts of Go's decoder.
const GOS_WORDS: [&str; 4] = [
    "json: ",
    "invalid character",
    "unexpected EOF",
    "unexpected end",
];

/// An error's text without the hash of an envelope.
fn without_hash(text: &str) -> String {
    match text.split_once("are not allowed [") {
        Some((before, hash)) => format!("{before}are not allowed [{} digits]", hash.len() - 1),
        None => text.to_owned(),
    }
}

/// A call whose text has this many bytes.
fn padded(length: usize) -> String {
    let (head, tail) = (
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"shh_version\",\"params\":[\"",
        "\"]}",
    );
    format!(
        "{head}{}{tail}",
        "a".repeat(length - head.len() - tail.len())
    )
}

/// The peer of go-ethereum in the recording.
const RECORDED_PEER: &str = "enode://d5b5dc171edecf54088476e216faca4b05b705a6889386cad0642a16fab66e98\
    2eae409577366f852b7c9e481cb0bfd677aea54eede996a49760f174d382f732@127.0.0.1:31304";
