use std::sync::mpsc;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::pow::{Generations, PowGoal, PowJob};

/// Long enough for the busiest machine; nothing is measured against it.
const TEST_TIMEOUT: Duration = Duration::from_secs(120);

fn seal(goal: PowGoal) -> Job {
    let job = PowJob::over(vec![7; 600], Generations::Modern, goal).unwrap();
    Job::ProofOfWork(Box::new(job.search(&mut ChaCha20Rng::from_seed([1; 32]))))
}

/// Runs a job; its answer comes through the channel.
fn run(workers: &Workers, job: Job) -> (CancelOnDrop, mpsc::Receiver<Option<JobResult>>) {
    let (report, answer) = mpsc::channel();
    let cancel = workers.run(job, |_| {}, move |done| report.send(done).unwrap());
    (cancel, answer)
}

fn wait(answer: &mpsc::Receiver<Option<JobResult>>) -> Option<JobResult> {
    answer.recv_timeout(TEST_TIMEOUT).unwrap()
}

/// Waits until no part of a job is left in any thread.
fn gone(cancel: &CancelOnDrop) {
    while Arc::strong_count(&cancel.0) > 1 {
        thread::yield_now();
    }
}

#[test]
fn first_hit_answers_and_stops_other_parts() {
    let workers = Workers::start(3).unwrap();
    let (cancel, answer) = run(&workers, seal(PowGoal::Bits(8)));
    assert!(matches!(wait(&answer), Some(JobResult::Nonce(Ok(_)))));
    gone(&cancel);
}

#[test]
fn cancelled_job_reports_once() {
    let workers = Workers::start(2).unwrap();
    let (cancel, answer) = run(&workers, seal(PowGoal::Bits(56)));
    cancel.0.stop();
    assert!(wait(&answer).is_none());
    gone(&cancel);
}

#[test]
fn missed_target_is_reported() {
    let workers = Workers::start(2).unwrap();
    for limit in [Duration::ZERO, Duration::from_millis(30)] {
        let (_cancel, answer) = run(&workers, seal(PowGoal::BitsWithin(200, limit)));
        assert!(matches!(wait(&answer), Some(JobResult::Nonce(Err(_)))));
    }
}

#[test]
fn best_nonce_of_all_threads_is_reported() {
    let workers = Workers::start(3).unwrap();
    for limit in [Duration::ZERO, Duration::from_millis(30)] {
        let (_cancel, answer) = run(&workers, seal(PowGoal::BestIn(limit)));
        assert!(matches!(wait(&answer), Some(JobResult::Nonce(Ok(_)))));
    }
}

#[test]
fn short_job_does_not_wait_for_long_job() {
    let workers = Workers::start(1).unwrap();
    let (_long, never) = run(&workers, seal(PowGoal::Bits(56)));
    let (_short, answer) = run(&workers, seal(PowGoal::Bits(4)));
    assert!(matches!(wait(&answer), Some(JobResult::Nonce(Ok(_)))));
    assert!(never.try_recv().is_err());
}

#[test]
fn long_search_reports_progress() {
    let workers = Workers::start(2).unwrap();
    let (tell, told) = mpsc::channel();
    let progress = move |tried| {
        // The second call is the last with a receiver.
        let _ = tell.send(tried);
    };
    let _cancel = workers.run(seal(PowGoal::Bits(56)), progress, |_| {});
    let first: u64 = told.recv_timeout(TEST_TIMEOUT).unwrap();
    let second = told.recv_timeout(TEST_TIMEOUT).unwrap();
    assert!(0 < first && first < second);
}

#[test]
fn hash_rate_reaches_early_and_late_listeners() {
    let workers = Workers::start(2).unwrap();
    for _ in 0..2 {
        let (tell, told) = mpsc::channel();
        workers.when_measured(move |rate| tell.send(rate).unwrap());
        let rate = told.recv_timeout(TEST_TIMEOUT).unwrap();
        assert!(rate.is_finite() && rate > 0.0);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn search_threads_have_lowest_priority() {
    let workers = Workers::start(2).unwrap();
    let (tell, told) = mpsc::channel();
    let priority = || rustix::process::getpriority_process(Some(rustix::thread::gettid()));
    let report = move |_| tell.send(priority()).unwrap();
    let _cancel = workers.run(seal(PowGoal::Bits(1)), |_| {}, report);
    assert_eq!(
        told.recv_timeout(TEST_TIMEOUT).unwrap(),
        Ok(LOWEST_PRIORITY)
    );
    assert!(priority().unwrap() < LOWEST_PRIORITY);
}
