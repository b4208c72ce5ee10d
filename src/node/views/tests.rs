use circuits::ids::ShortId;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::*;
use crate::node::{
    Event, FetchEnd, FetchId, FetchStage, Refusal, RefusalKind, RelayLabel, Reply, Stage, Trace,
};

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

fn message() -> MessageView {
    MessageView {
        id: "ab".repeat(32),
        received: 1_700_000_100,
        to: "desk".into(),
        from: None,
        topic: "01020304".into(),
        made: 1_700_000_000,
        expires: 1_700_003_600,
        payload: "00ff".into(),
    }
}

fn identity() -> IdentityView {
    IdentityView {
        name: "us".into(),
        kind: IdentityKind::SharedKey,
        public_key: None,
        topic: Some("01020304".into()),
        locked: true,
    }
}

fn peer(pow_rule: Option<PowRule>) -> PeerView {
    PeerView {
        key: "cd".repeat(64),
        client: "Geth/v1.8.27".into(),
        address: Some("192.0.2.1:30303".into()),
        outbound: true,
        found: false,
        named: true,
        always_admitted: false,
        capabilities: vec!["shh/6".into(), "onion/1".into()],
        min_pow: 0.2,
        pow_rule,
        served: true,
        trusted: false,
        pulls: true,
        rating: -3,
        received: 12,
        sent: 1 << 40,
    }
}

fn node() -> NodeView {
    NodeView {
        key: "cd".repeat(64),
        client: "whisht/0.1.0".into(),
        advertised: vec!["192.0.2.1:20819".into()],
        discovery: true,
        min_pow: 0.002,
        max_message_size: 1 << 20,
    }
}

fn relay() -> RelayView {
    RelayView {
        id: "ef".repeat(32),
        subnet: "192.0.0.0/16".into(),
        eligible: true,
        guard: false,
        ticket_bits: 18,
    }
}

fn fetch() -> FetchView {
    FetchView {
        fetch: FetchId(3),
        server: "cd".repeat(64),
        since: 5,
        until: 4_000_000_000,
        share: 0.25,
    }
}

fn mail() -> MailView {
    MailView {
        kept: 10,
        waiting: 2,
        bytes: 3_000_000_000,
        oldest: None,
        answering: 1,
        given: 8,
    }
}

fn status(profile: Profile, directory: DirectoryAge) -> StatusView {
    StatusView {
        client: "whisht/0.1.0".into(),
        profile,
        level: Level::Normal,
        key: "cd".repeat(64),
        uptime_secs: 100,
        peers: 5,
        dark_peers: 3,
        unreached_peers: vec![UnreachedPeerView {
            key: "ef".repeat(64),
            address: "127.0.0.1:1".into(),
            next_try_secs: Some(12),
            reason: None,
        }],
        unserved_peers: 1,
        refused: 0,
        key_in_use: false,
        inbound: inbound(),
        dial_back: Some(DialBackView::example()),
        relays: 20,
        eligible_relays: 12,
        directory,
        relay_list: Some(RelayListView::example()),
        relay: true,
        listed: "yes".into(),
        drained_in_secs: Some(0),
        clock: Some(clock()),
        pool_envelopes: 7,
        pool_bytes: 9_000,
        gossip_displaced: 3,
        packets_dropped: 0,
        untried: 3,
        pool_untried: 1,
        direct_untried: 0,
        turns: Some(TurnTimes {
            count: 9_000,
            longest_us: 1_500,
            longest_last_hour_us: 800,
        }),
        cells_forwarded: 1,
        cells_dropped: 0,
        circuits: CircuitsView::default(),
        rebuilt: 4,
        emission: EmissionView {
            cover: "full".into(),
            sent: 5_000,
            guard_down: 12,
            no_route: 3,
            queued: 2,
            loops_returned: 490,
            loops_lost: 8,
            alarm: Some(LoopAlarmView {
                relay: "ab".repeat(16),
                fault: "drops".into(),
                probes: 40,
                lost: 7,
                sigmas: 4.5,
            }),
        },
        flow: FlowView::default(),
        outgoing: 2,
        discovery: Some(9),
        found_peers: 2,
        mail: Some(mail()),
        state_locked: false,
        cards_wait: None,
        tor: true,
        shut: Some("Tor is not ready".into()),
        unverified: None,
        onion: vec!["enode://x@y.onion:1".into()],
        levels: Level::ALL.map(level_view).to_vec(),
    }
}

fn inbound() -> InboundView {
    InboundView {
        places: 256,
        named: 1,
        useful: 2,
        relays: 3,
        gossip: 4,
        cells_only: 5,
        unproven: 6,
        full: Some("all 25 places of gossip peers".into()),
        displaced: 7,
        turned_away: 8,
        unfinished_bytes: 9,
        overfull: 0,
        listener_faults: 1,
        listener_fault: Some(ListenerFaultView {
            reason: "out of descriptors".into(),
            secs_ago: 3,
        }),
    }
}

fn clock() -> ClockView {
    ClockView {
        behind_secs: -600,
        witnesses: 3,
        refuses: true,
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

fn level_view(level: Level) -> LevelView {
    LevelView {
        level,
        missing: (level == Level::Dark).then(|| "no cover".into()),
        senders: Some(20),
        relaxed: None,
    }
}

fn levels_view() -> LevelsView {
    LevelsView {
        levels: vec![level_view(Level::Hush)],
        custom: vec![CustomLevelView {
            name: "careful".into(),
            base: Level::Dark,
        }],
        mixing: Some(MixingView {
            delay_secs: 3,
            rate: 26.9,
            pool: 80.7,
            relays: 60,
            smallest_layer: 11,
            senders: 533,
            protection: vec![ProtectionView {
                hostile: 0.2,
                one_in: 192,
                above_tenth: 0.0003,
                above_half: 0.0001,
                linked: vec![LinkedView {
                    messages: 10,
                    one_in: 40,
                }],
                senders: 500,
                relays: 60,
                delay_secs: 3,
            }],
        }),
        relay_list: Some(RelayListView::example()),
    }
}

fn estimate() -> EstimateView {
    EstimateView {
        level: Level::Swift,
        envelope_bytes: 2_408,
        envelopes: 1,
        expected_hashes: 262_144.0,
        sealing_ms: Some(12),
        cells: 162,
        own_bytes: 158_112,
        network_bytes: 900_000,
        flood_bytes: 2_408,
        wait_ms: 0,
        median_ms: 4_000,
        p95_ms: 9_000,
        first_attempt: Some(0.975),
        profile: Profile::Main,
    }
}

fn stages() -> Vec<Stage> {
    vec![
        Stage::Sealing {
            attempt: 1,
            bits: 25,
            expected_hashes: 33_554_432.0,
            expected_seconds: Some(0.1 + 0.2),
        },
        Stage::Searching {
            tried: 5,
            expected_hashes: 1e19,
        },
        Stage::Waiting {
            reason: "no Tor".into(),
        },
        Stage::Sealed {
            envelope: "ab".into(),
            bytes: 2_408,
        },
        Stage::Planned {
            lanes: vec![3, 4, 3],
            k: 2,
            n: 3,
            lifted: None,
        },
        Stage::Dispatched { cells: 1, of: 3 },
        Stage::Blocked {
            reason: "no peer".into(),
        },
        Stage::Seen {
            peers: 2,
            first_gossip: false,
        },
        Stage::Retrying { attempt: 2 },
        Stage::HandedOver { peers: 1 },
        Stage::Delivered,
        Stage::Failed {
            reason: "no way; wait".into(),
        },
    ]
}

fn fetch_stages() -> Vec<FetchStage> {
    use FetchEnd::{Complete, Enough, Lied, Quiet, Refused, Silent, Unreachable};
    let ends = [Complete, Enough, Lied, Quiet, Refused, Silent, Unreachable];
    let ended = ends.map(|end| FetchStage::Ended {
        end,
        reason: None,
        pages: 1,
        envelopes: 412,
        bytes: 1 << 33,
        new: 410,
        messages: 2,
        unasked: 0,
    });
    let on_the_way = [
        FetchStage::Connecting,
        FetchStage::Asked { page: 1 },
        FetchStage::Received {
            envelopes: 3,
            bytes: 900,
        },
    ];
    on_the_way.into_iter().chain(ended).collect()
}

fn traces() -> Vec<Trace> {
    let label = RelayLabel(ShortId([0xa5; 16]));
    let envelope = || "ab".repeat(32);
    vec![
        Trace::Lanes {
            lanes: vec![vec![label, label], vec![label]],
        },
        Trace::Peeled {
            from: None,
            next: label,
        },
        Trace::Terminal {
            from: Some(label),
            k: 2,
            n: 3,
        },
        Trace::Rebuilt {
            envelope: envelope(),
            hold_ms: 1_500,
        },
        Trace::Stem {
            envelope: envelope(),
        },
        Trace::Fluff {
            envelope: envelope(),
        },
        Trace::Pooled {
            envelope: envelope(),
        },
        Trace::Gossiped {
            envelope: envelope(),
        },
    ]
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
