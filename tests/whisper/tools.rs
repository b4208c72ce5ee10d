//! Tools for go-ethereum with a node.

use std::time::Duration;

use circuits::level::Level;
use serde_json::{Value, json};

use crate::client::{SETTLE_TIME, call, error, pair, text};
use crate::sim::World;

#[test]
fn admin_methods_add_list_and_remove_peer() {
    let mut world = World::new(Duration::from_millis(5));
    for _ in 0..2 {
        world.add_with(false, &[], |config| config.level = Level::Open);
    }
    let enode = world.addr(1).to_string();
    let with_query = format!("{enode}?discport=0");
    assert_eq!(
        call(&mut world, 0, "admin_addPeer", json!([with_query])).unwrap(),
        true
    );
    world.run(SETTLE_TIME);
    assert_eq!(
        call(&mut world, 0, "net_peerCount", json!([])).unwrap(),
        "0x1"
    );

    let peers = call(&mut world, 0, "admin_peers", json!([])).unwrap();
    let peer = peers[0].as_object().unwrap();
    let order = ["enode", "id", "name", "caps", "network", "protocols"];
    assert_eq!(peer.keys().collect::<Vec<_>>(), order);
    assert_eq!(peer["enode"], enode.as_str());
    assert_eq!(peer["caps"], json!(["onion/1", "shh/6"]));
    assert_eq!(
        [
            &peer["network"]["inbound"],
            &peer["network"]["static"],
            &peer["network"]["trusted"]
        ],
        [false, true, false]
    );
    let own = call(&mut world, 1, "admin_nodeInfo", json!([])).unwrap();
    assert_eq!(own["id"], peer["id"]);
    let shh = json!({"maxMessageSize": 1_048_576, "minimumPoW": 0.002, "version": "6.0"});
    assert_eq!(own["protocols"]["shh"], shh);

    assert_eq!(
        call(&mut world, 0, "admin_removePeer", json!([enode])).unwrap(),
        true
    );
    world.run(SETTLE_TIME);
    assert_eq!(
        call(&mut world, 0, "net_peerCount", json!([])).unwrap(),
        "0x0"
    );
}

#[test]
fn admin_trusted_peer_connects_beyond_max_peers() {
    let mut world = World::new(Duration::from_millis(5));
    let host = world.add_with(false, &[], |config| {
        config.level = Level::Open;
        config.max_peers = 1;
    });
    for _ in 0..3 {
        world.add_with(false, &[host], |config| config.level = Level::Open);
        world.run(SETTLE_TIME);
    }
    let count = |world: &mut World| call(world, host, "net_peerCount", json!([])).unwrap();
    assert_eq!(count(&mut world), "0x1");
    // The one that waits outside: an idle peer makes room for a newcomer.
    let inside = call(&mut world, host, "admin_peers", json!([])).unwrap();
    let inside = inside[0]["enode"].as_str().unwrap().to_owned();
    let urls = [1, 2, 3].map(|machine| world.addr(machine).to_string());
    let key = |url: &str| url.split('@').next().unwrap().to_owned();
    let late = urls.iter().find(|url| key(url) != key(&inside)).unwrap();
    call(&mut world, host, "admin_addTrustedPeer", json!([late])).unwrap();
    world.run(Duration::from_secs(300));
    assert_eq!(count(&mut world), "0x2");
    call(&mut world, host, "admin_removeTrustedPeer", json!([late])).unwrap();
    let peers = call(&mut world, host, "admin_peers", json!([])).unwrap();
    let trusted = |peer: &Value| peer["network"]["trusted"] == true;
    assert!(!peers.as_array().unwrap().iter().any(trusted));
}

#[test]
fn invalid_enode_urls_are_refused_with_geth_errors() {
    let mut world = pair();
    let key = world.addr(1).to_string();
    let key = key.split('@').next().unwrap().to_owned();
    for (url, refusal) in [
        (
            "nonsense",
            "invalid enode: invalid URL scheme, want \"enode\"",
        ),
        (
            "enode://01@127.0.0.1:1",
            "invalid enode: invalid node ID (wrong length, want 128 hex chars)",
        ),
        (
            key.as_str(),
            "invalid enode: it has no address to connect to",
        ),
    ] {
        assert_eq!(error(&mut world, 0, "admin_addPeer", json!([url])), refusal);
    }
}

#[test]
fn web3_and_net_methods_return_expected_values() {
    let mut world = pair();
    assert_eq!(
        text(
            &mut world,
            0,
            "web3_sha3",
            json!(["0x68656c6c6f20776f726c64"])
        ),
        "0x47173285a8d7341e5e972fc677286384f802f8ef42a5ec5f03bbfa254cb01fad"
    );
    assert!(text(&mut world, 0, "web3_clientVersion", json!([])).starts_with("whisht/v"));
    assert_eq!(text(&mut world, 0, "net_version", json!([])), "1");
    assert_eq!(text(&mut world, 0, "shh_version", json!([])), "6.0");
    assert_eq!(
        call(&mut world, 0, "net_listening", json!([])).unwrap(),
        true
    );
}

#[test]
fn light_node_delivers_gossip_only_to_allow_p2p_filters() {
    let mut world = pair();
    assert_eq!(
        call(&mut world, 1, "shh_makeLightClient", json!([])).unwrap(),
        true
    );
    let [ours, theirs] = crate::client::share_key(&mut world);
    let [open, closed] = [true, false].map(|allow| {
        let criteria = json!([{"symKeyID": theirs, "allowP2P": allow}]);
        text(&mut world, 1, "shh_newMessageFilter", criteria)
    });
    let deliver = |world: &mut World, payload: &str| {
        let post = crate::client::shared_message(&ours, "0x00000001", payload);
        call(world, 0, "shh_post", json!([post])).unwrap();
        world.run(SETTLE_TIME);
    };
    let count = |world: &mut World, filter: &str| {
        let polled = call(world, 1, "shh_getFilterMessages", json!([filter])).unwrap();
        polled.as_array().unwrap().len()
    };
    deliver(&mut world, "0x01");
    assert_eq!(
        (count(&mut world, &open), count(&mut world, &closed)),
        (1, 0)
    );
    call(&mut world, 1, "shh_cancelLightClient", json!([])).unwrap();
    deliver(&mut world, "0x02");
    assert_eq!(
        (count(&mut world, &open), count(&mut world, &closed)),
        (1, 1)
    );
}
