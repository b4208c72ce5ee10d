//! The `shh_*` API without a node.

use core::time::Duration;

use circuits::level::Level;

use super::*;
use crate::envelope::{Topic, Ttl};
use crate::node::fixture::{Fixture, START};
use crate::node::input::ClientId;
use crate::node::output::Output;
use crate::subscriptions::FilterId;

const COMMAND: CommandId = CommandId {
    number: 1,
    client: ClientId::OWN,
};

fn symmetric_key(api: &mut ShhApi, fx: &mut Effects) -> String {
    match api.run_key_command(fx, ShhCommand::NewSymKey) {
        Ok(Ok(ShhReply::Id(id))) => id,
        _ => panic!("no key"),
    }
}

fn post(key: String, pow_target: f64) -> Post {
    Post {
        to: PostTo::Shared(key),
        sign_as: None,
        ttl: Ttl(50),
        topic: Topic([1; 4]),
        payload: b"hello".to_vec().into(),
        padding: Vec::new(),
        pow_target,
        pow_time: 5,
        peer: None,
        level: None,
    }
}

#[test]
fn post_without_work_is_ready_at_once() {
    let mut test = Fixture::new(|_| {});
    let mut api = ShhApi::default();
    let post = post(symmetric_key(&mut api, &mut test.fx), 0.0);
    let (fx, context) = test.sending();
    let ready = api.begin_post(fx, START, COMMAND, Box::new(post), Level::Open, context);
    assert!(matches!(ready, Ok(Some(_))));
}

#[test]
fn post_in_progress_is_answered_when_the_node_stops() {
    let mut test = Fixture::new(|_| {});
    let mut api = ShhApi::default();
    let post = post(symmetric_key(&mut api, &mut test.fx), 0.001);
    let (fx, context) = test.sending();
    let mining = api.begin_post(fx, START, COMMAND, Box::new(post), Level::Open, context);
    assert!(matches!(mining, Ok(None)));
    api.shut_down(fx);
    assert!(matches!(
        fx.take_outputs()[..],
        [
            Output::Work(..),
            Output::CancelWork(_),
            Output::Reply(COMMAND, Ok(Reply::Shh(Err(ShhError::NotAdded))))
        ]
    ));
}

#[test]
fn post_at_an_unavailable_level_is_refused() {
    let mut test = Fixture::new(|_| {});
    let mut api = ShhApi::default();
    let post = post(symmetric_key(&mut api, &mut test.fx), 0.0);
    let (fx, context) = test.sending();
    let refused = api.begin_post(fx, START, COMMAND, Box::new(post), Level::Swift, context);
    assert!(matches!(refused, Err(ShhError::Refused(_))));
}

#[test]
fn polled_filter_makes_room_only_after_an_hour() {
    let mut test = Fixture::new(|_| {});
    let mut api = ShhApi::default();
    for number in 0..filters::MAX_POLLED_FILTERS {
        let filter = FilterId(u64::try_from(number).unwrap());
        api.register(&mut test.fx, START.mono, filter);
    }
    let soon = START.mono.after(Duration::from_secs(3_599));
    assert!(api.make_room(soon).is_err());
    let later = START.mono.after(Duration::from_secs(3_600));
    assert!(api.make_room(later).unwrap().is_some());
    assert_eq!(api.make_room(later).unwrap(), None);
}
