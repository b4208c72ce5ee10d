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
fn loopback_destination_is_a_contact() {
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
            let decision = EgressPolicy::loopback().decide(&call);
            assert_eq!(decision, PolicyDecision::Contact(place), "{call:?}");
        }
    }
}

#[test]
fn destination_outside_loopback_is_a_leak() {
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
fn tor_entry_on_another_machine_is_a_contact() {
    let tor: SocketAddr = "10.0.0.1:9050".parse().unwrap();
    let mut policy = EgressPolicy::and(move |place| place == tor);
    let mut connect = |place: &str| policy.decide(&SystemCall::Connect(internet(place)));
    assert_eq!(connect("10.0.0.1:9050"), PolicyDecision::Contact(tor));
    assert!(matches!(connect("10.0.0.1:9051"), PolicyDecision::Leak(_)));
    assert!(matches!(connect("10.0.0.2:9050"), PolicyDecision::Leak(_)));
}

#[test]
fn tor_entry_at_resolver_port_is_a_contact() {
    let mut policy = EgressPolicy::and(|place| place.port() == 53);
    let mut connect = |place: &str| policy.decide(&SystemCall::Connect(internet(place)));
    assert!(matches!(
        connect("192.0.2.1:53"),
        PolicyDecision::Contact(_)
    ));
    assert!(matches!(connect("127.0.0.53:53"), PolicyDecision::Leak(_)));
}

#[test]
fn resolver_on_loopback_is_a_lookup() {
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
fn send_to_address_without_family_is_a_datagram() {
    let hidden = SocketAddress::NoFamily(Some("192.0.2.1:9".parse().unwrap()));
    assert_eq!(
        kind(&SystemCall::Send(hidden.clone())),
        Some(LeakKind::Datagram)
    );
    assert_eq!(kind(&SystemCall::Connect(hidden)), None);
    assert_eq!(kind(&SystemCall::Send(SocketAddress::NoFamily(None))), None);
}

#[test]
fn unreadable_address_is_a_leak() {
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
fn bind_outside_loopback_is_a_listener() {
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
fn listener_without_bound_address_is_a_leak() {
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
fn socket_of_other_family_or_raw_is_a_leak() {
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
fn resolver_file_is_a_harmless_lookup() {
    for path in [
        "/etc/resolv.conf",
        "/etc/hosts",
        "/run/systemd/resolve/stub-resolv.conf",
        "/var/run/systemd/resolve/resolv.conf",
        "/lib/x86_64-linux-gnu/libnss_dns.so.2",
        "/usr/lib/libnss_mdns4_minimal.so.2",
    ] {
        let decision = EgressPolicy::loopback().decide(&SystemCall::Open(path.to_owned()));
        assert!(
            matches!(&decision, PolicyDecision::Leak(leak) if leak.kind == LeakKind::Lookup && leak.harmless),
            "{path}: {decision:?}"
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
fn resolver_socket_is_a_lookup() {
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
    let decision = |path| EgressPolicy::loopback().decide(&SystemCall::Connect(unix(path)));
    assert_eq!(decision("/var/run/nscd/socket"), PolicyDecision::Deny);
    assert_eq!(decision("/run/user/1000/whisht.ipc"), PolicyDecision::Allow);
    assert_eq!(decision("@abstract"), PolicyDecision::Allow);
    assert_eq!(decision(""), PolicyDecision::Allow);
}

#[test]
fn call_that_cannot_be_watched_is_a_leak() {
    assert_eq!(
        kind(&SystemCall::Unseen("io_uring")),
        Some(LeakKind::Unseen)
    );
}
