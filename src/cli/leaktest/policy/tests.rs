use super::*;

fn internet(text: &str) -> SocketAddress {
    SocketAddress::Internet(text.parse().unwrap())
}

fn unix(path: &str) -> SocketAddress {
    SocketAddress::Unix(path.to_owned())
}

fn kind(call: &SystemCall) -> Option<LeakKind> {
    match EgressPolicy::loopback().decide(call) {
        PolicyDecision::Leak(leak) => Some(leak.kind),
        _ => None,
    }
}

#[test]
fn loopback_is_where_a_node_may_go() {
    for place in [
        "127.0.0.1:9050",
        "127.8.9.10:1",
        "[::1]:9050",
        "0.0.0.0:9050",
        "[::]:9050",
    ] {
        let place: SocketAddr = place.parse().unwrap();
        for call in [
            SystemCall::Connect(SocketAddress::Internet(place)),
            SystemCall::Send(SocketAddress::Internet(place)),
        ] {
            let verdict = EgressPolicy::loopback().decide(&call);
            assert_eq!(verdict, PolicyDecision::Contact(place), "{call:?}");
        }
    }
}

#[test]
fn everywhere_else_is_a_leak() {
    for place in [
        "192.0.2.1:30303",
        "10.0.0.1:9050",
        "192.168.1.1:80",
        "169.254.1.1:1",
        "224.0.0.251:9",
        "255.255.255.255:67",
        "[2001:db8::1]:9",
        "[fe80::1]:9",
        "[fd00::1]:9",
        "[ff02::1]:9",
        // Looks like loopback, and is not: an old way to write IPv4 in IPv6.
        "[::127.0.0.1]:9",
    ] {
        assert_eq!(
            kind(&SystemCall::Connect(internet(place))),
            Some(LeakKind::Connect),
            "{place}"
        );
        assert_eq!(
            kind(&SystemCall::Send(internet(place))),
            Some(LeakKind::Datagram),
            "{place}"
        );
    }
}

#[test]
fn tor_may_be_on_another_machine() {
    let tor: SocketAddr = "10.0.0.1:9050".parse().unwrap();
    let mut policy = EgressPolicy::and(move |place| place == tor);
    let mut connect = |place: &str| policy.decide(&SystemCall::Connect(internet(place)));
    assert_eq!(connect("10.0.0.1:9050"), PolicyDecision::Contact(tor));
    assert!(matches!(connect("10.0.0.1:9051"), PolicyDecision::Leak(_)));
    assert!(matches!(connect("10.0.0.2:9050"), PolicyDecision::Leak(_)));
}

#[test]
fn a_relay_at_the_port_of_resolvers_is_a_relay() {
    let mut policy = EgressPolicy::and(|place| place.port() == 53);
    let mut connect = |place: &str| policy.decide(&SystemCall::Connect(internet(place)));
    assert!(matches!(
        connect("192.0.2.1:53"),
        PolicyDecision::Contact(_)
    ));
    assert!(matches!(connect("127.0.0.53:53"), PolicyDecision::Leak(_)));
}

#[test]
fn a_resolver_on_loopback_is_no_loopback() {
    for place in [
        "127.0.0.53:53",
        "[::1]:53",
        "127.0.0.1:5353",
        "192.0.2.1:53",
    ] {
        assert_eq!(
            kind(&SystemCall::Connect(internet(place))),
            Some(LeakKind::Lookup),
            "{place}"
        );
        assert_eq!(
            kind(&SystemCall::Send(internet(place))),
            Some(LeakKind::Lookup),
            "{place}"
        );
    }
}

#[test]
fn to_send_to_no_family_is_to_send() {
    let hidden = SocketAddress::NoFamily(Some("192.0.2.1:9".parse().unwrap()));
    assert_eq!(
        kind(&SystemCall::Send(hidden.clone())),
        Some(LeakKind::Datagram)
    );
    assert_eq!(kind(&SystemCall::Connect(hidden)), None);
    assert_eq!(kind(&SystemCall::Send(SocketAddress::NoFamily(None))), None);
}

#[test]
fn what_cannot_be_read_is_a_leak() {
    for call in [
        SystemCall::Connect,
        SystemCall::Send,
        SystemCall::Bind,
        SystemCall::Listen,
    ] {
        assert!(kind(&call(SocketAddress::Garbled)).is_some());
        assert!(kind(&call(SocketAddress::Other(17))).is_some());
    }
}

#[test]
fn who_binds_to_more_than_loopback_listens() {
    for place in [
        "0.0.0.0:20819",
        "[::]:20819",
        "192.168.1.5:0",
        "[fe80::1]:1",
    ] {
        assert_eq!(
            kind(&SystemCall::Bind(internet(place))),
            Some(LeakKind::Listen),
            "{place}"
        );
        let hidden = SocketAddress::NoFamily(Some(place.parse().unwrap()));
        assert_eq!(
            kind(&SystemCall::Bind(hidden)),
            Some(LeakKind::Listen),
            "{place}"
        );
    }
    for place in ["127.0.0.1:20819", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
        assert_eq!(kind(&SystemCall::Bind(internet(place))), None, "{place}");
    }
}

#[test]
fn a_listener_without_an_address_has_them_all() {
    for place in ["0.0.0.0:0", "[::]:0", "0.0.0.0:4000", "192.168.1.5:4000"] {
        assert_eq!(
            kind(&SystemCall::Listen(internet(place))),
            Some(LeakKind::Listen),
            "{place}"
        );
    }
    assert_eq!(kind(&SystemCall::Listen(internet("127.0.0.1:4000"))), None);
    assert_eq!(kind(&SystemCall::Listen(unix("/run/own.sock"))), None);
}

#[test]
fn sockets_are_of_three_families_and_never_raw() {
    let socket = |family, raw| kind(&SystemCall::Socket { family, raw });
    assert_eq!(socket(AF_UNIX, false), None);
    assert_eq!(socket(AF_INET, false), None);
    assert_eq!(socket(AF_INET6, false), None);
    assert_eq!(socket(AF_INET, true), Some(LeakKind::Socket));
    assert_eq!(socket(AF_INET6, true), Some(LeakKind::Socket));
    assert_eq!(socket(AF_NETLINK, false), Some(LeakKind::Lookup));
    assert_eq!(socket(17, true), Some(LeakKind::Socket));
}

#[test]
fn look_ups_show_by_what_they_read() {
    for path in [
        "/etc/resolv.conf",
        "/etc/hosts",
        "/run/systemd/resolve/stub-resolv.conf",
        "/var/run/systemd/resolve/resolv.conf",
        "/lib/x86_64-linux-gnu/libnss_dns.so.2",
        "/usr/lib/libnss_mdns4_minimal.so.2",
    ] {
        let verdict = EgressPolicy::loopback().decide(&SystemCall::Open(path.to_owned()));
        assert!(
            matches!(&verdict, PolicyDecision::Leak(leak) if leak.kind == LeakKind::Lookup && leak.harmless),
            "{path}: {verdict:?}"
        );
    }
    for path in [
        "/etc/nsswitch.conf",
        "/etc/passwd",
        "/home/me/etc/hosts",
        "/usr/lib/libnss_systemd.so.2",
        "/usr/lib/libnss_files.so.2",
    ] {
        assert_eq!(kind(&SystemCall::Open(path.to_owned())), None, "{path}");
    }
}

#[test]
fn look_ups_show_by_whom_they_ask() {
    for path in [
        "/run/systemd/resolve/io.systemd.Resolve",
        "/var/run/avahi-daemon/socket",
        "/run/dbus/system_bus_socket",
        "/run/user/1000/bus",
    ] {
        assert_eq!(
            kind(&SystemCall::Connect(unix(path))),
            Some(LeakKind::Lookup),
            "{path}"
        );
    }
    let verdict = |path| EgressPolicy::loopback().decide(&SystemCall::Connect(unix(path)));
    assert_eq!(verdict("/var/run/nscd/socket"), PolicyDecision::Deny);
    assert_eq!(verdict("/run/user/1000/whisht.ipc"), PolicyDecision::Allow);
    assert_eq!(verdict("@abstract"), PolicyDecision::Allow);
    assert_eq!(verdict(""), PolicyDecision::Allow);
}

#[test]
fn a_way_past_the_watcher_is_a_leak() {
    assert_eq!(
        kind(&SystemCall::Unseen("io_uring")),
        Some(LeakKind::Unseen)
    );
}
