//! Rounds of a driver that nothing runs, so each test decides what waits for it.

use circuits::secret::Secret;
use circuits::time::Instant;

use super::*;
use crate::config::{Config, Settings};
use crate::link::LinkKey;

/// A driver without peers, and the sender of requests to it.
fn idle() -> (Driver, mpsc::Sender<DriverRequest>) {
    let settings = Settings {
        profile: Some(Profile::Local),
        network: Some("rounds".parse().unwrap()),
        ..Settings::default()
    };
    let config = Config::build(settings).unwrap().node;
    let keys = NodeKeys {
        link: LinkKey::from_bytes(&mut [1; 32]).unwrap(),
        guard_seed: Secret::init_with(|seed| seed.fill(1)),
        mail_password: None,
    };
    build(Setup {
        config,
        keys,
        restored: Restored::default(),
        storage: Storage::Memory,
        transport: LinkTransport::direct(),
        listeners: Vec::new(),
        datagrams: Vec::new(),
        workers: Arc::new(Workers::start(1).unwrap()),
        archive: None,
    })
    .unwrap()
}

/// Queues a command; its reply comes through the receiver.
fn ask(
    requests: &mpsc::Sender<DriverRequest>,
    command: Command,
) -> oneshot::Receiver<Result<Reply, Refusal>> {
    let (answer, reply) = oneshot::channel();
    let request = DriverRequest::Command(ClientId::OWN, command, answer);
    requests.try_send(request).unwrap();
    reply
}

#[tokio::test]
async fn command_is_answered_in_one_round_of_a_flood_of_completions_and_network_events() {
    let (mut driver, requests) = idle();
    for _ in 0..10_000 {
        let flushed = Completion::Flushed(LinkId(9), 1);
        driver.effects.to_completions.send(flushed).unwrap();
    }
    for _ in 0..NET_QUEUE {
        let received = NetEvent::Received(LinkId(9), vec![0; 100]);
        driver.effects.to_net.try_send(received).unwrap();
    }
    let mut reply = ask(&requests, Command::Peers);
    assert!(driver.serve_round().is_continue());
    assert!(matches!(reply.try_recv(), Ok(Ok(Reply::Peers(_)))));
    assert!(driver.completions.len() >= 10_000 - COMPLETIONS_PER_ROUND);
    assert_eq!(driver.net.len(), NET_QUEUE - NET_EVENTS_PER_ROUND);
}

#[tokio::test]
async fn timer_that_is_always_due_starves_neither_commands_nor_peers() {
    let (mut driver, requests) = idle();
    for round in 1..=5 {
        driver.effects.due = Some(Instant::ZERO);
        let received = NetEvent::Received(LinkId(9), vec![0; 100]);
        driver.effects.to_net.try_send(received).unwrap();
        let mut reply = ask(&requests, Command::Status);
        assert!(driver.serve_round().is_continue());
        let Ok(Ok(Reply::Status(status))) = reply.try_recv() else {
            panic!("no answer in round {round}");
        };
        assert!(driver.net.is_empty());
        let turns = status.turns.unwrap();
        assert!(turns.count >= round && turns.longest_us >= turns.longest_last_hour_us);
    }
}

#[tokio::test]
async fn shutdown_in_the_queue_ends_the_rounds() {
    let (mut driver, requests) = idle();
    requests.try_send(DriverRequest::Shutdown).unwrap();
    assert!(driver.serve_round().is_break());
    drop(requests);
    assert!(driver.serve_round().is_break(), "no handle is left");
}
