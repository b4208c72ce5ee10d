//! A client of one node in a simulated world.

use std::time::Duration;

use circuits::level::Level;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use whisht::node::{Command, Event, Reply, ShhCommand, ShhReply};
use whisht::rpc::{self, Permissions, RpcCall, RpcError};
use whisht::subscriptions::FilterId;

use crate::sim::World;

/// Time for an envelope to reach every peer and be tried with every key.
pub(crate) const SETTLE_TIME: Duration = Duration::from_secs(10);

/// Two nodes that are peers at level `open`.
pub(crate) fn pair() -> World {
    let mut world = World::new(Duration::from_millis(5));
    for peers in [&[][..], &[0]] {
        world.add_with(false, peers, |config| config.level = Level::Open);
    }
    world.run(SETTLE_TIME);
    world
}

/// Calls a method of a node, with the permission to export keys.
pub(crate) fn call(
    world: &mut World,
    at: usize,
    method: &str,
    params: Value,
) -> Result<Value, RpcError> {
    let permissions = Permissions {
        export_keys: true,
        export_files: true,
        local_socket: false,
        contacts: true,
    };
    let mut rng = ChaCha20Rng::from_seed([3; 32]);
    match RpcCall::read(method, Some(params), permissions, &mut rng)? {
        RpcCall::Node(command, render) => render(&world.ask(at, command)?),
        RpcCall::Known(value) => Ok(value),
        RpcCall::KeyFromPassword(password) => {
            rpc::result(&world.ask(at, rpc::shh::keep_key(&password))?)
        }
        RpcCall::NodeInfo => match world.ask(at, Command::Node)? {
            Reply::Node(node) => Ok(rpc::admin::node_info(&node, &[])),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?} requires a connection"),
    }
}

/// The text of a call's result.
pub(crate) fn text(world: &mut World, at: usize, method: &str, params: Value) -> String {
    let result = call(world, at, method, params).unwrap();
    result.as_str().expect("a text").to_owned()
}

/// The error text of a call that must fail.
pub(crate) fn error(world: &mut World, at: usize, method: &str, params: Value) -> String {
    call(world, at, method, params).unwrap_err().to_string()
}

/// The same shared key on both nodes; its ids.
pub(crate) fn share_key(world: &mut World) -> [String; 2] {
    [0, 1].map(|at| {
        text(
            world,
            at,
            "shh_addSymKey",
            json!([format!("0x{}", "7a".repeat(32))]),
        )
    })
}

/// A message under a shared key with little work.
pub(crate) fn shared_message(key: &str, topic: &str, payload: &str) -> Value {
    json!({
        "symKeyID": key,
        "topic": topic,
        "payload": payload,
        "ttl": 60,
        "powTarget": 0.01,
        "powTime": 10,
    })
}

/// Subscribes to messages; returns the filter, for which a connection has another id.
pub(crate) fn subscribe(world: &mut World, at: usize, criteria: Value) -> FilterId {
    let mut rng = ChaCha20Rng::from_seed([3; 32]);
    let params = Some(json!(["messages", criteria]));
    let call = RpcCall::read("shh_subscribe", params, Permissions::default(), &mut rng);
    let Ok(RpcCall::ShhSubscribe(criteria)) = call else {
        panic!("{call:?}")
    };
    let command = Command::Shh(ShhCommand::Subscribe(criteria));
    match world.ask(at, command) {
        Ok(Reply::Shh(Ok(ShhReply::Subscribed(filter)))) => filter,
        other => panic!("{other:?}"),
    }
}

/// The notifications of a subscriber, in its own form.
pub(crate) fn told(world: &World, at: usize, filter: FilterId) -> Vec<Value> {
    let events = world.events(at).iter();
    events
        .filter_map(|(_, event)| match event {
            Event::Filtered(of, received) if *of == filter => {
                Some(rpc::shh::notification("0x1", received)["params"]["result"].clone())
            }
            _ => None,
        })
        .collect()
}

/// The payloads of messages, oldest first.
pub(crate) fn payloads(messages: &Value) -> Vec<&str> {
    let messages = messages.as_array().unwrap().iter();
    messages
        .map(|message| message["payload"].as_str().unwrap())
        .collect()
}
