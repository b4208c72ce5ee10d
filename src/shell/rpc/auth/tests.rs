//! Attacks on the RPC endpoints by forged requests.

use axum::http::Request;
use circuits::secret::Secret;
use proptest::prelude::*;

use super::*;

/// A request as an honest program sends it, with other headers instead or besides.
fn request(uri: &str, headers: &[(&str, &str)]) -> request::Parts {
    let mut request = Request::post(uri);
    for name in ["host", "authorization"] {
        if headers.iter().all(|(other, _)| *other != name) {
            let value = match name {
                "host" => "127.0.0.1:8545".to_owned(),
                _ => format!("Bearer {}", digits()),
            };
            request = request.header(name, value);
        }
    }
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn digits() -> String {
    "5a".repeat(32)
}

fn auth() -> RequestAuth {
    RequestAuth {
        token: Some(Token::new(&Secret::take(&mut [0x5a; 32]))),
        origins: vec!["http://localhost:3000".parse().unwrap()],
    }
}

fn verdict(uri: &str, headers: &[(&str, &str)]) -> Option<AuthError> {
    auth().authorize(&request(uri, headers)).err()
}

#[test]
fn request_with_token_is_accepted() {
    for host in [
        "127.0.0.1:8545",
        "127.0.0.1",
        "LocalHost:8545",
        "[::1]:8546",
        "127.3.2.1:1",
    ] {
        assert_eq!(verdict("/", &[("host", host)]), None, "{host}");
    }
    assert_eq!(verdict("/any/path?or=query", &[]), None);
    assert_eq!(verdict("http://127.0.0.1:8545/", &[]), None);
}

#[test]
fn dns_rebinding_host_is_refused() {
    for host in [
        "evil.example:8545",
        "evil.example",
        "127.0.0.1.evil.example:8545",
        "localhost.evil.example",
        "localhost.",
        "localhost@evil.example",
        "evil.example@127.0.0.1",
        "127.0.0.1:8545@evil.example",
        "0.0.0.0:8545",
        "192.0.2.1:8545",
        "[::ffff:127.0.0.1]:8545",
        "2130706433",
        "127.0.0.1, evil.example",
    ] {
        assert_eq!(
            verdict("/", &[("host", host)]),
            Some(AuthError::Host),
            "{host}"
        );
    }
}

#[test]
fn request_without_host_or_with_two_is_refused() {
    assert_eq!(verdict("/", &[("host", "")]), Some(AuthError::Host));
    let two = [("host", "127.0.0.1:8545"), ("host", "evil.example")];
    assert_eq!(verdict("/", &two), Some(AuthError::Host));
    assert_eq!(verdict("http://evil.example/", &[]), Some(AuthError::Host));
}

#[test]
fn unlisted_origin_is_refused_even_with_token() {
    for origin in [
        "http://evil.example",
        "null",
        "file://",
        "http://localhost",
        "http://localhost:3001",
        "https://localhost:3000",
        "http://localhost:3000.evil.example",
        "http://127.0.0.1:8545",
    ] {
        let verdict = verdict("/", &[("origin", origin)]);
        assert_eq!(verdict, Some(AuthError::Origin), "{origin}");
    }
    let two = [
        ("origin", "http://localhost:3000"),
        ("origin", "http://evil.example"),
    ];
    assert_eq!(verdict("/", &two), Some(AuthError::Origin));
    assert_eq!(verdict("/", &[("origin", "http://localhost:3000")]), None);
}

#[test]
fn listed_origin_requires_token() {
    let named = [("origin", "http://localhost:3000"), ("authorization", "")];
    assert_eq!(verdict("/", &named), Some(AuthError::Token));
}

#[test]
fn request_without_valid_token_is_refused() {
    let token = digits();
    for shown in [
        String::new(),
        token.clone(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Bearer {}", "5a".repeat(31)),
        format!("Bearer {token}00"),
        format!("Bearer  {token}"),
        format!("Bearer {}", "00".repeat(32)),
        format!("Token {token}"),
        format!("Basic {token}"),
        format!("Basic {}", STANDARD.encode(&token)),
        format!("Basic {}", STANDARD.encode(format!("{token}:"))),
        format!("Basic {}", STANDARD.encode(format!("me:{token}0"))),
    ] {
        let verdict = verdict("/", &[("authorization", &shown)]);
        assert_eq!(verdict, Some(AuthError::Token), "{shown:?}");
    }
    let (bearer, other) = (format!("Bearer {token}"), "Bearer 00".to_owned());
    let two = [
        ("authorization", bearer.as_str()),
        ("authorization", &other),
    ];
    assert_eq!(verdict("/", &two), Some(AuthError::Token));
}

#[test]
fn token_is_accepted_as_url_password() {
    for user in ["", "me"] {
        let shown = format!("bAsIc {}", STANDARD.encode(format!("{user}:{}", digits())));
        assert_eq!(verdict("/", &[("authorization", &shown)]), None);
    }
}

#[test]
fn token_in_query_is_accepted_for_websocket_only() {
    let link = format!("/?x=1&token={}", digits());
    let none = [("authorization", "")];
    assert_eq!(verdict(&link, &none), Some(AuthError::Token));
    let mut upgrade = request(&link, &[("authorization", ""), ("upgrade", "websocket")]);
    assert_eq!(
        auth().authorize(&upgrade).err(),
        Some(AuthError::Token),
        "a POST is not an upgrade"
    );
    upgrade.method = Method::GET;
    assert_eq!(auth().authorize(&upgrade).err(), None);
    let mut wrong = request(
        "/?token=00",
        &[("authorization", ""), ("upgrade", "websocket")],
    );
    wrong.method = Method::GET;
    assert_eq!(auth().authorize(&wrong).err(), Some(AuthError::Token));
}

#[test]
fn disabled_token_keeps_host_and_origin_checks() {
    let auth = RequestAuth {
        token: None,
        origins: Vec::new(),
    };
    let authorize = |headers: &[(&str, &str)]| auth.authorize(&request("/", headers)).err();
    assert_eq!(authorize(&[("authorization", "")]), None);
    assert_eq!(
        authorize(&[("host", "evil.example")]),
        Some(AuthError::Host)
    );
    assert_eq!(
        authorize(&[("origin", "http://localhost:3000")]),
        Some(AuthError::Origin)
    );
}

proptest! {
    #[test]
    fn other_host_names_are_refused(host in "(localhost|127\\.0\\.0\\.1|evil\\.example)?[a-z0-9.:@/ \\[\\]]{0,12}") {
        let mut parts = request("/", &[]);
        let Ok(value) = HeaderValue::from_str(&host) else { return Ok(()) };
        parts.headers.insert(header::HOST, value);
        if auth().authorize(&parts).is_ok() {
            let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
            let ip = host.parse::<std::net::SocketAddr>().map(|at| at.ip());
            let ip = ip.or_else(|_| host.trim_matches(['[', ']']).parse::<IpAddr>());
            let ip = ip.or_else(|_| name.trim_matches(['[', ']']).parse());
            let is_loopback = ip.is_ok_and(|ip| ip.is_loopback());
            prop_assert!(is_loopback || name.eq_ignore_ascii_case("localhost"), "{host}");
        }
    }

    #[test]
    fn other_tokens_are_refused(shown in "[ -~]{0,80}") {
        let Ok(value) = HeaderValue::from_str(&shown) else { return Ok(()) };
        let mut parts = request("/", &[]);
        parts.headers.insert(header::AUTHORIZATION, value);
        prop_assert_eq!(auth().authorize(&parts).err(), Some(AuthError::Token));
    }
}
