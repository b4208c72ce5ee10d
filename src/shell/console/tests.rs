//! All pages of a running node, asked over its listener as a browser asks: what they load, and what forms do
//! and do not do.

mod attacks;
mod upload;

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::config::{Config, file};
use crate::shell::runtime::{DataLocation, RunningNode};

/// Pages that need no conversation.
const PAGES: [&str; 8] = [
    "/card",
    "/network",
    "/network/coarse",
    "/files",
    "/files/new",
    "/settings",
    "/panic",
    "/app.css",
];
const TEST_TIMEOUT: Duration = Duration::from_secs(60);

/// A browser with a session.
struct Visitor {
    host: String,
    cookie: String,
    token: String,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Visitor {
    async fn enter(node: &RunningNode) -> Self {
        let url = node.console().open().await.unwrap();
        let (host, path) = url
            .as_str()
            .strip_prefix("http://")
            .unwrap()
            .split_once('/')
            .unwrap();
        let mut visitor = Self {
            host: host.to_owned(),
            cookie: String::new(),
            token: String::new(),
        };
        let opened = visitor.get(&format!("/{path}")).await;
        assert_eq!(opened.status, 303, "{}", opened.body);
        let (_, cookie) = opened.head.split_once("set-cookie: ").unwrap();
        visitor.cookie = cookie.split(';').next().unwrap().to_owned();
        let page = visitor.get("/settings").await.body;
        let (_, token) = page.split_once("name=\"token\" value=\"").unwrap();
        visitor.token = token.split('"').next().unwrap().to_owned();
        visitor
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "", "").await
    }

    /// Sends a form with the token of the session.
    async fn post(&self, path: &str, fields: &str) -> Answer {
        let fields = format!("token={}{fields}", self.token);
        self.ask("POST", path, FORM, &fields).await
    }

    async fn ask(&self, method: &str, path: &str, kind: &str, body: &str) -> Answer {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nOrigin: http://{0}\r\nCookie: {}\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.host,
            self.cookie,
            body.len()
        );
        self.send(&request).await
    }

    /// Sends the bytes of a request, and returns the answer.
    async fn send(&self, request: &str) -> Answer {
        let (_, port) = self.host.rsplit_once(':').unwrap();
        let address = ("127.0.0.1", port.parse::<u16>().unwrap());
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        timeout(TEST_TIMEOUT, read).await.unwrap().unwrap();
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

async fn node(location: &DataLocation) -> RunningNode {
    let text =
        "profile = 'local'\nnetwork = 'console-pages'\nthreads = 1\nlisten = ['127.0.0.1:0']\n";
    let config = Config::build(file::parse(Path::new("test"), text).unwrap()).unwrap();
    RunningNode::open(config, location, None).await.unwrap()
}

#[tokio::test]
async fn pages_load_nothing_from_elsewhere_and_style_nothing_inline() {
    let node = node(&DataLocation::Ephemeral).await;
    let visitor = Visitor::enter(&node).await;
    for path in PAGES {
        let Answer { status, head, body } = visitor.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        assert!(head.contains("cache-control: no-store"), "{path}");
        // Comments of the style sheet load nothing; its own test reads it.
        let page = if path == "/app.css" { "" } else { &*body };
        for word in [
            "http:",
            "https:",
            "=\"//",
            " style=",
            "<style",
            "javascript:",
            " onclick",
            " onload",
        ] {
            assert!(!page.contains(word), "{path} contains {word}");
        }
        assert!(body.matches("<script").count() <= 1, "{path}");
        if path != "/app.css" {
            assert!(
                body.contains("<title>whisht</title>"),
                "{path}: a title has no names or counts"
            );
        }
    }
    node.shutdown().await;
}

#[tokio::test]
async fn lock_ends_every_session() {
    let node = node(&DataLocation::Ephemeral).await;
    let first = Visitor::enter(&node).await;
    let second = Visitor::enter(&node).await;
    // Without the token of the session nothing happens.
    assert_eq!(
        first.ask("POST", "/lock", FORM, "token=00").await.status,
        403
    );
    assert_eq!(second.get("/card").await.status, 200);
    let locked = first.post("/lock", "").await;
    assert_eq!(locked.status, 403);
    // A node that keeps everything in memory has nothing that a password protects; its page says why.
    assert!(
        locked.body.contains("Keys are not locked"),
        "{}",
        locked.body
    );
    assert!(locked.head.contains("clear-site-data:"), "{}", locked.head);
    assert!(locked.head.contains("max-age=0"), "{}", locked.head);
    for visitor in [first, second] {
        let answer = visitor.get("/card").await;
        assert_eq!(answer.status, 403);
        assert!(!answer.body.contains("Own addresses"));
    }
    node.shutdown().await;
}

#[tokio::test]
async fn panic_erases_only_after_the_typed_word() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let node = node(&DataLocation::Directory(path.clone())).await;
    let visitor = Visitor::enter(&node).await;
    let key = path.join("nodekey");
    for (fields, status) in [("&word=yes", 422), ("&word=", 422), ("", 422)] {
        assert_eq!(visitor.post("/panic", fields).await.status, status);
    }
    let forged = visitor
        .ask("POST", "/panic", FORM, "token=00&word=wipe")
        .await;
    assert_eq!(forged.status, 403);
    assert_eq!(visitor.get("/panic?word=wipe").await.status, 200);
    assert!(key.exists() && !node.handle().is_panicked());

    let erased = visitor.post("/panic", "&word=wipe").await;
    assert_eq!(erased.status, 200);
    assert!(erased.body.contains("<h1>Erased</h1>"), "{}", erased.body);
    assert!(!key.exists(), "the keys are gone before the answer");
    timeout(TEST_TIMEOUT, node.handle().finished())
        .await
        .unwrap();
    assert!(node.handle().is_panicked());
    drop(node);
    let gone = async {
        while path.exists() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(TEST_TIMEOUT, gone)
        .await
        .expect("the directory is deleted");
}
