//! Nodes that are locked while conversations go on.

use whisht::node::{LockRequest, MessageId, OpenedState};

use super::*;

impl Scene {
    /// Locks the state of a node, and waits until the shell would erase its key.
    fn lock(&mut self, at: usize) {
        let request = LockRequest {
            identities: Vec::new(),
            state: true,
        };
        let patience = Duration::from_secs(1);
        let locked = self.world.ask(at, Command::Lock(request), patience);
        assert!(matches!(locked, Ok(Reply::Done)), "{locked:?}");
    }

    fn unlock(&mut self, at: usize) {
        let rows = self.world.disk(at).state();
        let state = OpenedState {
            rows,
            is_stale: false,
        };
        let patience = Duration::from_secs(1);
        let opened = self.world.ask(at, Command::OpenState(state), patience);
        assert!(matches!(opened, Ok(Reply::Done)), "{opened:?}");
    }

    /// The stages of the messages that a node sends, in their order.
    fn stages(&mut self, at: usize, of: &str) -> Vec<ContactStage> {
        let of = of.to_owned();
        let reply = self.ask(at, ContactCommand::Conversation { of, after: 0 });
        let ContactReply::Conversation { messages, .. } = reply else {
            panic!("{reply:?}");
        };
        let stages = messages.into_iter().filter_map(|message| message.stage);
        stages.collect()
    }
}

#[test]
fn locked_node_refuses_to_read_and_catches_up_when_it_is_unlocked() {
    let mut scene = opened();
    scene.lock(READER);
    let refused = scene.try_write(READER, "source", "locked");
    assert_eq!(refused.unwrap_err().kind, RefusalKind::Locked);
    let commits = scene.world.disk(READER).state_commits();
    scene.write(SOURCE, "desk", "source 2", Level::Normal);
    scene.world.run(Duration::from_secs(900));
    assert_eq!(scene.reported(READER, "source 2"), 0);
    assert_eq!(scene.world.disk(READER).state_commits(), commits);

    scene.unlock(READER);
    scene.run_until(Duration::from_secs(600), |scene| {
        scene.texts(READER, "source").len() == 2
    });
    assert_eq!(scene.reported(READER, "source 2"), 1);
    scene.write(READER, "source", "reader 2", Level::Normal);
    scene.run_until(Duration::from_secs(3600), |scene| {
        scene.texts(SOURCE, "desk").len() == 2
    });
}

#[test]
fn attempt_that_began_before_the_lock_arrives_and_is_not_repeated() {
    for pause in [0, 2, 60] {
        let mut scene = opened();
        scene.write(SOURCE, "desk", "source 2", Level::Normal);
        scene.lock(SOURCE);
        // The state is opened while the attempt runs, or after its end.
        scene.world.run(Duration::from_secs(pause));
        scene.unlock(SOURCE);
        scene.run_until(Duration::from_secs(3600), |scene| {
            scene.texts(READER, "source").len() == 2
        });
        scene.world.run(Duration::from_secs(300));
        let stages = scene.stages(SOURCE, "desk");
        assert_eq!(
            stages.last(),
            Some(&ContactStage::Seen {
                attempt: 1,
                first_gossip: false
            }),
            "{pause}"
        );
        assert_eq!(scene.reported(READER, "source 2"), 1);
    }
}

#[test]
fn kill_of_a_locked_node_loses_nothing() {
    let mut scene = opened();
    scene.write(SOURCE, "desk", "source 2", Level::Normal);
    scene.lock(SOURCE);
    scene.world.kill(SOURCE);
    scene.world.restart(SOURCE).unwrap();
    scene.run_until(Duration::from_secs(3600), |scene| {
        scene.texts(READER, "source").len() == 2
    });
    assert_eq!(scene.reported(READER, "source 2"), 1);
}

/// A message of Whisper, which another component sends.
#[test]
fn message_to_a_key_that_ends_while_locked_is_not_sent_again() {
    use whisht::message::ClientSecret;
    use whisht::node::{ReaderKind, Recipient, SendRequest};

    let mut scene = Scene::new(Cover::Off);
    let to = ClientSecret::generate(&mut ChaCha20Rng::seed_from_u64(5)).public();
    let request = SendRequest {
        to: Recipient::Public(to, Topic([1, 2, 3, 4])),
        sign_as: None,
        payload: vec![7; 20].into(),
        level: Some(Level::Normal),
        life: Duration::from_secs(3_600),
        reader: ReaderKind::Whisht,
    };
    let patience = Duration::from_secs(1);
    let sent = scene.world.ask(SOURCE, Command::Send(request), patience);
    let Ok(Reply::Accepted(MessageId(number))) = sent else {
        panic!("{sent:?}");
    };
    scene.lock(SOURCE);
    scene.world.run(Duration::from_secs(600));
    scene.unlock(SOURCE);
    scene.world.run(Duration::from_secs(60));
    let outbox = scene.world.command(SOURCE, Command::Outbox).unwrap();
    let Reply::Outbox(messages) = outbox else {
        panic!("{outbox:?}");
    };
    let stages: Vec<_> = messages
        .iter()
        .map(|view| (view.id.0, view.stage.clone()))
        .collect();
    assert_eq!(stages, [(number, whisht::node::Stage::Delivered)]);
}
