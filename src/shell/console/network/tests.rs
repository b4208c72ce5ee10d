use super::*;

fn peer(number: u8, outbound: bool, capability: &str) -> PeerView {
    PeerView {
        key: hex::encode([number; 64]),
        client: "x".into(),
        address: Some("192.0.2.1:1".into()),
        outbound,
        found: false,
        named: false,
        always_admitted: false,
        capabilities: vec!["shh/6".into(), capability.into()],
        min_pow: 0.2,
        pow_rule: None,
        served: true,
        trusted: false,
        pulls: true,
        rating: 0,
        received: 1,
        sent: 1,
    }
}

fn relay(number: usize, eligible: bool) -> RelayView {
    RelayView {
        id: format!("{number:064x}"),
        subnet: format!("10.{}.0.0/16", number / 2),
        eligible,
        guard: false,
        ticket_bits: 18,
    }
}

#[test]
fn peers_are_counted_by_direction_and_capability() {
    let peers = [
        peer(1, true, "onion/1"),
        peer(2, false, "onion/1"),
        peer(3, false, "p2p/5"),
    ];
    let counts = peer_counts(&peers, Precision::Exact);
    assert_eq!((counts.all, counts.relays, counts.inbound), (3, 2, 2));
    let coarse = peer_counts(&peers, Precision::Coarse);
    assert_eq!((coarse.all, coarse.relays, coarse.inbound), (2, 2, 2));
}

#[test]
fn dots_have_no_order_of_their_keys() {
    let mut peers = [
        peer(1, true, "onion/1"),
        peer(2, false, "p2p/5"),
        peer(3, false, "onion/1"),
    ];
    let drawn = dots(&peers, Precision::Exact);
    peers.reverse();
    assert_eq!(drawn, dots(&peers, Precision::Exact));
    assert_eq!(dots(&peers, Precision::Coarse).len(), 2);
}

#[test]
fn relays_are_counted_with_their_subnets() {
    let relays: Vec<_> = (0..10).map(|n| relay(n, n < 3)).collect();
    let counts = relay_counts(&relays, Precision::Exact);
    assert_eq!((counts.all, counts.usable, counts.subnets), (10, 3, 5));
    assert_eq!(coarse_part(&relays, Precision::Coarse).len(), 8);
    assert_eq!(coarse_part::<u8>(&[], Precision::Coarse).len(), 0);
}

#[test]
fn relay_id_is_the_id_of_its_link_key() {
    let key = circuits::ids::RelayKey([7; 64]);
    assert_eq!(
        facts::relay_id(&hex::encode([7; 64])),
        Some(hex::encode(key.id().0))
    );
    assert_eq!(facts::relay_id("zz"), None);
}
