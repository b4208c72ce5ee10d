//! Views as JSON: what is written is read as the same, and programs find the keys that they know.

mod samples;

use serde::de::DeserializeOwned;
use serde_json::Value;

use self::samples::*;
use super::*;
use crate::node::{Event, FetchId, Refusal, RefusalKind, Reply};

/// Checks that a view is equal after it was written and read, as bytes of JSON, and that no key of
/// its outermost object can be left out.
fn check<T: Serialize + DeserializeOwned>(view: &T) {
    let written = serde_json::to_string(view).unwrap();
    let value: Value = serde_json::from_str(&written).unwrap();
    let read: T = serde_json::from_value(value.clone()).unwrap_or_else(|error| {
        panic!("{written}: {error}");
    });
    assert_eq!(serde_json::to_string(&read).unwrap(), written);
    let fields = value.as_object().into_iter();
    for key in fields.flat_map(|fields| fields.keys()) {
        let mut less = value.clone();
        less.as_object_mut().unwrap().remove(key);
        assert!(
            serde_json::from_value::<T>(less).is_err(),
            "{written} without {key}"
        );
    }
}

#[test]
fn clock_is_described_with_direction_and_witnesses() {
    for (behind_secs, witnesses, text) in [
        (-600, 3, "10 min ahead of that of 3 named peers"),
        (7_200, 1, "2 h behind that of 1 named peer"),
        (0, 2, "equal to that of 2 named peers"),
    ] {
        let view = ClockView {
            behind_secs,
            witnesses,
            refuses: false,
        };
        assert_eq!(view.to_string(), text);
    }
}

#[test]
fn view_read_from_its_json_writes_the_same_json() {
    check(&message());
    check(&identity());
    check(&IdentityView {
        kind: IdentityKind::KeyPair,
        ..identity()
    });
    check(&peer(None));
    for rule in PowRule::ALL {
        check(&peer(Some(rule)));
    }
    check(&node());
    check(&relay());
    check(&fetch());
    check(&mail());
    check(&status(Profile::Main, DirectoryAge::Young));
    check(&status(Profile::Local, DirectoryAge::Settled));
    check(&estimate());
    for stage in stages() {
        check(&OutgoingView {
            id: MessageId(4),
            level: Level::Open,
            stage,
            price: Some(PriceView {
                bytes: 14_640,
                seconds: 9,
            }),
        });
    }
}

#[test]
fn event_read_from_its_json_writes_the_same_json() {
    stages().iter().for_each(check);
    fetch_stages().iter().for_each(check);
    traces().iter().for_each(check);
    let outgoing = stages().into_iter();
    let outgoing = outgoing.map(|stage| Event::Outgoing(MessageId(1), stage));
    let fetches = fetch_stages().into_iter();
    let fetches = fetches.map(|stage| Event::Fetch(FetchId(2), stage));
    let others = [
        Event::Message(message()),
        Event::Peers(3),
        Event::Relays(12),
        Event::Clock(clock()),
    ];
    let traces = traces().into_iter().map(Event::Trace);
    let all = outgoing.chain(fetches).chain(others).chain(traces);
    all.for_each(|event| check(&event));
}

#[test]
fn reply_and_refusal_read_from_their_json_write_the_same_json() {
    for reply in [
        Reply::Done,
        Reply::Accepted(MessageId(9)),
        Reply::Fetch(fetch()),
        Reply::Identities(vec![identity()]),
        Reply::Inbox(vec![message()]),
        Reply::Outbox(Vec::new()),
        Reply::Node(node()),
        Reply::DialBack(DialBackView::example()),
        Reply::Peers(vec![peer(None)]),
        Reply::Relays(vec![relay()]),
        Reply::Status(Box::new(status(Profile::Main, DirectoryAge::Young))),
        Reply::Estimate(estimate()),
        Reply::Levels(Box::new(levels_view())),
    ] {
        check(&reply);
    }
    for kind in [RefusalKind::Locked, RefusalKind::Policy, RefusalKind::Usage] {
        check(&Refusal {
            kind,
            cause: "there is no peer".into(),
            remedy: "name one".into(),
        });
    }
}

#[test]
fn view_of_a_key_pair_has_the_json_that_programs_read() {
    let json = serde_json::to_string(&identity()).unwrap();
    assert_eq!(
        json,
        r#"{"name":"us","kind":"shared key","public_key":null,"topic":"01020304","locked":true}"#
    );
    let json = serde_json::to_value(peer(None)).unwrap();
    assert_eq!(json["pow_rule"], "none");
    let json = serde_json::to_value(status(Profile::Local, DirectoryAge::Young)).unwrap();
    assert_eq!(json["profile"], "local");
    assert_eq!(json["directory"], "young");
    assert_eq!(json["level"], "normal");
}

#[test]
fn unknown_word_in_a_view_is_an_error_that_names_it() {
    let mut json = serde_json::to_value(estimate()).unwrap();
    json["level"] = "loud".into();
    let error = serde_json::from_value::<EstimateView>(json).unwrap_err();
    assert!(error.to_string().contains("\"loud\""), "{error}");
}
