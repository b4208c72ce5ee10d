//! The checks and changes of a post before it is sent.

use std::time::Duration;

use circuits::level::Level;
use serde_json::{Value, json};
use whisht::rpc::RpcErrorKind;

use crate::client::{SETTLE_TIME, call, error, pair, payloads, share_key, shared_message, text};
use crate::sim::World;

#[test]
fn post_fails_when_pow_time_is_over() {
    let mut world = pair();
    let [key, _] = share_key(&mut world);
    let mut post = shared_message(&key, "0x00000001", "0x01");
    post["powTarget"] = json!(1e9);
    post["powTime"] = json!(3);
    let before = world.clock().mono;
    assert_eq!(
        error(&mut world, 0, "shh_post", json!([post])),
        "failed to reach the PoW target, specified pow time (3 seconds) was insufficient"
    );
    let waited = world.clock().mono.since(before);
    assert_eq!(waited, Duration::from_secs(3));
}

#[test]
fn negative_pow_target_uses_full_pow_time_before_timestamp() {
    let mut world = pair();
    let [ours, theirs] = share_key(&mut world);
    let filter = json!([{"symKeyID": theirs, "allowP2P": true}]);
    let filter = text(&mut world, 1, "shh_newMessageFilter", filter);
    let from = world.addr(0).to_string();
    call(&mut world, 1, "shh_markTrustedPeer", json!([from])).unwrap();

    let mut post = shared_message(&ours, "0x00000001", "0x01");
    post["powTarget"] = json!(-1);
    post["powTime"] = json!(4);
    assert_eq!(
        error(&mut world, 0, "shh_post", json!([post])),
        "message rejected, PoW too low"
    );
    post["targetPeer"] = world.addr(1).to_string().into();
    let before = world.clock();
    call(&mut world, 0, "shh_post", json!([post])).unwrap();
    assert_eq!(
        world.clock().mono.since(before.mono),
        Duration::from_secs(4)
    );
    world.run(SETTLE_TIME);
    let polled = call(&mut world, 1, "shh_getFilterMessages", json!([filter])).unwrap();
    assert_eq!(polled[0]["timestamp"], json!(before.unix.0 + 4));
    // Half a million hashes give about 19 zero bits in 276 bytes for a minute.
    assert!(polled[0]["pow"].as_f64() > Some(0.5), "{polled}");
}

#[test]
fn post_pow_target_is_checked_against_current_minimum() {
    let mut world = pair();
    let [key, _] = share_key(&mut world);
    let post = shared_message(&key, "0x00000001", "0x01");
    call(&mut world, 0, "shh_setMinPoW", json!([0.5])).unwrap();
    assert_eq!(
        error(&mut world, 0, "shh_post", json!([post])),
        "message rejected, PoW too low"
    );
    call(&mut world, 0, "shh_setMinPoW", json!([0])).unwrap();
    let mut idle = post.clone();
    idle.as_object_mut().unwrap().remove("powTarget");
    call(&mut world, 0, "shh_post", json!([idle])).unwrap();
    let info = call(&mut world, 0, "shh_info", json!([])).unwrap();
    let names: Vec<_> = info.as_object().unwrap().keys().collect();
    assert_eq!(names, ["memory", "messages", "minPow", "maxMessageSize"]);
    assert_eq!(info["memory"], json!(20 + 256 + 28));
}

#[test]
fn post_outside_own_bloom_is_refused_until_filter_widens_it() {
    let mut world = pair();
    let [key, _] = share_key(&mut world);
    let nothing = format!("0x{}", "00".repeat(64));
    call(&mut world, 0, "shh_setBloomFilter", json!([nothing])).unwrap();
    world.run(Duration::from_secs(11));
    let post = shared_message(&key, "0x07678231", "0x01");
    let refused = error(&mut world, 0, "shh_post", json!([post]));
    assert!(
        refused.starts_with("envelope does not match bloom filter, hash=[0x"),
        "{refused}"
    );
    let criteria = json!([{"symKeyID": key, "topics": ["0x07678231"]}]);
    call(&mut world, 0, "shh_newMessageFilter", criteria).unwrap();
    call(&mut world, 0, "shh_post", json!([post])).unwrap();
}

#[test]
fn post_at_unavailable_level_is_refused_with_reason() {
    let mut world = pair();
    let [key, _] = share_key(&mut world);
    let mut post = shared_message(&key, "0x00000001", "0x01");
    for level in ["swift", "normal", "dark"] {
        post["level"] = level.into();
        let refused = call(&mut world, 0, "shh_post", json!([post])).unwrap_err();
        assert_eq!((refused.code, refused.kind), (-32000, RpcErrorKind::Policy));
        assert!(
            refused.cause.starts_with(&format!("level `{level}`")),
            "{refused}"
        );
    }
    post["level"] = "loud".into();
    let malformed = error(&mut world, 0, "shh_post", json!([post]));
    assert!(
        malformed.starts_with("invalid argument 0: level: "),
        "{malformed}"
    );
    let info = call(&mut world, 0, "shh_info", json!([])).unwrap();
    assert_eq!(info["memory"], 0);
}

/// A ring of nodes whose own level is `swift`.
fn ring() -> World {
    let mut world = World::new(Duration::from_millis(5));
    for node in 0..6_usize {
        let peers: Vec<usize> = (1..=3).filter_map(|back| node.checked_sub(back)).collect();
        world.add_with(false, &peers, |config| config.level = Level::Swift);
    }
    world.run(SETTLE_TIME);
    world
}

#[test]
fn post_at_private_level_is_inserted_elsewhere_with_default_format() {
    let mut world = ring();
    let secret = json!([format!("0x{}", "7a".repeat(32))]);
    let [ours, theirs] = [5, 0].map(|at| text(&mut world, at, "shh_addSymKey", secret.clone()));
    let filter = text(
        &mut world,
        0,
        "shh_newMessageFilter",
        json!([{"symKeyID": theirs}]),
    );
    let mut post = shared_message(&ours, "0x07678231", "0x6869");
    post["padding"] = "0xaabbccdd".into();
    let hash = text(&mut world, 5, "shh_post", json!([post]));
    let here = call(&mut world, 5, "shh_info", json!([])).unwrap();
    assert_eq!(here["memory"], 0, "it is not ours to gossip");

    let poll = |world: &mut World| -> Value {
        call(world, 0, "shh_getFilterMessages", json!([filter])).unwrap()
    };
    let mut polled = json!([]);
    for _ in 0..60 {
        world.run(SETTLE_TIME);
        polled = poll(&mut world);
        if polled != json!([]) {
            break;
        }
    }
    assert_eq!(payloads(&polled), ["0x6869"]);
    let message = &polled[0];
    assert_eq!(
        (&message["hash"], &message["topic"]),
        (&json!(hash), &json!("0x07678231"))
    );
    assert_eq!(
        message["ttl"],
        json!(1800),
        "the shortest ttl class, not the requested one"
    );
    assert_eq!(
        message["timestamp"].as_u64().unwrap() % 300,
        0,
        "on the grid of dates"
    );
    assert_ne!(message["padding"], "0xaabbccdd");
}
