//! Contact by hash through simulated networks: an address becomes a conversation, whatever fails in between.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
#![expect(clippy::panic, reason = "a test may fail loudly")]
#![expect(clippy::indexing_slicing, reason = "a test may fail loudly")]

#[path = "contact/attacks.rs"]
mod attacks;
#[path = "contact/glare.rs"]
mod glare;
#[path = "contact/identities.rs"]
mod identities;
#[path = "contact/kills.rs"]
mod kills;
#[path = "contact/letters.rs"]
mod letters;
#[path = "contact/locking.rs"]
mod locking;

use std::time::Duration;

use circuits::level::Level;
use circuits::time::Instant;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use whisht::bloom::Bloom;
use whisht::contact::address_key::AddressKey;
use whisht::envelope::Topic;
use whisht::node::{
    Command, ContactCommand, ContactEvent, ContactReply, ContactSend, ContactStage, ContactState,
    ConversationStateView, Cover, Event, MessageDirection, MessagePartView, NodeConfig, Refusal,
    RefusalKind, Reply,
};
use whisht::sim::{Recorder, World, WorldConfig};
use zeroize::Zeroizing;

/// Relays, then a reader and a source without the relay role.
const RELAYS: usize = 12;
const READER: usize = RELAYS;
const SOURCE: usize = RELAYS + 1;
const NODES: usize = RELAYS + 2;

/// A network of relays, a reader with the address `press`, and a source that knows the address.
struct Scene {
    world: World,
}

impl Scene {
    fn new(cover: Cover) -> Self {
        let config = WorldConfig {
            fast: true,
            ..WorldConfig::plain(Duration::from_millis(20))
        };
        let mut world = World::new(config, Box::<Recorder>::default());
        for number in 0..NODES {
            let peers: Vec<usize> = [1, 3, 5].map(|step| (number + step) % RELAYS).to_vec();
            let start = Instant::from_micros(u64::try_from(number).unwrap() * 100_000);
            let change = |config: &mut NodeConfig| {
                if number >= RELAYS {
                    config.cover = cover;
                }
            };
            let relay = number < RELAYS;
            world.add_node(relay, &peers, start, change).unwrap();
        }
        world.run(Duration::from_secs(60));
        Self { world }
    }

    /// The reader has an address, and the source has found its card.
    fn with_card(cover: Cover) -> Self {
        let mut scene = Self::new(cover);
        let seed = Zeroizing::new([7; 32]);
        let id = AddressKey::from_seed(seed.clone()).id();
        let name = "press".to_owned();
        scene.ask(READER, ContactCommand::CreateAddress { name, seed });
        let name = "desk".to_owned();
        scene.ask(SOURCE, ContactCommand::Add { id, name });
        scene.run_until(Duration::from_secs(3600), |scene| {
            scene.contact_state(SOURCE, "desk") == ContactState::Ready
        });
        scene
    }

    fn ask(&mut self, at: usize, command: ContactCommand) -> ContactReply {
        let patience = Duration::from_secs(1);
        match self.world.ask(at, Command::Contact(command), patience) {
            Ok(Reply::Contact(reply)) => *reply,
            other => panic!("{other:?}"),
        }
    }

    fn write(&mut self, at: usize, to: &str, text: &str, level: Level) {
        let send = message(to, text, level);
        let reply = self.ask(at, ContactCommand::Send(send));
        assert!(matches!(reply, ContactReply::Sent(_)), "{reply:?}");
    }

    fn try_write(&mut self, at: usize, to: &str, text: &str) -> Result<Reply, Refusal> {
        let send = ContactCommand::Send(message(to, text, Level::Normal));
        let patience = Duration::from_secs(1);
        self.world.ask(at, Command::Contact(send), patience)
    }

    fn contact_state(&mut self, at: usize, name: &str) -> ContactState {
        match self.ask(at, ContactCommand::Contact(name.to_owned())) {
            ContactReply::Contact(view) => view.state,
            other => panic!("{other:?}"),
        }
    }

    /// The texts that came in a conversation, in the order of their numbers.
    fn texts(&mut self, at: usize, of: &str) -> Vec<(u64, String)> {
        self.texts_of(at, of, MessageDirection::In)
    }

    /// The texts that a node wrote in a conversation, also those that have not left yet.
    fn own_texts(&mut self, at: usize, of: &str) -> Vec<String> {
        let own = self.texts_of(at, of, MessageDirection::Out);
        own.into_iter().map(|(_, text)| text).collect()
    }

    fn texts_of(&mut self, at: usize, of: &str, direction: MessageDirection) -> Vec<(u64, String)> {
        let after = 0;
        let of = of.to_owned();
        let reply = self.world.ask(
            at,
            Command::Contact(ContactCommand::Conversation { of, after }),
            Duration::from_secs(1),
        );
        let Ok(Reply::Contact(reply)) = reply else {
            return Vec::new();
        };
        let ContactReply::Conversation { messages, .. } = *reply else {
            panic!("{reply:?}");
        };
        let wanted = messages
            .into_iter()
            .filter(|message| message.direction == direction);
        let mut texts: Vec<_> = wanted
            .flat_map(|message| {
                let number = message.number;
                message
                    .parts
                    .into_iter()
                    .filter_map(move |part| match part {
                        MessagePartView::Text { text } => Some((number, text)),
                        _ => None,
                    })
            })
            .collect();
        texts.sort();
        texts
    }

    /// The requests of a node.
    fn requests(&mut self, at: usize) -> Vec<String> {
        let ContactReply::Conversations(all) = self.ask(at, ContactCommand::Conversations) else {
            panic!("no list of conversations");
        };
        let asked = all
            .into_iter()
            .filter(|view| view.state == ConversationStateView::Asked);
        asked.map(|view| view.id).collect()
    }

    fn accept(&mut self) {
        self.run_until(Duration::from_secs(3600), |scene| {
            !scene.requests(READER).is_empty()
        });
        let of = self.requests(READER).pop().unwrap();
        let name = Some("source".to_owned());
        let reply = self.ask(READER, ContactCommand::Accept { of, name });
        assert!(
            matches!(reply, ContactReply::Conversation { .. }),
            "{reply:?}"
        );
    }

    #[track_caller]
    fn run_until(&mut self, patience: Duration, mut is: impl FnMut(&mut Self) -> bool) {
        let step = Duration::from_secs(20);
        let mut waited = Duration::ZERO;
        while !is(self) {
            assert!(waited < patience, "it did not happen in {patience:?}");
            self.world.run(step);
            waited += step;
        }
    }

    /// Lets time pass, in which the power of either end fails now and then.
    fn run_with_failures(&mut self, rng: &mut ChaCha20Rng, mut is: impl FnMut(&mut Self) -> bool) {
        let mut steps = 0;
        while !is(self) {
            steps += 1;
            assert!(steps < 400, "it did not happen with failures");
            let at = if rng.next_u32().is_multiple_of(2) {
                SOURCE
            } else {
                READER
            };
            if rng.next_u32().is_multiple_of(6) {
                let commits = u64::from(rng.next_u32() % 4);
                self.world.disk(at).hang_after(commits);
                self.world.run(Duration::from_secs(20));
                self.world.kill(at);
                self.world.restart(at).unwrap();
            }
            self.world.run(Duration::from_secs(20));
        }
    }

    /// How often each text was reported to the user of a node.
    fn reported(&self, at: usize, text: &str) -> usize {
        let events = self.world.observer::<Recorder>().unwrap().events(at).iter();
        events
            .filter(|(_, event)| {
                match event {
                Event::Contact(event) => match &**event {
                    ContactEvent::Message(message) => message.parts.iter().any(|part| {
                        matches!(part, MessagePartView::Text { text: other } if other == text)
                    }),
                    _ => false,
                },
                _ => false,
            }
            })
            .count()
    }

    fn answered(&self, at: usize) -> usize {
        let events = self.world.observer::<Recorder>().unwrap().events(at).iter();
        events
            .filter(|(_, event)| match event {
                Event::Contact(event) => {
                    matches!(&**event, ContactEvent::Outgoing(_, ContactStage::Answered))
                }
                _ => false,
            })
            .count()
    }
}

fn message(to: &str, text: &str, level: Level) -> ContactSend {
    ContactSend {
        to: to.to_owned(),
        text: Zeroizing::new(text.to_owned()),
        attachment: None,
        level: Some(level),
        life: None,
    }
}

/// Five messages each way at a level, one after the other.
fn exchange(level: Level, cover: Cover) -> Scene {
    let mut scene = Scene::with_card(cover);
    scene.write(SOURCE, "desk", "source 1", level);
    scene.accept();
    for number in 1..=5 {
        scene.write(READER, "source", &format!("reader {number}"), level);
        scene.run_until(Duration::from_secs(3600), |scene| {
            scene.texts(SOURCE, "desk").len() == number
        });
        if number < 5 {
            let next = number + 1;
            scene.write(SOURCE, "desk", &format!("source {next}"), level);
            scene.run_until(Duration::from_secs(3600), |scene| {
                scene.texts(READER, "source").len() == next
            });
        }
    }
    scene
}

fn check_exchange(scene: &mut Scene) {
    for (at, of, other) in [(SOURCE, "desk", "reader"), (READER, "source", "source")] {
        let expected: Vec<_> = (1..=5)
            .map(|number| (number, format!("{other} {number}")))
            .collect();
        assert_eq!(scene.texts(at, of), expected);
        for number in 1..=5 {
            assert_eq!(scene.reported(at, &format!("{other} {number}")), 1);
        }
    }
}

#[test]
fn five_messages_each_way_at_normal_arrive_once_and_in_order() {
    let mut scene = exchange(Level::Normal, Cover::Off);
    check_exchange(&mut scene);
    assert_eq!(scene.answered(SOURCE), 5);
    assert!(scene.answered(READER) >= 4);
}

#[test]
fn five_messages_each_way_at_dark_arrive_once_and_in_order() {
    let mut scene = exchange(Level::Dark, Cover::Full);
    check_exchange(&mut scene);
    assert_eq!(scene.answered(SOURCE), 5);
}

/// Each power failure comes after a random number of commits, and whatever was to become durable then is lost.
#[test]
fn power_failures_at_random_commits_lose_no_message_and_repeat_none() {
    for seed in 0..KILL_RUNS {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut scene = Scene::with_card(Cover::Off);
        let mut counts = [0_usize; 2];
        scene.write(SOURCE, "desk", "source 1", Level::Normal);
        scene.run_with_failures(&mut rng, |scene| !scene.requests(READER).is_empty());
        scene.accept();
        while counts != [2, 2] {
            for (index, (at, to, name)) in SIDES.into_iter().enumerate() {
                let written = counts[index] + 1;
                if written <= 2 && !(index == 0 && written == 1) {
                    let text = format!("{name} {written}");
                    scene.write(at, to, &text, Level::Normal);
                }
                counts[index] = written.min(2);
            }
            scene.run_with_failures(&mut rng, |scene| {
                scene.texts(READER, "source").len() >= counts[0]
                    && scene.texts(SOURCE, "desk").len() >= counts[1]
            });
        }
        scene.world.run(Duration::from_secs(600));
        for (at, of, other) in [(SOURCE, "desk", "reader"), (READER, "source", "source")] {
            let expected: Vec<_> = (1..=2)
                .map(|number| (number, format!("{other} {number}")))
                .collect();
            assert_eq!(scene.texts(at, of), expected, "seed {seed}");
        }
    }
}

/// Runs of the test with power failures.
const KILL_RUNS: u64 = 1;

const SIDES: [(usize, &str, &str); 2] = [(SOURCE, "desk", "source"), (READER, "source", "reader")];

#[test]
fn state_restored_from_backup_is_stale_and_renewal_proves_the_old_conversation() {
    let mut scene = opened();
    let backup = scene.world.disk(SOURCE).back_up_state();
    scene.write(SOURCE, "desk", "source 2", Level::Normal);
    scene.run_until(Duration::from_secs(3600), |scene| {
        scene.texts(READER, "source").len() == 2
    });
    scene.world.kill(SOURCE);
    scene.world.disk(SOURCE).put_back_state(backup, true);
    scene.world.restart(SOURCE).unwrap();
    scene.world.run(Duration::from_secs(120));

    let refused = scene.try_write(SOURCE, "desk", "on an old key");
    assert_eq!(refused.unwrap_err().kind, RefusalKind::Policy);
    let send = message("desk", "it is me", Level::Normal);
    let of = "desk".to_owned();
    let reply = scene.ask(SOURCE, ContactCommand::Renew { of, send });
    assert!(matches!(reply, ContactReply::Sent(_)), "{reply:?}");
    scene.run_until(Duration::from_secs(3600), |scene| {
        !scene.requests(READER).is_empty()
    });
    let of = scene.requests(READER).pop().unwrap();
    let ContactReply::Conversation { conversation, .. } =
        scene.ask(READER, ContactCommand::Accept { of, name: None })
    else {
        panic!("the request is not accepted");
    };
    assert_eq!(conversation.contact.as_deref(), Some("source"));
    assert!(conversation.restored_day.is_some());
    scene.write(READER, "source", "compare the words", Level::Normal);
    scene.run_until(Duration::from_secs(3600), |scene| {
        let texts = scene.texts(SOURCE, "desk");
        texts.iter().any(|(_, text)| text == "compare the words")
    });
}

#[test]
fn node_with_a_narrow_filter_refuses_to_write() {
    let mut scene = Scene::with_card(Cover::Off);
    let narrow = Command::SetBloom(Bloom::assigned(Topic([1; 4])));
    scene.world.command(SOURCE, narrow).unwrap();
    let refused = scene.try_write(SOURCE, "desk", "unheard");
    assert_eq!(refused.unwrap_err().kind, RefusalKind::Policy);
    let full = Command::SetBloom(Bloom::FULL);
    scene.world.command(SOURCE, full).unwrap();
    assert!(scene.try_write(SOURCE, "desk", "heard").is_ok());
}

/// One message from the source and one from the reader have arrived.
fn opened() -> Scene {
    let mut scene = Scene::with_card(Cover::Off);
    scene.write(SOURCE, "desk", "source 1", Level::Normal);
    scene.accept();
    scene.write(READER, "source", "reader 1", Level::Normal);
    scene.run_until(Duration::from_secs(3600), |scene| {
        scene.texts(SOURCE, "desk").len() == 1
    });
    scene
}
