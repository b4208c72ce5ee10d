//! Clients that request excessive resources.

use std::time::Duration;

use serde_json::json;

use crate::client::{call, error, pair, share_key, text};

#[test]
fn key_count_is_limited() {
    let mut world = pair();
    let secret = json!([format!("0x{}", "7a".repeat(32))]);
    for (add, delete) in [
        ("shh_addPrivateKey", "shh_deleteKeyPair"),
        ("shh_addSymKey", "shh_deleteSymKey"),
    ] {
        let first = text(&mut world, 0, add, secret.clone());
        for _ in 1..4096 {
            text(&mut world, 0, add, secret.clone());
        }
        let refused = error(&mut world, 0, add, secret.clone());
        assert!(refused.contains("4096 keys"), "{refused}");
        call(&mut world, 0, delete, json!([first])).unwrap();
        text(&mut world, 0, add, secret.clone());
    }
}

#[test]
fn unpolled_filter_is_evicted_after_an_hour() {
    let mut world = pair();
    let [key, _] = share_key(&mut world);
    let criteria = json!([{"symKeyID": key}]);
    let forgotten = text(&mut world, 0, "shh_newMessageFilter", criteria.clone());
    world.run(Duration::from_secs(60));
    let mut kept = Vec::new();
    for _ in 1..1024 {
        kept.push(text(
            &mut world,
            0,
            "shh_newMessageFilter",
            criteria.clone(),
        ));
    }
    let refused = error(&mut world, 0, "shh_newMessageFilter", criteria.clone());
    assert!(refused.contains("1024 filters"), "{refused}");
    world.run(Duration::from_secs(3_550));
    text(&mut world, 0, "shh_newMessageFilter", criteria.clone());
    let gone = error(&mut world, 0, "shh_getFilterMessages", json!([forgotten]));
    assert_eq!(gone, "filter not found");
    for filter in kept {
        call(&mut world, 0, "shh_getFilterMessages", json!([filter])).unwrap();
    }
    let refused = error(&mut world, 0, "shh_newMessageFilter", criteria);
    assert!(refused.contains("1024 filters"), "{refused}");
}
