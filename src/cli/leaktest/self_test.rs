//! The self-test of a leak test: the tracer must catch every planted leak before it is trusted.

use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use super::canary::{CANARIES, CanaryOutcome};
use super::policy::EgressPolicy;
use super::record::TraceRecord;
use super::watch::{ProgramSpec, WatchedProgram};
use super::{failed, this_program};
use crate::cli::Failure;

/// The result of a self-test without a missed leak.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct SelfTestResult {
    /// Planted leaks that were seen and refused.
    pub(super) caught: usize,
    /// Leaks that cannot be planted on this machine, which has no such sockets.
    pub(super) impossible: usize,
}

/// Traces the planted leaks.
///
/// # Errors
///
/// [`Failure`] names the first leak that was missed.
pub(super) async fn run() -> Result<SelfTestResult, Failure> {
    let planting = ProgramSpec {
        program: this_program()?,
        arguments: vec!["leaktest-part".into(), "plant".into()],
        settings: false,
    };
    let mut watch = WatchedProgram::start(planting, EgressPolicy::loopback()).await?;
    let stdout = watch.take_stdout().ok_or_else(|| failed("no output"))?;
    let mut stdout = pipe::Receiver::from_owned_fd(stdout.into()).map_err(failed)?;
    let mut said = String::new();
    let watched = async {
        let read = stdout.read_to_string(&mut said).await;
        (read, (&mut watch.report).await)
    };
    let Ok((read, report)) = tokio::time::timeout(SELF_TEST_TIMEOUT, watched).await else {
        return Err(failed(
            "the planted leaks hang; the watcher is not to be trusted here",
        ));
    };
    read.map_err(failed)?;
    let report = report.map_err(failed)?.map_err(failed)?;
    let outcomes: Vec<Value> = serde_json::from_str(&said).unwrap_or_default();
    compare(&outcomes, &report.record)
}

/// Compares the outcomes of the leaking program with the record.
fn compare(outcomes: &[Value], record: &TraceRecord) -> Result<SelfTestResult, Failure> {
    let mut proof = SelfTestResult {
        caught: 0,
        impossible: 0,
    };
    for (index, canary) in CANARIES.iter().enumerate() {
        let seen = record
            .leaks
            .keys()
            .any(|entry| entry.kind == canary.kind && entry.to.starts_with(canary.to));
        match outcomes.get(index).and_then(CanaryOutcome::read) {
            Some(CanaryOutcome::Impossible) => proof.impossible += 1,
            Some(CanaryOutcome::Refused) if seen => proof.caught += 1,
            Some(CanaryOutcome::Refused) => return Err(missed(canary.name, "was not seen")),
            Some(CanaryOutcome::Passed) if seen => {
                return Err(missed(canary.name, "was not refused"));
            }
            Some(CanaryOutcome::Passed) => {
                return Err(missed(canary.name, "was not seen, nor refused"));
            }
            None => return Err(missed(canary.name, "was not tried")),
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

/// Time limit of all planted leaks together.
const SELF_TEST_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use serde_json::json;
    use whisht_watch::CallerName;

    use super::*;
    use crate::cli::leaktest::record::LeakEntry;

    fn seen(but: usize) -> TraceRecord {
        let mut record = TraceRecord::default();
        for (index, canary) in CANARIES.iter().enumerate() {
            let leak = LeakEntry {
                kind: canary.kind,
                to: canary.to.to_owned(),
                who: CallerName::default(),
            };
            if index != but {
                record.leak(leak, Duration::ZERO, true);
            }
        }
        record
    }

    #[test]
    fn self_test_fails_if_any_leak_is_not_seen() {
        let refused = vec![json!("refused"); CANARIES.len()];
        let proof = compare(&refused, &seen(usize::MAX)).unwrap();
        assert_eq!((proof.caught, proof.impossible), (CANARIES.len(), 0));
        for missing in 0..CANARIES.len() {
            assert!(compare(&refused, &seen(missing)).is_err(), "{missing}");
        }
    }

    #[test]
    fn self_test_fails_if_any_leak_passes() {
        for index in 0..CANARIES.len() {
            let mut outcomes = vec![json!("refused"); CANARIES.len()];
            *outcomes.get_mut(index).unwrap() = json!("passed");
            assert!(compare(&outcomes, &seen(usize::MAX)).is_err(), "{index}");
        }
        assert!(compare(&[], &seen(usize::MAX)).is_err());
    }

    #[test]
    fn self_test_accepts_impossible_leak() {
        let mut outcomes = vec![json!("refused"); CANARIES.len()];
        *outcomes.get_mut(1).unwrap() = json!("impossible");
        let proof = compare(&outcomes, &seen(1)).unwrap();
        assert_eq!((proof.caught, proof.impossible), (CANARIES.len() - 1, 1));
    }
}
