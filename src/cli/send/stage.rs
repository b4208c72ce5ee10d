//! The stages of a message in words.

use std::time::Duration;

use crate::cli::output::{duration, grouped, one_line, rounded};
use crate::node::Stage;

/// A stage as users read it.
pub(in crate::cli) fn describe(stage: &Stage) -> String {
    match stage {
        Stage::Sealing {
            attempt,
            bits,
            expected_hashes,
            expected_seconds,
        } => {
            let time = expected_seconds
                .and_then(seconds)
                .map_or_else(String::new, |time| format!(", {time} on average"));
            format!(
                "proof of work, attempt {attempt}: {bits} bits, about {} hashes{time}",
                grouped(rounded(*expected_hashes)),
            )
        }
        Stage::Searching {
            tried,
            expected_hashes,
        } => format!(
            "proof of work: {} hashes tried, {} % of the expected number",
            grouped(*tried),
            percent(*tried, rounded(*expected_hashes))
        ),
        Stage::Sealed { bytes, .. } => format!(
            "envelope complete: {} bytes",
            grouped(u64::try_from(*bytes).unwrap_or(u64::MAX))
        ),
        Stage::Planned {
            lanes,
            k,
            n,
            lifted,
        } => planned(lanes, *k, *n, lifted.as_deref()),
        Stage::Dispatched { cells, of } => {
            format!("{cells} of {of} cells have left for the guard")
        }
        Stage::Departing {
            sealed,
            envelopes,
            left,
            cells,
            wait_seconds,
        } => {
            let wait = duration(wait_seconds.saturating_mul(1_000));
            format!(
                "{sealed} of {envelopes} envelopes complete, {left} of {cells} cells have left among \
                 cover traffic; the last one leaves in about {wait}"
            )
        }
        Stage::SeenShards {
            shards,
            needed,
            of,
            first_gossip,
        } => format!(
            "{shards} of {of} envelopes came back{}; the reader needs {needed}",
            exposure(*first_gossip)
        ),
        Stage::Waiting { reason } => format!("queued: {}", one_line(reason)),
        Stage::Blocked { reason } => format!("stem blocked: {}", one_line(reason)),
        Stage::Seen {
            peers,
            first_gossip,
        } => format!(
            "came back from {}{}",
            peers_in_words(*peers),
            exposure(*first_gossip)
        ),
        Stage::Retrying { attempt } => {
            format!("did not come back in time; sending a new envelope instead (attempt {attempt})")
        }
        Stage::HandedOver { peers } => format!(
            "handed to {}; not confirmed: no other peer has shown it",
            peers_in_words(*peers)
        ),
        Stage::Delivered => "delivered: the network has it".to_owned(),
        Stage::Failed { reason } => format!("given up: {}", one_line(reason)),
    }
}

/// What is added where the network may have learnt of an envelope from this node.
const fn exposure(first_gossip: bool) -> &'static str {
    if first_gossip {
        ", and this node was the first to gossip it"
    } else {
        ""
    }
}

fn peers_in_words(peers: usize) -> String {
    match peers {
        1 => "1 peer".to_owned(),
        peers => format!("{peers} peers"),
    }
}

/// A time in seconds, in words; `None` if it is not a time.
fn seconds(seconds: f64) -> Option<String> {
    let time = Duration::try_from_secs_f64(seconds).ok()?;
    Some(duration(u64::try_from(time.as_millis()).ok()?))
}

fn percent(part: u64, whole: u64) -> u64 {
    part.saturating_mul(100).checked_div(whole).unwrap_or(0)
}

fn planned(lanes: &[usize], k: u8, n: u8, lifted: Option<&str>) -> String {
    let lengths: Vec<String> = lanes.iter().map(usize::to_string).collect();
    let plan = format!(
        "lanes (parallel onion paths) of {} relays; any {k} of {n} shards suffice",
        lengths.join(", ")
    );
    match lifted {
        None => plan,
        Some(lifted) => format!(
            "{plan} (rule relaxed in a local network: {})",
            one_line(lifted)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stage_of_proof_of_work_names_bits_hashes_and_time() {
        let sealing = |attempt, bits, expected_hashes, expected_seconds| Stage::Sealing {
            attempt,
            bits,
            expected_hashes,
            expected_seconds,
        };
        assert_eq!(
            describe(&sealing(2, 18, 262_144.0, None)),
            "proof of work, attempt 2: 18 bits, about 262,144 hashes"
        );
        assert_eq!(
            describe(&sealing(1, 25, 33_554_432.0, Some(2.25))),
            "proof of work, attempt 1: 25 bits, about 33,554,432 hashes, 2.2 s on average"
        );
        let searching = Stage::Searching {
            tried: 40_265_318,
            expected_hashes: 33_554_432.0,
        };
        assert_eq!(
            describe(&searching),
            "proof of work: 40,265,318 hashes tried, 119 % of the expected number"
        );
        let sealed = Stage::Sealed {
            envelope: "ab".into(),
            bytes: 2408,
        };
        assert_eq!(describe(&sealed), "envelope complete: 2,408 bytes");
    }

    #[test]
    fn stage_of_dispersal_names_lanes_shards_and_cells() {
        let planned = |lifted: Option<&str>| Stage::Planned {
            lanes: vec![3, 4],
            k: 2,
            n: 3,
            lifted: lifted.map(str::to_owned),
        };
        let plain = "lanes (parallel onion paths) of 3, 4 relays; any 2 of 3 shards suffice";
        assert_eq!(describe(&planned(None)), plain);
        assert_eq!(
            describe(&planned(Some("subnets"))),
            format!("{plain} (rule relaxed in a local network: subnets)")
        );
        assert_eq!(
            describe(&Stage::Dispatched { cells: 1, of: 3 }),
            "1 of 3 cells have left for the guard"
        );
    }

    #[test]
    fn stage_after_dispersal_names_peers_attempt_or_reason() {
        let seen = |peers| Stage::Seen {
            peers,
            first_gossip: false,
        };
        assert_eq!(describe(&seen(1)), "came back from 1 peer");
        assert_eq!(describe(&seen(2)), "came back from 2 peers");
        let exposed = Stage::Seen {
            peers: 2,
            first_gossip: true,
        };
        assert_eq!(
            describe(&exposed),
            "came back from 2 peers, and this node was the first to gossip it"
        );
        let reason = || "no Tor".to_owned();
        let waiting = Stage::Waiting { reason: reason() };
        assert_eq!(describe(&waiting), "queued: no Tor");
        let blocked = Stage::Blocked { reason: reason() };
        assert_eq!(describe(&blocked), "stem blocked: no Tor");
        let failed = Stage::Failed { reason: reason() };
        assert_eq!(describe(&failed), "given up: no Tor");
        for (peers, shown) in [(1, "handed to 1 peer;"), (2, "handed to 2 peers;")] {
            let shown_now = describe(&Stage::HandedOver { peers });
            assert!(shown_now.starts_with(shown) && !shown_now.contains("delivered"));
            assert!(!shown_now.contains("came back") && !shown_now.contains("has it"));
        }
        assert_eq!(describe(&Stage::Delivered), "delivered: the network has it");
        assert!(describe(&Stage::Retrying { attempt: 2 }).contains("attempt 2"));
    }
}
