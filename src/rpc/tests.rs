use circuits::level::Level;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::envelope::Topic;
use crate::node::{Command, MessageId, Recipient, SendRequest, Stage};

const KEY: &str = "0x0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
                   483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";

fn call(method: &str, params: Value) -> Result<RpcCall, RpcError> {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    RpcCall::read(method, Some(params), Permissions::default(), &mut rng)
}

fn send(params: Value) -> Result<SendRequest, RpcError> {
    match call("whisht_send", json!([params]))? {
        RpcCall::Node(Command::Send(request), _) => Ok(request),
        other => panic!("{other:?}"),
    }
}

/// The remedy and cause of a call that must fail.
fn refusal(method: &str, params: Value) -> String {
    call(method, params).unwrap_err().to_string()
}

#[test]
fn listed_methods_are_known() {
    for method in METHODS {
        if let Err(error) = call(method, Value::Null) {
            assert_ne!(error.code, -32601, "{method}");
        }
    }
}

#[test]
fn unknown_method_error_suggests_nearest() {
    let error = call("whisht_staus", Value::Null).unwrap_err();
    assert_eq!(
        (error.code, error.remedy.as_deref()),
        (-32601, Some("did you mean whisht_status?"))
    );
}

#[test]
fn parameters_that_are_no_object_are_refused_without_a_name_of_a_type() {
    for params in [json!([]), json!([5]), json!("x"), Value::Null] {
        let refused = refusal("whisht_send", params);
        assert!(refused.contains("not an object"), "{refused}");
        assert!(!refused.contains("struct"), "{refused}");
    }
}

#[test]
fn message_to_key_without_topic_gets_random_topic() {
    let request = send(json!({"to": KEY, "payload": "0x6869", "level": "normal"})).unwrap();
    assert!(matches!(request.to, Recipient::Public(_, topic) if topic != Topic::default()));
    assert_eq!(*request.payload, b"hi");
    assert_eq!(request.level, Some(Level::Normal));
    assert_eq!(request.life.as_secs(), 3600);
}

#[test]
fn message_to_key_keeps_given_topic() {
    let request = send(json!({"to": KEY, "payload": "", "topic": "0x01020304", "life": 60}));
    let request = request.unwrap();
    assert!(matches!(
        request.to,
        Recipient::Public(_, Topic([1, 2, 3, 4]))
    ));
    assert_eq!(request.life.as_secs(), 60);
}

#[test]
fn message_to_name_uses_shared_key() {
    let request = send(json!({"to": "desk", "payload": "00", "sign": "me"})).unwrap();
    assert!(matches!(request.to, Recipient::Shared(name) if name == "desk"));
    assert_eq!(request.sign_as.as_deref(), Some("me"));
}

#[test]
fn invalid_parameter_is_named() {
    for (params, part) in [
        (json!({"to": KEY, "payload": "0x0"}), "`payload`"),
        (
            json!({"to": KEY.replace("0x04", "0x05"), "payload": ""}),
            "`to`",
        ),
        (
            json!({"to": KEY, "payload": "", "level": "Loud!"}),
            "`level`",
        ),
        (
            json!({"to": KEY, "payload": "", "topic": "0x01"}),
            "`topic`",
        ),
        (
            json!({"to": "desk", "payload": "", "topic": "0x01020304"}),
            "`topic`",
        ),
        (
            json!({"to": "desk", "payload": "", "lifetime": 5}),
            "lifetime",
        ),
        (json!({"to": "desk"}), "payload"),
        (json!("desk"), "object"),
    ] {
        let refusal = refusal("whisht_send", json!([params]));
        assert!(refusal.contains(part), "{refusal}");
    }
    assert!(refusal("whisht_addPeer", json!(["enode://x"])).contains("address is missing"));
    assert!(refusal("whisht_cancel", json!(["1"])).contains("`id`"));
    assert!(refusal("whisht_status", json!([1])).contains("no parameters"));
    assert!(refusal("whisht_subscribe", json!(["news"])).contains("\"events\""));
}

#[test]
fn parameters_may_be_positional_or_named() {
    for params in [json!([7]), json!({"id": 7})] {
        let call = call("whisht_cancel", params).unwrap();
        assert!(matches!(
            call,
            RpcCall::Node(Command::Cancel(MessageId(7)), _)
        ));
    }
}

#[test]
fn inbox_is_asked_by_id_or_time() {
    use circuits::time::UnixSecs;

    use crate::node::InboxQuery;

    let id = "ab".repeat(32);
    let short = "ab".repeat(4);
    let after = InboxQuery::After(id.parse().unwrap());
    for (params, wanted) in [
        (json!([]), InboxQuery::All),
        (json!({}), InboxQuery::All),
        (json!([9]), InboxQuery::Since(UnixSecs(9))),
        (json!({"after": 9}), InboxQuery::Since(UnixSecs(9))),
        (json!([id]), after.clone()),
        (json!([{"after": format!("0x{id}")}]), after),
        (
            json!({"id": short}),
            InboxQuery::One(short.parse().unwrap()),
        ),
    ] {
        let call = call("whisht_inbox", params).unwrap();
        assert!(matches!(call, RpcCall::Node(Command::Inbox(query), _) if query == wanted));
    }
    for (params, part) in [
        (json!(["14"]), "this has 2"),
        (json!(["yesterday"]), "hexadecimal digits"),
        (json!([1.5]), "neither an id nor a time"),
        (json!([1, 2]), "there are 2"),
        (json!({"after": 1, "id": id}), "both"),
    ] {
        let refusal = refusal("whisht_inbox", params);
        assert!(refusal.contains(part), "{refusal}");
    }
}

#[test]
fn new_identity_is_key_pair_unless_topic_is_given() {
    use crate::identity::NewIdentity;

    let wanted = |params| match call("whisht_newIdentity", json!([params])).unwrap() {
        RpcCall::Keys(KeyCall::New { wanted, .. }) => wanted,
        other => panic!("{other:?}"),
    };
    assert!(matches!(
        wanted(json!({"name": "me"})),
        NewIdentity::KeyPair
    ));
    let group = json!({"name": "us", "topic": "0x01020304"});
    assert!(matches!(
        wanted(group),
        NewIdentity::Shared(Topic([1, 2, 3, 4]))
    ));
    let password = json!({"name": "us", "topic": "0x01020304", "group_password": "x"});
    assert!(matches!(wanted(password), NewIdentity::FromPassword(..)));
    let refused = refusal(
        "whisht_newIdentity",
        json!([{"name": "us", "group_password": "hunter2"}]),
    );
    assert!(
        refused.contains("`topic`") && !refused.contains("hunter2"),
        "{refused}"
    );
    assert!(refusal("whisht_newIdentity", json!([{"name": "../me"}])).contains("`name`"));
}

/// The answer to a text without a request.
fn not_a_request(text: &str) -> Value {
    failure(&RpcMessage::read(text.as_bytes()).unwrap_err())
}

#[test]
fn missing_password_differs_from_empty_password() {
    let password = |params| match call("whisht_newIdentity", json!([params])).unwrap() {
        RpcCall::Keys(KeyCall::New { password, .. }) => {
            password.map(|password| password.is_empty())
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(password(json!({"name": "me"})), None);
    assert_eq!(password(json!({"name": "me", "password": ""})), Some(true));
    assert_eq!(
        password(json!({"name": "me", "password": "x"})),
        Some(false)
    );
}

#[test]
fn secrets_are_redacted_in_call_debug() {
    for (method, params) in [
        ("whisht_unlock", json!([{"password": "hunter2"}])),
        (
            "whisht_newIdentity",
            json!([{"name": "me", "password": "hunter2"}]),
        ),
        (
            "whisht_importIdentity",
            json!([{"file": "{}", "password": "hunter2"}]),
        ),
        (
            "whisht_changePassword",
            json!([{"name": "me", "old": "hunter2", "new": "hunter2"}]),
        ),
    ] {
        let shown = format!("{:?}", call(method, params).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let long = json!([{"password": "hunter2".repeat(200)}]);
    assert!(!refusal("whisht_unlock", long).contains("hunter2"));
}

#[test]
fn invalid_request_is_answered_without_id() {
    for (text, code, message) in [
        (r#"{"method":"shh_version"}"#, -32700, "missing request id"),
        (
            r#"{"id":{},"method":"shh_version"}"#,
            -32700,
            "invalid request id",
        ),
        (
            r#"{"id":true,"method":"shh_version"}"#,
            -32700,
            "invalid request id",
        ),
        (r#"{"id":5,"method":7}"#, -32700, "`method` is not a text"),
        ("5", -32700, "the request is not an object"),
        (
            r#"[{"id":1,"method":"shh_version"},{"method":"shh_version"}]"#,
            -32700,
            "missing request id",
        ),
        (
            r#"{"id":5}"#,
            -32601,
            "The method _ does not exist/is not available",
        ),
        (
            r#"{"id":5,"method":"shh_version_x"}"#,
            -32601,
            "The method shh_version_x_ does not exist/is not available",
        ),
        (
            r#"{"id":5,"method":"shh_subscribe"}"#,
            -32600,
            "Unable to parse subscription request",
        ),
    ] {
        let expected = json!({"jsonrpc": "2.0", "error": {"code": code, "message": message}});
        assert_eq!(not_a_request(text), expected, "{text}");
    }
    for broken in ["hello", r#"{"id":5,"method":"shh_ver"#] {
        assert_eq!(not_a_request(broken)["error"]["code"], json!(-32600));
    }
}

#[test]
fn request_id_is_returned_unchanged() {
    for id in [
        r#""abc""#,
        "null",
        "1.50",
        "-123456789012345678901234567890",
    ] {
        let text = format!(r#"{{"ID":{id},"Method":"shh_version"}}{{"and":"more"}}"#);
        let Ok(Some(RpcMessage::Single(request))) = RpcMessage::read(text.as_bytes()) else {
            panic!("one request")
        };
        let response = response(request.id, Ok(json!("6.0"))).to_string();
        assert_eq!(
            response,
            format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"6.0"}}"#)
        );
    }
}

#[test]
fn empty_list_is_batch_and_empty_text_is_ignored() {
    let empty = RpcMessage::read(b" [] ");
    assert!(matches!(empty, Ok(Some(RpcMessage::Batch(list))) if list.is_empty()));
    assert!(matches!(RpcMessage::read(b" \n"), Ok(None)));
    let long = format!("[{}]", vec!["{}"; 1025].join(","));
    assert_eq!(not_a_request(&long)["error"]["code"], json!(-32700));
}

#[test]
fn error_contains_kind_cause_and_remedy() {
    let error = RpcError::server(RpcErrorKind::Policy, "no relays", "wait");
    assert_eq!(
        response(json!(1), Err(error)),
        json!({"jsonrpc": "2.0", "id": 1, "error": {
            "code": -32000,
            "message": "no relays; wait",
            "data": {"kind": "policy", "cause": "no relays", "remedy": "wait"},
        }})
    );
    let plain = RpcError::not_json("unexpected end");
    let kinds = [
        RpcErrorKind::Busy,
        RpcErrorKind::Locked,
        RpcErrorKind::Policy,
        RpcErrorKind::Stopped,
        RpcErrorKind::Storage,
        RpcErrorKind::Usage,
    ];
    let explained = kinds.map(|kind| RpcError::server(kind, "no relays", "wait"));
    for error in explained.into_iter().chain([plain]) {
        assert_eq!(RpcError::from_json(error.to_json()).unwrap(), error);
    }
}

#[test]
fn event_names_subscription_and_stage() {
    let stage = Stage::Dispatched { cells: 2, of: 3 };
    assert_eq!(
        event("0x1", &Event::Outgoing(MessageId(4), stage)).unwrap()["params"],
        json!({"subscription": "0x1", "result": {
            "outgoing": [4, {"stage": "dispatched", "cells": 2, "of": 3}]
        }})
    );
    assert_eq!(lost("0x1", 3)["params"]["result"], json!({"lost": 3}));
}

#[test]
fn replies_are_plain_values() {
    assert_eq!(result(&Reply::Done).unwrap(), json!(true));
    assert_eq!(result(&Reply::Accepted(MessageId(7))).unwrap(), json!(7));
    assert_eq!(result(&Reply::Peers(Vec::new())).unwrap(), json!([]));
}

#[test]
fn rpc_page_documents_every_method() {
    let page = include_str!("../../docs/rpc.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    // Tables of parameters have rows too.
    let is_method = |name: &&str| {
        let (module, _) = name.split_once('_').unwrap_or_default();
        ["admin", "net", "rpc", "shh", "web3", "whisht"].contains(&module)
    };
    let names = rows.filter_map(|line| line.split('`').nth(1));
    let mut named: Vec<_> = names.filter(is_method).collect();
    named.sort_unstable();
    assert_eq!(named, METHODS);
}
