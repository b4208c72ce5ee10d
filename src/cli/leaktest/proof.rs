//! Proves the watcher before it is believed: it watches a program that leaks in every way.

use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use super::judge::Allowed;
use super::ledger::Ledger;
use super::plant::{Outcome, PLANTS};
use super::watch::{Watch, Watched};
use super::{failed, this_program};
use crate::cli::Failure;

/// A watcher that missed nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Proof {
    /// Leaks that were planted, caught and refused.
    pub(super) caught: usize,
    /// Leaks that cannot be planted on this machine, since it has no such sockets.
    pub(super) impossible: usize,
}

/// Has the watcher catch what is planted.
///
/// # Errors
///
/// [`Failure`] names the first leak that got past it.
pub(super) async fn prove() -> Result<Proof, Failure> {
    let planting = Watched {
        program: this_program()?,
        arguments: vec!["leaktest-part".into(), "plant".into()],
        settings: false,
    };
    let mut watch = Watch::start(planting, Allowed::loopback())
        .await
        .map_err(failed)?;
    let stdout = watch.stdout.take().ok_or_else(|| failed("no output"))?;
    let mut stdout = pipe::Receiver::from_owned_fd(stdout.into()).map_err(failed)?;
    let mut said = String::new();
    let watched = async {
        let read = stdout.read_to_string(&mut said).await;
        (read, (&mut watch.report).await)
    };
    let Ok((read, report)) = tokio::time::timeout(PATIENCE, watched).await else {
        return Err(failed(
            "the planted leaks hang; the watcher is not to be trusted here",
        ));
    };
    read.map_err(failed)?;
    let report = report.map_err(failed)?.map_err(failed)?;
    let outcomes: Vec<Value> = serde_json::from_str(&said).unwrap_or_default();
    judge(&outcomes, &report.ledger)
}

/// Compares what leaked with what was seen.
fn judge(outcomes: &[Value], ledger: &Ledger) -> Result<Proof, Failure> {
    let mut proof = Proof {
        caught: 0,
        impossible: 0,
    };
    for (index, plant) in PLANTS.iter().enumerate() {
        let seen = ledger
            .leaks
            .keys()
            .any(|entry| entry.kind == plant.kind && entry.to.starts_with(plant.to));
        match outcomes.get(index).and_then(Outcome::read) {
            Some(Outcome::Impossible) => proof.impossible += 1,
            Some(Outcome::Refused) if seen => proof.caught += 1,
            Some(Outcome::Refused) => return Err(missed(plant.name, "was not seen")),
            Some(Outcome::Passed) if seen => return Err(missed(plant.name, "was not refused")),
            Some(Outcome::Passed) => return Err(missed(plant.name, "was not seen, nor refused")),
            None => return Err(missed(plant.name, "was not tried")),
        }
    }
    Ok(proof)
}

fn missed(name: &str, how: &str) -> Failure {
    failed(format_args!(
        "the watcher is not to be trusted on this machine: {name} {how}; this is a bug, please \
         report it with the version of the kernel"
    ))
}

/// How long the planted leaks may take together.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::leaktest::judge::Leak;
    use crate::cli::leaktest::ledger::Who;

    fn seen(but: usize) -> Ledger {
        let mut ledger = Ledger::default();
        for (index, plant) in PLANTS.iter().enumerate() {
            let leak = Leak {
                kind: plant.kind,
                to: plant.to.to_owned(),
                harmless: false,
            };
            if index != but {
                ledger.leak(leak, Who::default(), Duration::ZERO, true);
            }
        }
        ledger
    }

    #[test]
    fn a_watcher_that_misses_any_leak_is_not_believed() {
        let refused = vec![json!("refused"); PLANTS.len()];
        let proof = judge(&refused, &seen(usize::MAX)).unwrap();
        assert_eq!((proof.caught, proof.impossible), (PLANTS.len(), 0));
        for missing in 0..PLANTS.len() {
            assert!(judge(&refused, &seen(missing)).is_err(), "{missing}");
        }
    }

    #[test]
    fn a_watcher_that_lets_a_leak_pass_is_not_believed() {
        for index in 0..PLANTS.len() {
            let mut outcomes = vec![json!("refused"); PLANTS.len()];
            *outcomes.get_mut(index).unwrap() = json!("passed");
            assert!(judge(&outcomes, &seen(usize::MAX)).is_err(), "{index}");
        }
        assert!(judge(&[], &seen(usize::MAX)).is_err());
    }

    #[test]
    fn what_cannot_be_planted_is_not_held_against_it() {
        let mut outcomes = vec![json!("refused"); PLANTS.len()];
        *outcomes.get_mut(1).unwrap() = json!("impossible");
        let proof = judge(&outcomes, &seen(1)).unwrap();
        assert_eq!((proof.caught, proof.impossible), (PLANTS.len() - 1, 1));
    }
}
