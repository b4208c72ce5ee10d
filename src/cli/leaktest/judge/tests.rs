use super::*;

fn internet(text: &str) -> Address {
    Address::Internet(text.parse().unwrap())
}

fn unix(path: &str) -> Address {
    Address::Unix(path.to_owned())
}

fn kind(call: &Call) -> Option<Kind> {
    match Allowed::loopback().judge(call) {
        Verdict::Leak(leak) => Some(leak.kind),
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
            Call::Connect(Address::Internet(place)),
            Call::Send(Address::Internet(place)),
        ] {
            let verdict = Allowed::loopback().judge(&call);
            assert_eq!(verdict, Verdict::Spoke(place), "{call:?}");
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
            kind(&Call::Connect(internet(place))),
            Some(Kind::Connect),
            "{place}"
        );
        assert_eq!(
            kind(&Call::Send(internet(place))),
            Some(Kind::Datagram),
            "{place}"
        );
    }
}

#[test]
fn tor_may_be_on_another_machine() {
    let tor: SocketAddr = "10.0.0.1:9050".parse().unwrap();
    let mut allowed = Allowed::and(move |place| place == tor);
    let mut connect = |place: &str| allowed.judge(&Call::Connect(internet(place)));
    assert_eq!(connect("10.0.0.1:9050"), Verdict::Spoke(tor));
    assert!(matches!(connect("10.0.0.1:9051"), Verdict::Leak(_)));
    assert!(matches!(connect("10.0.0.2:9050"), Verdict::Leak(_)));
}

#[test]
fn a_relay_at_the_port_of_resolvers_is_a_relay() {
    let mut allowed = Allowed::and(|place| place.port() == 53);
    let mut connect = |place: &str| allowed.judge(&Call::Connect(internet(place)));
    assert!(matches!(connect("192.0.2.1:53"), Verdict::Spoke(_)));
    assert!(matches!(connect("127.0.0.53:53"), Verdict::Leak(_)));
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
            kind(&Call::Connect(internet(place))),
            Some(Kind::Lookup),
            "{place}"
        );
        assert_eq!(
            kind(&Call::Send(internet(place))),
            Some(Kind::Lookup),
            "{place}"
        );
    }
}

#[test]
fn to_send_to_no_family_is_to_send() {
    let hidden = Address::NoFamily(Some("192.0.2.1:9".parse().unwrap()));
    assert_eq!(kind(&Call::Send(hidden.clone())), Some(Kind::Datagram));
    assert_eq!(kind(&Call::Connect(hidden)), None);
    assert_eq!(kind(&Call::Send(Address::NoFamily(None))), None);
}

#[test]
fn what_cannot_be_read_is_a_leak() {
    for call in [Call::Connect, Call::Send, Call::Bind, Call::Listen] {
        assert!(kind(&call(Address::Garbled)).is_some());
        assert!(kind(&call(Address::Other(17))).is_some());
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
            kind(&Call::Bind(internet(place))),
            Some(Kind::Listen),
            "{place}"
        );
        let hidden = Address::NoFamily(Some(place.parse().unwrap()));
        assert_eq!(kind(&Call::Bind(hidden)), Some(Kind::Listen), "{place}");
    }
    for place in ["127.0.0.1:20819", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
        assert_eq!(kind(&Call::Bind(internet(place))), None, "{place}");
    }
}

#[test]
fn a_listener_without_an_address_has_them_all() {
    for place in ["0.0.0.0:0", "[::]:0", "0.0.0.0:4000", "192.168.1.5:4000"] {
        assert_eq!(
            kind(&Call::Listen(internet(place))),
            Some(Kind::Listen),
            "{place}"
        );
    }
    assert_eq!(kind(&Call::Listen(internet("127.0.0.1:4000"))), None);
    assert_eq!(kind(&Call::Listen(unix("/run/own.sock"))), None);
}

#[test]
fn sockets_are_of_three_families_and_never_raw() {
    let socket = |family, raw| kind(&Call::Socket { family, raw });
    assert_eq!(socket(UNIX, false), None);
    assert_eq!(socket(INET, false), None);
    assert_eq!(socket(INET6, false), None);
    assert_eq!(socket(INET, true), Some(Kind::Socket));
    assert_eq!(socket(INET6, true), Some(Kind::Socket));
    assert_eq!(socket(NETLINK, false), Some(Kind::Lookup));
    assert_eq!(socket(17, true), Some(Kind::Socket));
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
        let verdict = Allowed::loopback().judge(&Call::Open(path.to_owned()));
        assert!(
            matches!(&verdict, Verdict::Leak(leak) if leak.kind == Kind::Lookup && leak.harmless),
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
        assert_eq!(kind(&Call::Open(path.to_owned())), None, "{path}");
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
            kind(&Call::Connect(unix(path))),
            Some(Kind::Lookup),
            "{path}"
        );
    }
    let verdict = |path| Allowed::loopback().judge(&Call::Connect(unix(path)));
    assert_eq!(verdict("/var/run/nscd/socket"), Verdict::Refused);
    assert_eq!(verdict("/run/user/1000/whisht.ipc"), Verdict::Passes);
    assert_eq!(verdict("@abstract"), Verdict::Passes);
    assert_eq!(verdict(""), Verdict::Passes);
}

#[test]
fn a_way_past_the_watcher_is_a_leak() {
    assert_eq!(kind(&Call::Unseen("io_uring")), Some(Kind::Unseen));
}
