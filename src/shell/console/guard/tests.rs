use axum::http::Request;

use super::*;

const HOST: &str = "0011223344556677.localhost:4000";
const OWN: &str = "http://0011223344556677.localhost:4000";

fn origin() -> ConsoleOrigin {
    ConsoleOrigin::new("0011223344556677.localhost", 4000)
}

fn admit(method: &str, uri: &str, headers: &[(&str, &str)]) -> Result<(), u16> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let admitted = origin().admit(&parts);
    admitted.map_err(|error| error.status().as_u16())
}

#[test]
fn rebound_name_is_misdirected() {
    for host in [
        "evil.example:4000",
        "0011223344556677.localhost",
        "0011223344556677.localhost:4001",
        "0011223344556677.localhost.evil.example:4000",
        "x0011223344556677.localhost:4000",
        "127.0.0.1:4000",
        "localhost:4000",
        "0011223344556677.LOCALHOST:4000",
        "",
    ] {
        assert_eq!(admit("GET", "/", &[("host", host)]), Err(421), "{host}");
    }
    assert_eq!(admit("GET", "/", &[]), Err(421));
    assert_eq!(
        admit("GET", "/", &[("host", HOST), ("host", "evil.example")]),
        Err(421)
    );
    let absolute = "http://evil.example:4000/";
    assert_eq!(admit("GET", absolute, &[("host", HOST)]), Err(421));
    assert_eq!(admit("GET", "/", &[("host", HOST)]), Ok(()));
}

#[test]
fn forged_post_is_refused_by_origin() {
    for forged in [
        "null",
        "http://evil.example",
        "http://0011223344556677.localhost:4001",
        "https://0011223344556677.localhost:4000",
        "http://0011223344556677.localhost:4000/",
        "http://127.0.0.1:4000",
        "",
    ] {
        let headers = [("host", HOST), ("origin", forged)];
        assert_eq!(admit("POST", "/send", &headers), Err(403), "{forged}");
    }
    assert_eq!(admit("POST", "/send", &[("host", HOST)]), Err(403));
    let twice = [("host", HOST), ("origin", OWN), ("origin", OWN)];
    assert_eq!(admit("POST", "/send", &twice), Err(403));
    let own = [("host", HOST), ("origin", OWN)];
    assert_eq!(admit("POST", "/send", &own), Ok(()));
}

#[test]
fn request_of_another_site_is_refused_by_fetch_metadata() {
    for site in ["cross-site", "same-site", "none", "unknown"] {
        let post = [("host", HOST), ("origin", OWN), ("sec-fetch-site", site)];
        assert_eq!(admit("POST", "/send", &post), Err(403), "{site}");
    }
    let post = [
        ("host", HOST),
        ("origin", OWN),
        ("sec-fetch-site", "same-origin"),
    ];
    assert_eq!(admit("POST", "/send", &post), Ok(()));
    for (site, admitted) in [
        ("cross-site", Err(403)),
        ("same-site", Err(403)),
        ("same-origin", Ok(())),
        ("none", Ok(())),
    ] {
        let get = [("host", HOST), ("sec-fetch-site", site)];
        assert_eq!(admit("GET", "/", &get), admitted, "{site}");
    }
}

#[test]
fn other_methods_are_refused() {
    for method in ["HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "CONNECT"] {
        let headers = [("host", HOST), ("origin", OWN)];
        assert_eq!(admit(method, "/", &headers), Err(405), "{method}");
    }
}

#[test]
fn content_policy_loads_nothing_from_elsewhere() {
    let headers = HEADERS;
    let policy = headers
        .iter()
        .find(|(name, _)| *name == header::CONTENT_SECURITY_POLICY)
        .and_then(|(_, value)| value.to_str().ok())
        .unwrap();
    for rule in policy.split("; ") {
        let (name, sources) = rule.split_once(' ').unwrap();
        let allowed = match name {
            "require-trusted-types-for" => "'script'",
            "default-src" | "base-uri" | "frame-ancestors" | "trusted-types" => "'none'",
            _ => "'self'",
        };
        assert_eq!(sources, allowed, "{name}");
    }
}

/// A page that refreshes itself must not keep the session of an absent user open.
#[test]
fn only_a_get_that_says_so_is_automatic() {
    use RequestActivity::{Automatic, User};
    for (method, uri, expected) in [
        (Method::GET, "/?auto=1", Automatic),
        (Method::GET, "/conversations/3?from=20&auto=1", Automatic),
        (Method::GET, "/?auto=1&from=20", Automatic),
        (Method::GET, "/", User),
        (Method::GET, "/?auto=10", User),
        (Method::GET, "/?auto=0", User),
        (Method::GET, "/?from=auto=1", User),
        (Method::GET, "/auto=1", User),
        (Method::POST, "/conversations/3?auto=1", User),
    ] {
        let uri = uri.parse().unwrap();
        assert_eq!(activity(&method, &uri), expected, "{method} {uri}");
    }
}
