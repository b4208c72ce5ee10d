//! From a post on one node to a client of another.

use circuits::secret::Secret;
use serde_json::{Value, json};
use whisht::envelope::Topic;
use whisht::message::SymKey;
use whisht::node::{Command, Identity, InboxQuery, Reply, ShhCommand, ShhReply};
use whisht::subscriptions::FilterId;

use crate::client::{
    SETTLE_TIME, call, error, pair, payloads, share_key, shared_message, subscribe, text, told,
};
use crate::sim::World;

/// The members of a message, in order.
fn members(message: &Value) -> Vec<&str> {
    message
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn signed_symmetric_message_reaches_filter_and_subscription() {
    let mut world = pair();
    let [ours, theirs] = share_key(&mut world);
    let signer = text(&mut world, 0, "shh_newKeyPair", json!([]));
    let public = text(&mut world, 0, "shh_getPublicKey", json!([signer]));
    let criteria = json!({"symKeyID": theirs, "topics": ["0x07678231"], "sig": public});
    let filter = text(&mut world, 1, "shh_newMessageFilter", json!([criteria]));
    let subscription = subscribe(&mut world, 1, criteria);

    let mut post = shared_message(&ours, "0x07678231", "0x6869");
    let unsigned = text(&mut world, 0, "shh_post", json!([post]));
    post["sig"] = signer.into();
    let hash = text(&mut world, 0, "shh_post", json!([post]));
    assert_ne!(hash, unsigned);
    world.run(SETTLE_TIME);

    let polled = call(&mut world, 1, "shh_getFilterMessages", json!([filter])).unwrap();
    let [message] = polled.as_array().unwrap().as_slice() else {
        panic!("{polled}")
    };
    let order = [
        "sig",
        "ttl",
        "timestamp",
        "topic",
        "payload",
        "padding",
        "pow",
        "hash",
    ];
    assert_eq!(members(message), order);
    assert_eq!(message["hash"], hash.as_str());
    assert_eq!(message["sig"], public.as_str());
    assert_eq!(
        (&message["payload"], &message["ttl"]),
        (&json!("0x6869"), &json!(60))
    );
    assert!(message["pow"].as_f64() >= Some(0.01));
    assert_eq!(told(&world, 1, subscription), std::slice::from_ref(message));

    let again = call(&mut world, 1, "shh_getFilterMessages", json!([filter]));
    assert_eq!(again.unwrap(), json!([]));
}

#[test]
fn asymmetric_message_names_recipient_and_matches_only_its_key() {
    let mut world = pair();
    let reader = text(&mut world, 1, "shh_newKeyPair", json!([]));
    let public = text(&mut world, 1, "shh_getPublicKey", json!([reader]));
    let stranger = text(&mut world, 1, "shh_newKeyPair", json!([]));
    let [filter, deaf] = [&reader, &stranger].map(|key| {
        text(
            &mut world,
            1,
            "shh_newMessageFilter",
            json!([{"privateKeyID": key}]),
        )
    });
    let post = json!([{
        "pubKey": public, "payload": "0x", "padding": "0xaabbccdd", "powTarget": 0.01, "powTime": 9,
    }]);
    call(&mut world, 0, "shh_post", post).unwrap();
    world.run(SETTLE_TIME);

    let polled = call(&mut world, 1, "shh_getFilterMessages", json!([filter])).unwrap();
    let message = &polled[0];
    let order = [
        "ttl",
        "timestamp",
        "topic",
        "payload",
        "padding",
        "pow",
        "hash",
        "recipientPublicKey",
    ];
    assert_eq!(members(message), order);
    assert_eq!(message["recipientPublicKey"], public.as_str());
    assert_eq!(
        [
            &message["topic"],
            &message["payload"],
            &message["padding"],
            &message["ttl"]
        ],
        [
            &json!("0x00000000"),
            &json!("0x"),
            &json!("0xaabbccdd"),
            &json!(50)
        ]
    );
    let nothing = call(&mut world, 1, "shh_getFilterMessages", json!([deaf]));
    assert_eq!(nothing.unwrap(), json!([]));
}

#[test]
fn subscription_receives_only_its_topics() {
    let mut world = pair();
    let [ours, theirs] = share_key(&mut world);
    let topics = json!(["0x00000001", "0x00000002", "0x00000003"]);
    let subscription = subscribe(&mut world, 1, json!({"symKeyID": theirs, "topics": topics}));
    for topic in 1..=4 {
        let post = shared_message(&ours, &format!("0x0000000{topic}"), &format!("0x0{topic}"));
        call(&mut world, 0, "shh_post", json!([post])).unwrap();
        world.run(SETTLE_TIME);
    }
    let heard = Value::Array(told(&world, 1, subscription));
    assert_eq!(payloads(&heard), ["0x01", "0x02", "0x03"]);
}

#[test]
fn unsubscribe_stops_notifications() {
    let mut world = pair();
    let [ours, theirs] = share_key(&mut world);
    let criteria = json!({"symKeyID": theirs, "topics": ["0x00000001"]});
    let subscription = subscribe(&mut world, 1, criteria);
    let known = |world: &mut World, filter: FilterId| {
        let command = Command::Shh(ShhCommand::Unsubscribe(filter));
        match world.ask(1, command) {
            Ok(Reply::Shh(Ok(ShhReply::Known(known)))) => known,
            other => panic!("{other:?}"),
        }
    };
    assert!(known(&mut world, subscription));
    assert!(!known(&mut world, subscription));
    let post = shared_message(&ours, "0x00000001", "0x01");
    call(&mut world, 0, "shh_post", json!([post])).unwrap();
    world.run(SETTLE_TIME);
    assert!(told(&world, 1, subscription).is_empty());
}

#[test]
fn filter_receives_own_posts_made_after_it() {
    let mut world = pair();
    let [ours, _] = share_key(&mut world);
    let post = |world: &mut World, payload| {
        let post = shared_message(&ours, "0x00000001", payload);
        call(world, 0, "shh_post", json!([post])).unwrap();
        world.run(SETTLE_TIME);
    };
    post(&mut world, "0x01");
    let criteria = json!([{"symKeyID": ours}]);
    let filter = text(&mut world, 0, "shh_newMessageFilter", criteria);
    post(&mut world, "0x02");
    let polled = call(&mut world, 0, "shh_getFilterMessages", json!([filter])).unwrap();
    assert_eq!(payloads(&polled), ["0x02"]);
}

#[test]
fn identity_added_later_delivers_no_duplicates_to_filters() {
    let mut world = pair();
    let [ours, theirs] = share_key(&mut world);
    let filter = text(
        &mut world,
        1,
        "shh_newMessageFilter",
        json!([{"symKeyID": theirs}]),
    );
    let post = shared_message(&ours, "0x00000001", "0x01");
    call(&mut world, 0, "shh_post", json!([post])).unwrap();
    world.run(SETTLE_TIME);
    let poll =
        |world: &mut World| call(world, 1, "shh_getFilterMessages", json!([filter])).unwrap();
    assert_eq!(payloads(&poll(&mut world)).len(), 1);

    let key = SymKey::new(Secret::init_with(|bytes| bytes.fill(0x7a))).unwrap();
    let identity = Identity::Shared(key, Topic([0, 0, 0, 1]));
    world
        .command(1, Command::AddIdentity("late".to_owned(), identity))
        .unwrap();
    world.run(SETTLE_TIME);
    assert_eq!(poll(&mut world), json!([]));
    let Ok(Reply::Inbox(inbox)) = world.command(1, Command::Inbox(InboxQuery::All)) else {
        panic!("an inbox")
    };
    assert_eq!(inbox.len(), 1);
}

#[test]
fn filter_survives_deletion_of_its_key() {
    let mut world = pair();
    let [ours, theirs] = share_key(&mut world);
    let filter = text(
        &mut world,
        1,
        "shh_newMessageFilter",
        json!([{"symKeyID": theirs}]),
    );
    call(&mut world, 1, "shh_deleteSymKey", json!([theirs])).unwrap();
    let post = shared_message(&ours, "0x00000001", "0x01");
    call(&mut world, 0, "shh_post", json!([post])).unwrap();
    world.run(SETTLE_TIME);
    let polled = call(&mut world, 1, "shh_getFilterMessages", json!([filter])).unwrap();
    assert_eq!(payloads(&polled), ["0x01"]);
    let refused = error(
        &mut world,
        1,
        "shh_newMessageFilter",
        json!([{"symKeyID": theirs}]),
    );
    assert_eq!(refused, "non-existent key ID");
}

#[test]
fn direct_message_requires_trusted_peer_and_allow_p2p() {
    let mut world = pair();
    let [ours, theirs] = share_key(&mut world);
    let (from, to) = (world.addr(0).to_string(), world.addr(1).to_string());
    let mut install = |allow: bool| {
        let criteria = json!([{"symKeyID": theirs, "allowP2P": allow}]);
        text(&mut world, 1, "shh_newMessageFilter", criteria)
    };
    let (open, closed) = (install(true), install(false));
    let send = |world: &mut World, payload: &str| {
        let mut post = shared_message(&ours, "0x00000001", payload);
        post["powTarget"] = json!(0);
        post["targetPeer"] = to.as_str().into();
        let hash = text(world, 0, "shh_post", json!([post]));
        world.run(SETTLE_TIME);
        hash
    };
    send(&mut world, "0x01");
    assert_eq!(
        call(&mut world, 1, "shh_markTrustedPeer", json!([from])).unwrap(),
        true
    );
    let hash = send(&mut world, "0x02");

    let polled = call(&mut world, 1, "shh_getFilterMessages", json!([open])).unwrap();
    assert_eq!(payloads(&polled), ["0x02"]);
    assert_eq!(polled[0]["hash"], hash.as_str());
    assert!(polled[0]["pow"].as_f64() > Some(0.0));
    let nothing = call(&mut world, 1, "shh_getFilterMessages", json!([closed]));
    assert_eq!(nothing.unwrap(), json!([]));
    for node in [0, 1] {
        let info = call(&mut world, node, "shh_info", json!([])).unwrap();
        assert_eq!(info["memory"], 0, "no pool contains it");
    }
}
