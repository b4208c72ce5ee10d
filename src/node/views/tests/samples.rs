//! One view of each type, and the stages and traces, with every field set.

use circuits::ids::ShortId;

use super::super::*;
use crate::node::{FetchEnd, FetchId, FetchStage, RelayLabel, Stage, Trace};

pub(super) fn message() -> MessageView {
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

pub(super) fn identity() -> IdentityView {
    IdentityView {
        name: "us".into(),
        kind: IdentityKind::SharedKey,
        public_key: None,
        topic: Some("01020304".into()),
        locked: true,
    }
}

pub(super) fn peer(pow_rule: Option<PowRule>) -> PeerView {
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

pub(super) fn node() -> NodeView {
    NodeView {
        key: "cd".repeat(64),
        client: "whisht/0.1.0".into(),
        advertised: vec!["192.0.2.1:20819".into()],
        discovery: true,
        min_pow: 0.002,
        max_message_size: 1 << 20,
    }
}

pub(super) fn relay() -> RelayView {
    RelayView {
        id: "ef".repeat(32),
        subnet: "192.0.0.0/16".into(),
        eligible: true,
        guard: false,
        ticket_bits: 18,
    }
}

pub(super) fn fetch() -> FetchView {
    FetchView {
        fetch: FetchId(3),
        server: "cd".repeat(64),
        since: 5,
        until: 4_000_000_000,
        share: 0.25,
    }
}

pub(super) fn mail() -> MailView {
    MailView {
        kept: 10,
        waiting: 2,
        bytes: 3_000_000_000,
        oldest: None,
        answering: 1,
        given: 8,
    }
}

pub(super) fn status(profile: Profile, directory: DirectoryAge) -> StatusView {
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

pub(super) fn inbound() -> InboundView {
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

pub(super) fn clock() -> ClockView {
    ClockView {
        behind_secs: -600,
        witnesses: 3,
        refuses: true,
    }
}

pub(super) fn level_view(level: Level) -> LevelView {
    LevelView {
        level,
        missing: (level == Level::Dark).then(|| "no cover".into()),
        senders: Some(20),
        relaxed: None,
    }
}

pub(super) fn levels_view() -> LevelsView {
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

pub(super) fn estimate() -> EstimateView {
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

pub(super) fn stages() -> Vec<Stage> {
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

pub(super) fn fetch_stages() -> Vec<FetchStage> {
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

pub(super) fn traces() -> Vec<Trace> {
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
