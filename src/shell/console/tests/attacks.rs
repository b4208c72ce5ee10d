//! What other pages, other programs of the machine and guesses get: each request is right but for one thing.
//!
//! The form that locks the console ends all sessions, so that "nothing was done" is seen.

use super::{DataLocation, FORM, Visitor, node};

/// A form that would change the node: everything is right.
#[derive(Clone, Copy)]
struct ForgedForm<'a> {
    host: &'a str,
    origin: Option<&'a str>,
    site: Option<&'a str>,
    cookie: &'a str,
    token: &'a str,
}

impl<'a> ForgedForm<'a> {
    fn of(visitor: &'a Visitor, origin: &'a str) -> Self {
        Self {
            host: &visitor.host,
            origin: Some(origin),
            site: Some("same-origin"),
            cookie: &visitor.cookie,
            token: &visitor.token,
        }
    }

    fn text(&self) -> String {
        let line = |name: &str, value: Option<&str>| {
            value.map_or_else(String::new, |value| format!("{name}: {value}\r\n"))
        };
        let body = format!("token={}", self.token);
        format!(
            "POST /lock HTTP/1.1\r\nHost: {}\r\n{}{}Cookie: {}\r\nContent-Type: {FORM}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.host,
            line("Origin", self.origin),
            line("Sec-Fetch-Site", self.site),
            self.cookie,
            body.len()
        )
    }
}

/// Whether the session of the visitor goes on.
async fn is_open(visitor: &Visitor) -> bool {
    visitor.get("/settings").await.status == 200
}

/// The right form with one wrong thing each: its name, and the status of the answer.
fn forged_forms<'a>(
    right: &ForgedForm<'a>,
    unknown: &'a str,
) -> [(&'static str, u16, ForgedForm<'a>); 9] {
    let with = |change: fn(&mut ForgedForm<'a>)| {
        let mut form = *right;
        change(&mut form);
        form
    };
    [
        ("rebound host", 421, with(|form| form.host = "evil.example")),
        ("no origin", 403, with(|form| form.origin = None)),
        (
            "other origin",
            403,
            with(|form| form.origin = Some("http://evil.example")),
        ),
        (
            "opaque origin",
            403,
            with(|form| form.origin = Some("null")),
        ),
        (
            "other site",
            403,
            with(|form| form.site = Some("cross-site")),
        ),
        (
            "other port",
            403,
            with(|form| form.site = Some("same-site")),
        ),
        (
            "guessed token",
            403,
            with(|form| form.token = "00000000000000000000000000000000"),
        ),
        ("no token", 403, with(|form| form.token = "")),
        (
            "guessed cookie",
            403,
            ForgedForm {
                cookie: unknown,
                ..*right
            },
        ),
    ]
}

#[tokio::test]
async fn forged_form_with_one_wrong_thing_changes_nothing() {
    let node = node(&DataLocation::Ephemeral).await;
    let visitor = Visitor::enter(&node).await;
    let origin = format!("http://{}", visitor.host);
    let unknown = format!("whisht={}", "0".repeat(64));
    for (attack, status, form) in forged_forms(&ForgedForm::of(&visitor, &origin), &unknown) {
        let answer = visitor.send(&form.text()).await;
        assert_eq!(answer.status, status, "{attack}: {}", answer.body);
        assert!(is_open(&visitor).await, "{attack} locked the console");
    }
    let right = ForgedForm::of(&visitor, &origin);
    let answer = visitor.send(&right.text()).await;
    assert!(answer.head.contains("clear-site-data"), "{}", answer.head);
    assert!(!is_open(&visitor).await, "the right form does what it says");
    node.shutdown().await;
}

#[tokio::test]
async fn used_url_opens_no_second_session() {
    let node = node(&DataLocation::Ephemeral).await;
    let visitor = Visitor::enter(&node).await;
    let url = node.console().open().await.unwrap();
    let path = format!("/{}", url.as_str().splitn(4, '/').nth(3).unwrap());
    assert_eq!(visitor.get(&path).await.status, 303);
    let again = visitor.get(&path).await;
    assert_eq!(again.status, 410);
    assert!(!again.head.contains("set-cookie"), "{}", again.head);
    node.shutdown().await;
}

/// An attacker who can plant a cookie (a program under our host name) waits until the user opens the console.
#[tokio::test]
async fn planted_cookie_is_not_the_session_that_opens() {
    let node = node(&DataLocation::Ephemeral).await;
    let mut visitor = Visitor::enter(&node).await;
    let planted = "ab".repeat(32);
    let url = node.console().open().await.unwrap();
    let path = format!("/{}", url.as_str().splitn(4, '/').nth(3).unwrap());
    visitor.cookie = format!("whisht={planted}");
    let opened = visitor.get(&path).await;
    assert_eq!(opened.status, 303);
    assert!(opened.head.contains("set-cookie: whisht="));
    assert!(!opened.head.contains(&planted), "{}", opened.head);
    assert!(
        opened.head.contains("httponly; samesite=strict"),
        "{}",
        opened.head
    );
    assert_eq!(
        visitor.get("/settings").await.status,
        403,
        "the planted one opens nothing"
    );
    node.shutdown().await;
}

#[tokio::test]
async fn form_above_the_limit_is_refused_unread() {
    let node = node(&DataLocation::Ephemeral).await;
    let visitor = Visitor::enter(&node).await;
    let large = format!("&x={}", "x".repeat(super::super::limits::MAX_FORM));
    let answer = visitor.post("/lock", &large).await;
    assert_eq!(answer.status, 413, "{}", answer.body);
    assert!(is_open(&visitor).await);
    node.shutdown().await;
}

#[tokio::test]
async fn page_in_a_frame_or_a_script_of_another_page_is_forbidden() {
    let node = node(&DataLocation::Ephemeral).await;
    let visitor = Visitor::enter(&node).await;
    for path in ["/", "/settings", "/app.js", "/nothing"] {
        let head = visitor.get(path).await.head;
        for rule in [
            "frame-ancestors 'none'",
            "cross-origin-resource-policy: same-origin",
            "cross-origin-opener-policy: same-origin",
            "x-content-type-options: nosniff",
        ] {
            assert!(head.contains(rule), "{path}: {rule}");
        }
    }
    node.shutdown().await;
}
