//! Dial backs without a node: ports, addresses, and what proves a key.

use std::net::Ipv6Addr;

use super::probe::{Probe, ProbeProgress};
use super::*;
use crate::link::Link;
use crate::node::fixture::{Fixture, START, config, link_key, peer_key};
use crate::node::peers::LinkPurpose;

fn ports(change: impl FnOnce(&mut NodeConfig)) -> (Option<u16>, Option<u16>) {
    let mut config = config();
    config.advertise.clear();
    change(&mut config);
    let OwnPorts { v4, v6 } = OwnPorts::of(&config);
    (v4.map(NonZeroU16::get), v6.map(NonZeroU16::get))
}

fn listeners(addresses: &[&str]) -> Vec<SocketAddr> {
    let addresses = addresses.iter();
    addresses.map(|address| address.parse().unwrap()).collect()
}

#[test]
fn advertised_port_of_a_family_comes_before_that_of_the_listener() {
    let everywhere = listeners(&["0.0.0.0:20819", "[::]:20819"]);
    let main = |config: &mut NodeConfig| {
        config.profile = Profile::Main;
        config.listening = everywhere.clone();
    };
    assert_eq!(ports(main), (Some(20_819), Some(20_819)));
    let advertised = ports(|config| {
        main(config);
        config.advertise = vec![RelayEndpoint::Ip6(Ipv6Addr::LOCALHOST, 443)];
    });
    assert_eq!(advertised, (Some(20_819), Some(443)));
}

#[test]
fn node_behind_tor_or_without_public_listener_has_no_port() {
    let none = (None, None);
    assert_eq!(ports(|_| {}), none);
    let of = |profile, through_tor, addresses: &[&str]| {
        ports(|config| {
            config.profile = profile;
            config.through_tor = through_tor;
            config.listening = listeners(addresses);
        })
    };
    assert_eq!(of(Profile::Main, true, &["0.0.0.0:20819"]), none);
    assert_eq!(of(Profile::Main, false, &["127.0.0.1:20819"]), none);
    assert_eq!(
        of(Profile::Main, false, &["10.0.0.7:20819"]),
        (Some(20_819), None),
        "a router forwards to it"
    );
    assert_eq!(of(Profile::Local, false, &["127.0.0.1:7"]), (Some(7), None));
}

#[test]
fn only_public_addresses_are_dialled_and_only_loopback_in_a_local_network() {
    for (ip, main, local) in [
        ("8.8.8.8", true, false),
        ("::ffff:8.8.8.8", true, false),
        ("2600::1", true, false),
        ("127.0.0.1", false, true),
        ("::1", false, true),
        ("10.1.2.3", false, false),
        ("192.168.0.1", false, false),
        ("169.254.169.254", false, false),
        ("100.64.0.1", false, false),
        ("fe80::1", false, false),
        ("0.0.0.0", false, false),
        ("255.255.255.255", false, false),
    ] {
        let ip = ip.parse().unwrap();
        assert_eq!(is_dialable(Profile::Main, ip), main, "{ip}");
        assert_eq!(is_dialable(Profile::Local, ip), local, "{ip}");
    }
}

/// A dial of node 1 that looks for the key of node 2, and the answer of the node with the key of `owner`.
fn probe_of_node_2(owner: u8) -> (Fixture, Probe, Vec<u8>) {
    let mut test = Fixture::new(|_| {});
    let (now, hello) = (START.mono, test.local.hello(LinkPurpose::Cells));
    let begun = Probe::begin(
        Arc::clone(&hello),
        test.local.link_key(),
        peer_key(2),
        test.fx.key_rng(),
        now,
    );
    let (probe, auth) = begun.unwrap();
    let mut there = Link::accept(hello, Arc::new(link_key(owner)), now);
    let _fault = there.receive(now, test.fx.key_rng(), &auth);
    let answer = there.poll_transmit(now, usize::MAX).unwrap_or_default();
    assert!(
        there.poll_event().is_none(),
        "the asking node counts no link"
    );
    (test, probe, answer)
}

#[test]
fn key_is_proven_by_the_first_frame_and_not_by_the_acknowledgement() {
    let (mut test, mut probe, answer) = probe_of_node_2(2);
    // The acknowledgement begins with its length in two bytes.
    let length = usize::from(u16::from_be_bytes([answer[0], answer[1]])) + 2;
    let (ack, hello) = answer.split_at(length);
    assert!(!hello.is_empty());
    let mut receive = |bytes| probe.receive(START.mono, test.fx.key_rng(), bytes);
    assert_eq!(receive(ack), ProbeProgress::Unproven);
    assert_eq!(receive(hello), ProbeProgress::Proven);
}

#[test]
fn altered_frame_proves_nothing() {
    let (mut test, mut probe, mut answer) = probe_of_node_2(2);
    *answer.last_mut().unwrap() ^= 1;
    let progress = probe.receive(START.mono, test.fx.key_rng(), &answer);
    assert_eq!(progress, ProbeProgress::Failed);
}

/// Attack: another program behind the port speaks the protocol with its own key.
#[test]
fn node_with_another_key_has_no_answer() {
    let (.., answer) = probe_of_node_2(3);
    assert!(answer.is_empty());
}

#[test]
fn other_protocol_is_not_the_node() {
    let (mut test, mut probe, _) = probe_of_node_2(2);
    let page = b"HTTP/1.1 400 Bad Request\r\n".repeat(30);
    let progress = probe.receive(START.mono, test.fx.key_rng(), &page);
    assert_eq!(progress, ProbeProgress::Failed);
}
