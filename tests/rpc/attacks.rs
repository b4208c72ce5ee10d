//! Attacks by other programs of this machine: web pages in the user's browser, programs of other
//! users, and broken clients.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{
    CLIENT_TIMEOUT, Ws, call, exchange, http, node, post, read_answer, request, rpc, token,
};

/// A request with an effect.
fn harmful() -> String {
    rpc(1, "shh_setMinPoW", json!([9.0]))
}

/// Asserts that no such request was executed.
async fn assert_unharmed(host: &whisht::shell::runtime::RunningNode) {
    let info = call(host, "shh_info", json!([])).await;
    assert_eq!(info["result"]["minPow"].to_string(), "0.002");
}

#[tokio::test]
async fn dns_rebinding_is_refused() {
    let host = node("danger-no-token = true\norigins = ['http://evil.example']").await;
    let port = http(&host).port();
    for name in [
        format!("evil.example:{port}"),
        "evil.example".to_owned(),
        format!("localhost.evil.example:{port}"),
        format!("127.0.0.1.nip.example:{port}"),
    ] {
        // The browser takes the node for the page's own server, and sends no Origin, or the page's.
        for origin in ["", "http://evil.example"] {
            let headers = [("host", name.as_str()), ("origin", origin)];
            let answer = post(&host, &headers, &harmful()).await;
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (403, "invalid host specified\n")
            );
            let upgrade = Ws::try_connect(&host, "/", &headers).await;
            assert_eq!(upgrade.err(), Some(403), "{name}");
        }
    }
    assert_unharmed(&host).await;
}

#[tokio::test]
async fn foreign_origin_is_refused_even_with_token() {
    let host = node("origins = ['http://localhost:3000']").await;
    let shown = format!("Bearer {}", token(&host));
    for origin in [
        "http://evil.example",
        "null",
        "http://localhost:3001",
        "https://localhost:3000",
    ] {
        let answer = post(&host, &[("origin", origin)], &harmful()).await;
        assert_eq!(answer.status, 403, "{origin}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
        let ask = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
        ];
        let preflight = exchange(&host, &request(&host, "OPTIONS", &ask, "")).await;
        assert_eq!(preflight.status, 403, "{origin}");
        let headers = [("origin", origin), ("authorization", shown.as_str())];
        let upgrade = Ws::try_connect(&host, "/", &headers).await;
        assert_eq!(upgrade.err(), Some(403), "{origin}");
    }
    assert_unharmed(&host).await;
}

#[tokio::test]
async fn cross_site_form_post_is_refused() {
    // Requests that a page can send without a preflight: no JSON content type, no token.
    let host = node("danger-no-token = true").await;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "",
    ] {
        let headers = [("content-type", kind)];
        assert_eq!(
            post(&host, &headers, &harmful()).await.status,
            415,
            "{kind}"
        );
    }
    assert_unharmed(&host).await;
}

#[tokio::test]
async fn configured_origin_passes_cors_preflight() {
    let host = node("origins = ['http://localhost:3000']").await;
    let origin = ("origin", "http://localhost:3000");
    let ask = [
        origin,
        ("authorization", ""),
        ("access-control-request-method", "POST"),
        (
            "access-control-request-headers",
            "authorization,content-type",
        ),
    ];
    let preflight = exchange(&host, &request(&host, "OPTIONS", &ask, "")).await;
    assert_eq!(preflight.status, 204);
    let allowed = preflight.header("access-control-allow-headers").unwrap();
    assert!(allowed.contains("authorization") && allowed.contains("content-type"));
    let answer = post(&host, &[origin], &rpc(1, "shh_version", json!([]))).await;
    assert_eq!(answer.json()["result"], "6.0");
    let page = answer.header("access-control-allow-origin");
    assert_eq!(page, Some("http://localhost:3000"));
    // A browser's WebSocket cannot send headers, so the URL contains the token.
    let path = format!("/?token={}", token(&host));
    let mut ws = Ws::try_connect(&host, &path, &[origin]).await.ok().unwrap();
    assert_eq!(ws.ask("shh_version", json!([])).await, "6.0");
    let without = Ws::try_connect(&host, "/", &[origin]).await;
    assert_eq!(without.err(), Some(401));
}

#[tokio::test]
async fn request_without_token_is_unauthorized() {
    let host = node("").await;
    let wrong = format!("Bearer {}", "0".repeat(64));
    for shown in ["", "Bearer", wrong.as_str()] {
        let headers = [("authorization", shown)];
        let answer = post(&host, &headers, &harmful()).await;
        assert_eq!(
            (answer.status, answer.header("www-authenticate")),
            (401, Some("Bearer"))
        );
        assert!(!answer.body.contains(&token(&host)));
        let upgrade = Ws::try_connect(&host, "/", &headers).await;
        assert_eq!(upgrade.err(), Some(401));
    }
    let path = format!("/?token={}", "0".repeat(64));
    assert_eq!(Ws::try_connect(&host, &path, &[]).await.err(), Some(401));
    assert_unharmed(&host).await;
}

#[tokio::test]
async fn idle_connections_are_evicted_for_new_clients() {
    let host = node("").await;
    let mut ws = Ws::connect(&host).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(http(&host)).await.unwrap());
    }
    assert_unharmed(&host).await;
    assert_eq!(
        ws.ask("shh_version", json!([])).await,
        "6.0",
        "authenticated clients stay"
    );
    // The first had to make room; the last is still connected.
    let read = timeout(CLIENT_TIMEOUT, silent[0].read_u8()).await;
    assert!(read.expect("it is closed").is_err());
    let last = silent.last_mut().unwrap();
    assert!(
        timeout(Duration::from_millis(200), last.read_u8())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn authenticated_clients_are_limited() {
    let host = node("").await;
    let mut clients = Vec::new();
    let refusal = loop {
        let shown = format!("Bearer {}", token(&host));
        match Ws::try_connect(&host, "/", &[("authorization", &shown)]).await {
            Ok(client) => clients.push(client),
            Err(status) => break status,
        }
    };
    assert_eq!((refusal, clients.len()), (503, 64));
    clients.pop();
    let back = async {
        while call_status(&host).await != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(CLIENT_TIMEOUT, back)
        .await
        .expect("a slot is free again");
}

async fn call_status(host: &whisht::shell::runtime::RunningNode) -> u16 {
    post(host, &[], &rpc(1, "shh_version", json!([])))
        .await
        .status
}

#[tokio::test(start_paused = true)]
async fn incomplete_http_head_times_out() {
    let host = node("").await;
    let begun = tokio::time::Instant::now();
    for sent in [&b""[..], b"P", b"POST / HTTP/1.1\r\nhost: 127.0.0.1\r\nx: "] {
        let mut stream = TcpStream::connect(http(&host)).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let mut rest = Vec::new();
        // The response may have a status or not.
        let _ = stream.read_to_end(&mut rest).await;
    }
    assert!(
        begun.elapsed() < Duration::from_secs(120),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn incomplete_http_body_times_out() {
    let host = node("").await;
    let body = rpc(1, "shh_version", json!([]));
    let whole = request(&host, "POST", &[("content-length", "1000")], &body);
    let mut stream = TcpStream::connect(http(&host)).await.unwrap();
    stream.write_all(&whole).await.unwrap();
    let begun = tokio::time::Instant::now();
    assert_eq!(read_answer(&mut stream).await.status, 408);
    assert!(begun.elapsed() <= Duration::from_secs(31));
}

#[tokio::test]
async fn chunked_body_obeys_size_limit() {
    let host = node("").await;
    let headers = [("transfer-encoding", "chunked"), ("content-length", "")];
    let mut sent = request(&host, "POST", &headers, "");
    let chunk = "a".repeat(0x1000);
    for _ in 0..200 {
        sent.extend(format!("1000\r\n{chunk}\r\n").bytes());
    }
    sent.extend(b"0\r\n\r\n");
    let answer = exchange(&host, &sent).await;
    assert!(answer.status == 413 || answer.status == 0, "{answer:?}");
    assert_unharmed(&host).await;

    let text = rpc(1, "shh_version", json!([]));
    let (one, two) = text.split_at(10);
    let mut sent = request(&host, "POST", &headers, "");
    for part in [one, two] {
        sent.extend(format!("{:x}\r\n{part}\r\n", part.len()).bytes());
    }
    sent.extend(b"0\r\n\r\n");
    assert_eq!(exchange(&host, &sent).await.json()["result"], "6.0");
}

#[tokio::test]
async fn oversized_websocket_message_ends_only_its_connection() {
    let host = node("").await;
    let mut ws = Ws::connect(&host).await;
    let long = format!("[\"{}\"]", "a".repeat(512 * 1024));
    // The node may close before it has read everything.
    ws.try_send(&long).await;
    assert_eq!(ws.next().await, None);
    assert_unharmed(&host).await;
}

#[tokio::test(start_paused = true)]
async fn client_that_reads_no_responses_is_dropped() {
    let host = node("").await;
    let mut ws = Ws::connect(&host).await;
    let list: Vec<_> = (0..1000)
        .map(|id| json!({"id": id, "method": "shh_version", "params": []}))
        .collect();
    let list = json!(list).to_string();
    let flood = async { while ws.try_send(&list).await {} };
    timeout(Duration::from_secs(600), flood)
        .await
        .expect("the node disconnects");
    assert_unharmed(&host).await;
}

#[tokio::test]
async fn slow_bodies_with_token_take_no_place_of_clients() {
    let host = node("").await;
    let body = rpc(1, "shh_version", json!([]));
    let begun = request(&host, "POST", &[("content-length", "1000")], &body);
    let mut slow = Vec::new();
    for _ in 0..70 {
        let mut stream = TcpStream::connect(http(&host)).await.unwrap();
        // The oldest of the slow ones may have made room already.
        let _ = stream.write_all(&begun).await;
        slow.push(stream);
        if slow.len().is_multiple_of(10) {
            assert_eq!(call_status(&host).await, 200);
        }
    }
}

#[tokio::test]
async fn oversized_http_body_gets_its_status_after_it_is_written() {
    let host = node("").await;
    let body = "a".repeat(600_000);
    for _ in 0..8 {
        let sent = request(&host, "POST", &[], &body);
        let head = sent.len() - body.len();
        let mut stream = TcpStream::connect(http(&host)).await.unwrap();
        stream.write_all(&sent[..head]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        stream.write_all(&sent[head..]).await.unwrap();
        assert_eq!(read_answer(&mut stream).await.status, 413);
    }
}

#[tokio::test]
async fn oversized_request_on_local_socket_gets_error_before_close() {
    let host = node("").await;
    let mut stream = tokio::net::UnixStream::connect(host.ipc_path())
        .await
        .unwrap();
    let long = rpc(1, "shh_post", json!(["a".repeat(3_000_000)]));
    stream.write_all(long.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The client is done only when it closes its half.
    stream.shutdown().await.unwrap();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["error"]["message"], "the request is too long");
}

#[tokio::test]
async fn subscription_over_http_is_refused_before_its_criteria() {
    let host = node("").await;
    let answer = call(&host, "shh_subscribe", json!(["messages", {}])).await;
    assert_eq!(answer["error"]["message"], "notifications not supported");
}

#[tokio::test]
async fn oversized_batch_is_refused_as_a_whole() {
    let host = node("").await;
    let list = json!(vec![json!({"id": 1, "method": "shh_version"}); 1025]);
    let answer = post(&host, &[], &list.to_string()).await.json();
    assert_eq!(answer["error"]["code"], -32700, "{answer}");
}

#[tokio::test]
async fn deeply_nested_json_is_refused() {
    let host = node("").await;
    let deep = "[".repeat(200_000);
    let answer = post(&host, &[], &deep).await.json();
    assert!(answer.get("error").is_some());
    let mut ws = Ws::connect(&host).await;
    ws.send(&format!(
        "{{\"id\":1,\"method\":\"shh_post\",\"params\":{deep}"
    ))
    .await;
    assert!(ws.next().await.unwrap().get("error").is_some());
    assert_unharmed(&host).await;
}
