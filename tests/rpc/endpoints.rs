//! The RPC endpoints: addresses, the token file, modules, and the shutdown.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::time::timeout;
use whisht::config::rpc::Module;
use whisht::config::{Config, file};
use whisht::shell::runtime::{DataLocation, RunningNode, RuntimeError};

use crate::client::{
    CLIENT_TIMEOUT, Ws, call, exchange, http, ipc, node, node_in, post, read_answer, request, rpc,
    token,
};

#[tokio::test]
async fn token_is_created_once_with_owner_only_permissions() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("data");
    let host = node_in(&dir, "").await;
    let path = host.rpc().token_path().unwrap().to_owned();
    assert_eq!(path, dir.join("rpc-token"));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let first = token(&host);
    assert_eq!(first.len(), 64);
    host.handle().shutdown().await;
    drop(host);
    let again = node_in(&dir, "").await;
    assert_eq!(token(&again), first);
}

#[tokio::test]
async fn ephemeral_node_removes_token_and_listener() {
    let host = node("").await;
    let (path, at) = (host.rpc().token_path().unwrap().to_owned(), http(&host));
    assert!(path.exists());
    host.handle().shutdown().await;
    drop(host);
    assert!(!path.exists() && !path.parent().unwrap().exists());
    assert!(
        TcpStream::connect(at).await.is_err(),
        "the port is free again"
    );
}

#[tokio::test]
async fn token_is_not_created_without_tcp_endpoints() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("data");
    let host = node_in(&dir, "http = 'off'\nws = 'off'").await;
    assert!(host.rpc().http().is_none() && host.rpc().ws().is_none());
    assert!(host.rpc().token_path().is_none() && !dir.join("rpc-token").exists());
    assert_eq!(ipc(&host, "shh_version", json!([])).await["result"], "6.0");
}

#[tokio::test]
async fn http_and_websocket_share_or_split_addresses() {
    let both = node("").await;
    assert_eq!(both.rpc().http(), both.rpc().ws());
    assert_eq!(call(&both, "shh_version", json!([])).await["result"], "6.0");
    assert_eq!(
        Ws::connect(&both).await.ask("shh_version", json!([])).await,
        "6.0"
    );

    let apart = node("ws = '127.0.0.2:0'").await;
    assert_ne!(apart.rpc().http(), apart.rpc().ws());
    assert_eq!(
        call(&apart, "shh_version", json!([])).await["result"],
        "6.0"
    );
    assert_eq!(
        Ws::connect(&apart)
            .await
            .ask("shh_version", json!([]))
            .await,
        "6.0"
    );

    let only = node("http = 'off'").await;
    assert_eq!(
        Ws::connect(&only).await.ask("shh_version", json!([])).await,
        "6.0"
    );
}

#[tokio::test]
async fn occupied_rpc_address_is_named_in_error() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = taken.local_addr().unwrap();
    let text =
        format!("profile = 'local'\nnetwork = 'rpc-test'\nlisten = []\n[rpc]\nhttp = '{at}'");
    let config = Config::build(file::parse(Path::new("test"), &text).unwrap()).unwrap();
    let error = RunningNode::open(config, &DataLocation::Ephemeral, None)
        .await
        .unwrap_err();
    assert!(matches!(error, RuntimeError::RpcBind(_)));
    let error = error.to_string();
    assert!(
        error.contains(&at.to_string()) && error.contains("`rpc.http`"),
        "{error}"
    );
}

#[tokio::test]
async fn unlisted_modules_are_callable_on_local_socket_only() {
    let host = node("").await;
    let mut ws = Ws::connect(&host).await;
    for (method, named) in [
        ("admin_nodeInfo", false),
        ("whisht_status", false),
        ("whisht_inbox", false),
        ("net_version", true),
        ("web3_clientVersion", true),
        ("shh_info", true),
    ] {
        let answers = [
            call(&host, method, json!([])).await,
            ws.call(method, json!([])).await,
        ];
        for answer in answers {
            if named {
                assert!(answer.get("result").is_some(), "{answer}");
            } else {
                assert_eq!(answer["error"]["code"], -32601, "{answer}");
                let text = answer["error"]["message"].as_str().unwrap();
                assert!(text.contains(method), "{text}");
                assert!(!text.contains("did you mean"), "{text}");
                let is_own = method.starts_with("whisht_");
                assert_eq!(text.contains("`rpc.modules`"), is_own, "{text}");
            }
        }
        let answer = ipc(&host, method, json!([])).await;
        assert!(answer.get("result").is_some(), "{answer}");
    }
    let modules = call(&host, "rpc_modules", json!([])).await;
    let named = json!({"net": "1.0", "rpc": "1.0", "shh": "1.0", "web3": "1.0"});
    assert_eq!(modules["result"], named);
    let all = ipc(&host, "rpc_modules", json!([])).await;
    assert!(all["result"].get("whisht").is_some() && all["result"].get("admin").is_some());

    let host = node("modules = ['admin']").await;
    let info = call(&host, "admin_nodeInfo", json!([])).await;
    let enode = info["result"]["enode"].as_str().unwrap();
    let listening = host.handle().addresses().first().unwrap();
    assert!(enode.contains(&listening.to_string()), "{enode}");
    let answer = call(&host, "shh_version", json!([])).await;
    assert_eq!(answer["error"]["code"], -32601);
}

#[tokio::test]
async fn module_that_a_reload_takes_away_is_refused_on_open_connections() {
    let host = node("").await;
    let mut ws = Ws::connect(&host).await;
    assert!(
        ws.call("shh_version", json!([]))
            .await
            .get("result")
            .is_some()
    );
    host.rpc().allow_modules(&[Module::Net]);
    for answer in [
        call(&host, "shh_version", json!([])).await,
        ws.call("shh_version", json!([])).await,
    ] {
        assert_eq!(answer["error"]["code"], -32601, "{answer}");
    }
    assert!(
        ws.call("net_version", json!([]))
            .await
            .get("result")
            .is_some()
    );
    // The local socket serves the user who could read the files too.
    let answer = ipc(&host, "shh_version", json!([])).await;
    assert!(answer.get("result").is_some(), "{answer}");
}

#[tokio::test]
async fn key_export_requires_permission() {
    for (more, allowed) in [("", false), ("allow-key-export = true", true)] {
        let host = node(more).await;
        let pair = call(&host, "shh_newKeyPair", json!([])).await["result"].clone();
        let shared = call(&host, "shh_newSymKey", json!([])).await["result"].clone();
        for (method, id) in [("shh_getPrivateKey", &pair), ("shh_getSymKey", &shared)] {
            for answer in [
                call(&host, method, json!([id])).await,
                ipc(&host, method, json!([id])).await,
            ] {
                assert_eq!(answer.get("result").is_some(), allowed, "{answer}");
            }
        }
    }
}

#[tokio::test]
async fn key_file_export_over_tcp_requires_permission() {
    for (more, allowed) in [("", false), ("allow-key-export = true", true)] {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("data");
        let host = node_in(&dir, &format!("modules = ['whisht']\n{more}")).await;
        let identity = json!([{"name": "desk", "password": "", "danger_light_kdf": true}]);
        let made = call(&host, "whisht_newIdentity", identity).await;
        assert_eq!(made["result"]["name"], "desk", "{made}");
        let desk = json!(["desk"]);
        let over_tcp = [
            call(&host, "whisht_exportIdentity", desk.clone()).await,
            Ws::connect(&host)
                .await
                .call("whisht_exportIdentity", desk.clone())
                .await,
        ];
        for answer in over_tcp {
            if allowed {
                assert!(answer["result"]["file"].is_string(), "{answer}");
            } else {
                assert_eq!(answer["error"]["data"]["kind"], "policy", "{answer}");
            }
        }
        let answer = ipc(&host, "whisht_exportIdentity", desk).await;
        assert!(answer["result"]["file"].is_string(), "{answer}");
    }
}

#[tokio::test]
async fn request_ids_are_echoed_exactly_on_every_endpoint() {
    let host = node("").await;
    for id in [
        "3189160981001186",
        "9007199254740993",
        "1.50",
        "-0",
        "\"a\\u0062\"",
        "null",
    ] {
        let sent = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"shh_version\"}}");
        let expected: Value = serde_json::from_str(id).unwrap();
        let wanted = format!("{{\"jsonrpc\":\"2.0\",\"id\":{expected},\"result\":\"6.0\"}}");
        assert_eq!(post(&host, &[], &sent).await.body, format!("{wanted}\n"));
        let mut ws = Ws::connect(&host).await;
        ws.send(&sent).await;
        assert_eq!(ws.next_text().await.unwrap(), wanted);
    }
}

#[tokio::test]
async fn slow_request_does_not_block_others() {
    let host = node("").await;
    let mut ws = Ws::connect(&host).await;
    let key = ws.ask("shh_newSymKey", json!([])).await;
    // No search finds this much work in a minute.
    let post = json!([{"symKeyID": key, "topic": "0x07678231", "payload": "0x01", "ttl": 60,
                       "powTarget": 1e12, "powTime": 60}]);
    ws.send(&rpc(1, "shh_post", post)).await;
    ws.send(&rpc(2, "shh_version", json!([]))).await;
    assert_eq!(ws.next().await.unwrap()["id"], 2);
}

#[tokio::test]
async fn http_keep_alive_serves_next_request() {
    let host = node("").await;
    let body = rpc(1, "shh_version", json!([]));
    let twice = [
        request(&host, "POST", &[("connection", "keep-alive")], &body),
        request(&host, "POST", &[], &body),
    ];
    let answer = exchange(&host, &twice.concat()).await;
    let both = format!("{}{}", answer.head, answer.body);
    assert_eq!(both.matches("200 OK").count(), 2, "{both}");
}

#[tokio::test]
async fn shutdown_closes_clients_without_waiting() {
    let host = node("").await;
    let mut ws = Ws::connect(&host).await;
    ws.ask("shh_version", json!([])).await;
    let mut idle = TcpStream::connect(http(&host)).await.unwrap();
    let body = rpc(1, "shh_version", json!([]));
    let keep = request(&host, "POST", &[("connection", "keep-alive")], &body);
    idle.write_all(&keep).await.unwrap();
    let mut socket = UnixStream::connect(host.ipc_path()).await.unwrap();
    // The shutdown must not wait for a silent client.
    let _silent = TcpStream::connect(http(&host)).await.unwrap();
    timeout(CLIENT_TIMEOUT, host.shutdown())
        .await
        .expect("the end");
    assert_eq!(ws.close_code().await, Some(1001));
    assert_eq!(read_answer(&mut idle).await.status, 200);
    assert_eq!(socket.read_u8().await.ok(), None);
}
