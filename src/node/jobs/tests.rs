use circuits::dispersal::Cookie;
use circuits::ids::{Epoch, RelayId};
use circuits::rendezvous::TicketBits;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::pow::{Generations, PowGoal, PowJob};

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([3; 32])
}

fn seal(goal: PowGoal) -> Job {
    let job = PowJob::over(vec![7; 600], Generations::Modern, goal).unwrap();
    Job::ProofOfWork(Box::new(job.search(&mut rng())))
}

fn ticket() -> Job {
    let bits = TicketBits::new(17).unwrap();
    let search = TicketSearch::new(
        &mut rng(),
        &RelayId([1; 32]),
        Epoch(1),
        Cookie([2; 16]),
        bits,
    );
    Job::Ticket(Box::new(search))
}

#[test]
fn only_the_search_for_a_nonce_comes_apart() {
    assert_eq!(seal(PowGoal::Bits(20)).split(4).len(), 4);
    assert_eq!(ticket().split(4).len(), 1);
}

#[test]
fn a_job_without_a_limit_has_nothing_to_show_for_its_time() {
    let limit = Duration::from_secs(2);
    assert_eq!(seal(PowGoal::BestIn(limit)).limit(), Some(limit));
    for job in [seal(PowGoal::Bits(20)), ticket()] {
        assert_eq!(job.limit(), None);
        assert!(Job::finish(vec![job]).is_none());
    }
    assert!(Job::finish(Vec::new()).is_none());
}

#[test]
fn the_parts_of_a_job_answer_with_the_best_of_their_nonces() {
    let mut parts = seal(PowGoal::BestIn(Duration::from_secs(2))).split(3);
    for part in &mut parts {
        assert!(part.step().is_none());
    }
    let each: Vec<u64> = parts
        .iter()
        .map(|part| match part {
            Job::ProofOfWork(search) => search.finish().unwrap(),
            _ => panic!("a part of another kind"),
        })
        .collect();
    let Some(JobResult::Nonce(Ok(nonce))) = Job::finish(parts) else {
        panic!("nothing was found");
    };
    assert!(each.contains(&nonce));
}

#[test]
fn an_unreachable_target_ends_with_the_reason() {
    let mut job = seal(PowGoal::BitsWithin(300, Duration::from_secs(2)));
    assert!(job.step().is_none() && job.tried() > Some(0));
    let Some(JobResult::Nonce(Err(late))) = Job::finish(vec![job]) else {
        panic!("a hash of zeros");
    };
    assert_eq!(late.seconds, 2);
}
