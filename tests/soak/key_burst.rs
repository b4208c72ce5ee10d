//! A burst of envelopes against a node with many keys.
//!
//! Each envelope begins with a point of the curve, so each key of the node costs it a whole agreement.
//! The node must answer its owner, accept connections and keep its links meanwhile: the trials run
//! beside it.

use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::json;
use tokio::time::{Instant, sleep};
use whisht::gossip::packet::{code, outgoing};
use whisht::link::Capability;

use crate::attackers::Attacker;
use crate::connection::PeerConnection;
use crate::envelope_attacks::shh;
use crate::testbed::{TargetNode, Testbed};

/// What the owner and the peers of the node met during a burst.
#[derive(Debug)]
pub(crate) struct BurstReport {
    /// Time of the slowest of many answers to the owner.
    pub(crate) slowest_answer: Duration,
    /// Median time of an answer.
    pub(crate) median_answer: Duration,
    /// Handshakes of new peers: completed, and tried.
    pub(crate) handshakes: (usize, usize),
    /// Fewest peers of the node at any time.
    pub(crate) fewest_peers: u64,
    /// Processor time of the longest turn.
    pub(crate) longest_turn: Duration,
    /// Envelopes that waited for trial decryption at most.
    pub(crate) most_untried: u64,
}

/// Sends so many envelopes over one link, and observes the node for `time`.
pub(crate) async fn burst(testbed: &Testbed, envelopes: usize, time: Duration) -> BurstReport {
    let target = testbed.target();
    let sender = tokio::spawn(send(Arc::clone(&target), envelopes));
    let begun = Instant::now();
    let mut client = testbed.client().await;
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let mut answers = Vec::new();
    let mut report = BurstReport {
        slowest_answer: Duration::ZERO,
        median_answer: Duration::ZERO,
        handshakes: (0, 0),
        fewest_peers: u64::MAX,
        longest_turn: Duration::ZERO,
        most_untried: 0,
    };
    while begun.elapsed() < time {
        let asked = Instant::now();
        let status = client.call("whisht_status", json!([])).await.unwrap();
        answers.push(asked.elapsed());
        report.fewest_peers = report.fewest_peers.min(status["peers"].as_u64().unwrap());
        let turn = status["turns"]["longest_us"].as_u64().unwrap();
        report.longest_turn = Duration::from_micros(turn);
        let untried = status["untried"].as_u64().unwrap();
        report.most_untried = report.most_untried.max(untried);
        if answers.len() % 20 == 0 {
            report.handshakes.1 += 1;
            let new = PeerConnection::open(&target, &mut rng, &[Capability::SHH_6]).await;
            report.handshakes.0 += usize::from(new.is_ok());
        }
        sleep(Duration::from_millis(50)).await;
    }
    sender.await.unwrap();
    answers.sort();
    report.median_answer = answers[answers.len() / 2];
    report.slowest_answer = *answers.last().unwrap();
    report
}

async fn send(target: Arc<TargetNode>, envelopes: usize) {
    let mut attacker = Attacker::new(Arc::clone(&target), 6, 0);
    let mut point = vec![4];
    point.extend_from_slice(&target.key.0);
    let burst: Vec<_> = (0..envelopes)
        .map(|_| attacker.envelope_with_data_start(&point, DATA, TTL))
        .collect();
    let mut connection = attacker.peer().await.unwrap();
    for some in burst.chunks(50) {
        let packet = outgoing::messages(some);
        shh(&mut connection, code::MESSAGES, packet).await.unwrap();
    }
    connection.drain_for(Duration::from_secs(60)).await;
}

/// The shortest data that a key pair is tried on, and a little.
const DATA: usize = 131;
/// A lifetime that outlasts the test.
const TTL: u32 = 120;
