//! The stages of a message in words.

use std::time::Duration;

use serde_json::Value;

use crate::cli::output::{duration, field, grouped, number};

/// What a stage means to the user.
pub(in crate::cli) fn describe(stage: &Value) -> String {
    match field(stage, "stage").as_str() {
        "sealing" => sealing(stage),
        "searching" => searching(stage),
        "sealed" => format!("sealed: {} bytes", grouped(number(stage, "bytes"))),
        "planned" => planned(stage),
        "dispatched" => format!(
            "{} of {} cells have left for the guard",
            number(stage, "cells"),
            number(stage, "of")
        ),
        "waiting" => format!("kept until it can leave: {}", field(stage, "reason")),
        "seen" => match number(stage, "peers") {
            1 => "came back from 1 peer".to_owned(),
            peers => format!("came back from {peers} peers"),
        },
        "retrying" => format!(
            "did not come back in time; a new envelope takes its place (attempt {})",
            number(stage, "attempt")
        ),
        "delivered" => "delivered: the network has it".to_owned(),
        "failed" => format!("given up: {}", field(stage, "reason")),
        other => other.to_owned(),
    }
}

fn sealing(stage: &Value) -> String {
    let time = seconds(stage, "expected_seconds")
        .map_or_else(String::new, |time| format!(", {time} on average"));
    format!(
        "sealing, attempt {}: {} bits, about {} hashes{time}",
        number(stage, "attempt"),
        number(stage, "bits"),
        grouped(number(stage, "expected_hashes")),
    )
}

fn searching(stage: &Value) -> String {
    let (tried, expected) = (number(stage, "tried"), number(stage, "expected_hashes"));
    let percent = tried.saturating_mul(100).checked_div(expected).unwrap_or(0);
    format!(
        "sealing: {} hashes tried, {percent} % of the expected work",
        grouped(tried)
    )
}

/// A time that is told in seconds, in words.
fn seconds(stage: &Value, name: &str) -> Option<String> {
    let seconds = stage.get(name)?.as_f64()?;
    let time = Duration::try_from_secs_f64(seconds).ok()?;
    Some(duration(u64::try_from(time.as_millis()).ok()?))
}

fn planned(stage: &Value) -> String {
    let (k, n) = (number(stage, "k"), number(stage, "n"));
    let plan = format!(
        "lanes of {} relays; any {k} of {n} pieces suffice",
        field(stage, "lanes")
    );
    match field(stage, "lifted").as_str() {
        "" => plan,
        lifted => format!("{plan} (lifted: {lifted})"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{json, to_value};

    use super::*;
    use crate::node::Stage;

    #[test]
    fn every_stage_has_words() {
        for (stage, words) in [
            (
                Stage::Sealing {
                    attempt: 2,
                    bits: 18,
                    expected_hashes: 262_144.0,
                    expected_seconds: None,
                },
                "sealing, attempt 2: 18 bits, about 262,144 hashes",
            ),
            (
                Stage::Sealing {
                    attempt: 1,
                    bits: 25,
                    expected_hashes: 33_554_432.0,
                    expected_seconds: Some(2.25),
                },
                "sealing, attempt 1: 25 bits, about 33,554,432 hashes, 2.2 s on average",
            ),
            (
                Stage::Searching {
                    tried: 40_265_318,
                    expected_hashes: 33_554_432.0,
                },
                "sealing: 40,265,318 hashes tried, 119 % of the expected work",
            ),
            (
                Stage::Sealed {
                    envelope: "ab".into(),
                    bytes: 2408,
                },
                "sealed: 2,408 bytes",
            ),
            (
                Stage::Planned {
                    lanes: vec![3, 4],
                    k: 2,
                    n: 3,
                    lifted: Some("subnets".into()),
                },
                "lanes of 3, 4 relays; any 2 of 3 pieces suffice (lifted: subnets)",
            ),
            (
                Stage::Dispatched { cells: 1, of: 3 },
                "1 of 3 cells have left for the guard",
            ),
            (
                Stage::Seen {
                    peers: 1,
                    first_gossip: false,
                },
                "came back from 1 peer",
            ),
            (
                Stage::Waiting {
                    reason: "no Tor".into(),
                },
                "kept until it can leave: no Tor",
            ),
            (Stage::Delivered, "delivered: the network has it"),
            (
                Stage::Failed {
                    reason: "no way; wait".into(),
                },
                "given up: no way; wait",
            ),
        ] {
            assert_eq!(describe(&to_value(stage).unwrap()), words);
        }
        assert!(describe(&to_value(Stage::Retrying { attempt: 2 }).unwrap()).contains("attempt 2"));
        assert_eq!(describe(&json!({"stage": "new"})), "new");
    }
}
