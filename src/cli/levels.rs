//! `whisht levels`: the cost of each privacy level in the network as it is now.

use std::io;

use circuits::level::Level;
use serde::Serialize;
use serde_json::json;

use super::output::{Printer, duration, grouped, one_line, rounded};
use super::remote_node::RemoteNode;
use super::{Exit, Failure};
use crate::node::{EstimateView, StatusView};
use crate::shell::rpc::RpcClientError;

/// Shows for every level the cost of a short message, or what is missing.
///
/// # Errors
///
/// [`Failure`] if the node does not answer.
pub(super) async fn run(node: &mut RemoteNode) -> Result<Exit, Failure> {
    let mut costs = Vec::new();
    // `bulletin` is for cards only; users cannot choose it for a message.
    for level in Level::ALL
        .into_iter()
        .filter(|level| *level != Level::Bulletin)
    {
        costs.push(cost(node, level).await?);
    }
    if node.printer.json {
        node.printer.value(&costs)?;
        return Ok(Exit::Done);
    }
    let rows: Vec<_> = costs.iter().map(LevelCost::row).collect();
    node.printer.table(HEADING, &rows, "")?;
    node.printer.line(format_args!(
        "for a message of {SAMPLE} bytes with a lifetime of an hour"
    ))?;
    Ok(Exit::Done)
}

/// Shows the cost of one message.
///
/// # Errors
///
/// The error of standard output.
pub(super) fn estimate(printer: Printer, estimate: &EstimateView) -> io::Result<()> {
    if printer.json {
        return printer.value(estimate);
    }
    printer.table(HEADING, &[row(estimate, None)], "")
}

/// The cost of a level.
#[derive(Serialize)]
#[serde(untagged)]
enum LevelCost {
    /// The cost is known; something may be missing all the same.
    Known {
        #[serde(flatten)]
        estimate: EstimateView,
        missing: Option<String>,
    },
    /// The level cannot be used, for this reason.
    Unavailable {
        #[serde(serialize_with = "level_word")]
        level: Level,
        missing: String,
    },
}

impl LevelCost {
    fn row(&self) -> [String; 8] {
        match self {
            Self::Known { estimate, missing } => row(estimate, missing.as_deref()),
            Self::Unavailable { level, missing } => {
                let mut row = [const { String::new() }; 8];
                let [name, .., reason] = &mut row;
                *name = level.to_string();
                *reason = one_line(missing);
                row
            }
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn level_word<S: serde::Serializer>(level: &Level, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(level.word())
}

async fn cost(node: &mut RemoteNode, level: Level) -> Result<LevelCost, Failure> {
    let params = json!([{
        "to": SAMPLE_RECIPIENT,
        "payload": "00".repeat(SAMPLE),
        "level": level.word(),
    }]);
    match node.client.view("whisht_estimate", params).await {
        Ok(estimate) => Ok(LevelCost::Known {
            estimate,
            missing: missing(&node.status, level),
        }),
        Err(RpcClientError::Refused(error)) => Ok(LevelCost::Unavailable {
            level,
            missing: error.to_string(),
        }),
        Err(error) => Err(error.into()),
    }
}

/// What the level lacks, according to the node.
fn missing(status: &StatusView, level: Level) -> Option<String> {
    let view = status.levels.iter().find(|view| view.level == level)?;
    view.missing.clone()
}

fn row(estimate: &EstimateView, missing: Option<&str>) -> [String; 8] {
    let count = |count: usize| grouped(u64::try_from(count).unwrap_or(u64::MAX));
    [
        estimate.level.to_string(),
        duration(estimate.median_ms),
        duration(estimate.p95_ms),
        count(estimate.envelope_bytes),
        count(estimate.cells),
        grouped(estimate.network_bytes),
        work(estimate),
        one_line(missing.unwrap_or_default()),
    ]
}

/// The time for the proof of work; the number of hashes until the machine's rate is known.
fn work(estimate: &EstimateView) -> String {
    estimate.sealing_ms.map_or_else(
        || format!("{} hashes", grouped(rounded(estimate.expected_hashes))),
        duration,
    )
}

const HEADING: [&str; 8] = [
    "LEVEL",
    "MEDIAN",
    "P95",
    "BYTES",
    "CELLS",
    "NETWORK BYTES",
    "PROOF OF WORK",
    "MISSING",
];
/// Length of the sample message in bytes.
const SAMPLE: usize = 300;
/// The generator of secp256k1, whose private key is 1. Nothing is sent to it.
const SAMPLE_RECIPIENT: &str = "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798\
                       483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";

#[cfg(test)]
mod tests {
    use circuits::ids::Profile;

    use super::*;

    fn view() -> EstimateView {
        EstimateView {
            level: Level::Swift,
            envelope_bytes: 2_408,
            expected_hashes: 262_143.6,
            sealing_ms: None,
            cells: 0,
            network_bytes: 0,
            median_ms: 3_250,
            p95_ms: 125_000,
            profile: Profile::Main,
        }
    }

    #[test]
    fn known_cost_is_the_estimate_followed_by_what_is_missing() {
        let known = LevelCost::Known {
            estimate: view(),
            missing: None,
        };
        let estimate = serde_json::to_string(&view()).unwrap();
        let fields = estimate.strip_suffix('}').unwrap();
        let written = serde_json::to_string(&known).unwrap();
        assert_eq!(written, format!("{fields},\"missing\":null}}"));
        assert_eq!(
            known.row(),
            [
                "swift",
                "3.2 s",
                "2 min",
                "2,408",
                "0",
                "0",
                "262,144 hashes",
                ""
            ]
        );
    }

    #[test]
    fn unavailable_level_shows_its_reason_only() {
        let dark = LevelCost::Unavailable {
            level: Level::Dark,
            missing: "not there yet".to_owned(),
        };
        assert_eq!(
            serde_json::to_string(&dark).unwrap(),
            r#"{"level":"dark","missing":"not there yet"}"#
        );
        assert_eq!(
            dark.row(),
            ["dark", "", "", "", "", "", "", "not there yet"]
        );
    }
}
