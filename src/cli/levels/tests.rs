//! Levels in words, and as JSON.

use circuits::ids::Profile;

use super::*;

fn estimate() -> EstimateView {
    EstimateView {
        level: Level::Swift,
        envelope_bytes: 2_408,
        envelopes: 1,
        expected_hashes: 262_143.6,
        sealing_ms: None,
        cells: 0,
        own_bytes: 2_408,
        network_bytes: 0,
        flood_bytes: 2_408,
        wait_ms: 0,
        median_ms: 3_250,
        p95_ms: 125_000,
        first_attempt: None,
        profile: Profile::Main,
    }
}

fn level(level: Level, senders: Option<usize>, missing: Option<&str>) -> LevelView {
    LevelView {
        level,
        missing: missing.map(str::to_owned),
        senders,
        relaxed: None,
    }
}

fn known(view: &LevelView) -> LevelReport {
    LevelReport::Known {
        estimate: estimate(),
        protection: Protection {
            missing: view.missing.clone(),
            senders: view.senders,
            relaxed: view.relaxed.clone(),
            hides: hides(view.level),
        },
    }
}

#[test]
fn known_cost_is_the_estimate_followed_by_the_protection() {
    let known = known(&level(Level::Swift, Some(13), None));
    let fields = serde_json::to_string(&estimate()).unwrap();
    let fields = fields.strip_suffix('}').unwrap();
    let written = serde_json::to_string(&known).unwrap();
    let hides = hides(Level::Swift);
    assert_eq!(
        written,
        format!(
            "{fields},\"missing\":null,\"senders\":13,\"relaxed\":null,\
                 \"hides\":\"{hides}\"}}"
        )
    );
    let row = known.row().unwrap();
    assert_eq!(
        row,
        [
            "swift",
            "13",
            "3.2 s",
            "2 min",
            "2,408",
            "0",
            "0",
            "262,144 hashes"
        ]
    );
}

#[test]
fn level_shows_sender_set_and_what_it_hides_or_what_is_missing() {
    let relaxed = LevelView {
        relaxed: Some("lanes share middle relays".to_owned()),
        ..level(Level::Normal, Some(1_300), None)
    };
    let lines = protection_lines(&[
        level(Level::Open, Some(1), None),
        level(Level::Swift, None, Some("needs two peers\u{1b}")),
        relaxed,
    ]);
    assert!(lines[0].starts_with("open    hides the recipient only"));
    assert!(!lines[0].contains("one of"), "{lines:?}");
    assert_eq!(lines[1], "swift   not available: needs two peers?");
    assert!(lines[2].starts_with("normal  one of 1,300 known nodes can be the sender; hides"));
    assert!(lines[2].ends_with("relaxed in a local network: lanes share middle relays"));
}

#[test]
fn level_without_a_cost_has_no_row_and_names_what_is_missing() {
    let missing = "level `dark`: 12 cells wait at a relay, and 36 are needed";
    let views = [
        level(Level::Open, Some(1), None),
        level(Level::Dark, None, Some(missing)),
    ];
    let lines = protection_lines(&views);
    assert!(
        lines[1].starts_with("dark  not available: level `dark`: 12 cells"),
        "{lines:?}"
    );
    let dark = LevelReport::Unavailable {
        level: Level::Dark,
        protection: Protection {
            missing: Some(missing.to_owned()),
            senders: None,
            relaxed: None,
            hides: hides(Level::Dark),
        },
    };
    assert!(dark.row().is_none());
    let json = serde_json::to_value(&dark).unwrap();
    assert_eq!(json["level"], "dark");
    assert_eq!(json["missing"], missing);
}
