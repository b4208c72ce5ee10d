//! Files handed over through simulated networks: whatever dies or stalls in between, the bytes are equal.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
#![expect(clippy::panic, reason = "a test may fail loudly")]

#[path = "transfer/failures.rs"]
mod failures;
#[path = "transfer/hostile.rs"]
mod hostile;

use std::time::Duration;

use circuits::level::Level;
use circuits::time::Instant;
use whisht::contact::address_key::AddressKey;
use whisht::node::{
    Command, ContactCommand, ContactReply, ContactSend, ContactState, ConversationStateView, Event,
    FileCommand, FileOutgoing, FileReply, FileStage, FileView, MessagePartView, NodeConfig,
    Refusal, Reply,
};
use whisht::sim::{Recorder, World, WorldConfig};
use zeroize::Zeroizing;

/// Relays, then a reader and a source without the relay role.
const RELAYS: usize = 12;
const READER: usize = RELAYS;
const SOURCE: usize = RELAYS + 1;
const NODES: usize = RELAYS + 2;
/// Bytes of a chunk.
const CHUNK: usize = 65_536;

/// A network of relays, and a conversation between a reader and a source.
struct Scene {
    world: World,
}

impl Scene {
    /// The source has written to the reader, and the reader has answered.
    fn open() -> Self {
        Self::with([1, 3, 5].map(|step| (READER + step) % RELAYS), |_| {})
    }

    /// The same with these peers of the reader, and with a change of the configuration of both ends.
    fn with(reader_peers: impl Into<Vec<usize>>, change: fn(&mut NodeConfig)) -> Self {
        let reader_peers = reader_peers.into();
        let config = WorldConfig {
            fast: true,
            ..WorldConfig::plain(Duration::from_millis(20))
        };
        let mut world = World::new(config, Box::<Recorder>::default());
        for number in 0..NODES {
            let peers = match number {
                READER => reader_peers.clone(),
                _ => [1, 3, 5].map(|step| (number + step) % RELAYS).to_vec(),
            };
            let start = Instant::from_micros(u64::try_from(number).unwrap() * 100_000);
            let relay = number < RELAYS;
            let change: fn(&mut NodeConfig) = if relay { |_| {} } else { change };
            world.add_node(relay, &peers, start, change).unwrap();
        }
        world.run(Duration::from_secs(60));
        let mut scene = Self { world };
        let seed = Zeroizing::new([7; 32]);
        let id = AddressKey::from_seed(seed.clone()).id();
        let name = "press".to_owned();
        scene.contact(READER, ContactCommand::CreateAddress { name, seed });
        let name = "desk".to_owned();
        scene.contact(SOURCE, ContactCommand::Add { id, name });
        scene.run_until(Duration::from_secs(3600), |scene| {
            let name = "desk".to_owned();
            let reply = scene.contact(SOURCE, ContactCommand::Contact(name));
            matches!(reply, ContactReply::Contact(view) if view.state == ContactState::Ready)
        });
        scene.write(SOURCE, "desk", "I have documents");
        scene.run_until(Duration::from_secs(3600), |scene| scene.request().is_some());
        let of = scene.request().unwrap();
        let name = Some("source".to_owned());
        scene.contact(READER, ContactCommand::Accept { of, name });
        scene.write(READER, "source", "send them");
        scene.run_until(Duration::from_secs(3600), |scene| {
            scene.conversation_state(SOURCE, "desk") == Some(ConversationStateView::Open)
        });
        scene
    }

    fn contact(&mut self, at: usize, command: ContactCommand) -> ContactReply {
        let patience = Duration::from_secs(1);
        match self.world.ask(at, Command::Contact(command), patience) {
            Ok(Reply::Contact(reply)) => *reply,
            other => panic!("{other:?}"),
        }
    }

    fn write(&mut self, at: usize, to: &str, text: &str) {
        let send = ContactSend {
            to: to.to_owned(),
            text: Zeroizing::new(text.to_owned()),
            attachment: None,
            level: Some(Level::Normal),
            life: None,
        };
        let reply = self.contact(at, ContactCommand::Send(send));
        assert!(matches!(reply, ContactReply::Sent(_)), "{reply:?}");
    }

    fn request(&mut self) -> Option<String> {
        let ContactReply::Conversations(all) = self.contact(READER, ContactCommand::Conversations)
        else {
            panic!("no list of conversations");
        };
        let asked = all
            .into_iter()
            .find(|view| view.state == ConversationStateView::Asked);
        asked.map(|view| view.id)
    }

    fn conversation_state(&mut self, at: usize, of: &str) -> Option<ConversationStateView> {
        let (of, after) = (of.to_owned(), 0);
        match self.contact(at, ContactCommand::Conversation { of, after }) {
            ContactReply::Conversation { conversation, .. } => Some(conversation.state),
            _ => None,
        }
    }

    /// The parts of the messages of a conversation.
    fn parts(&mut self, at: usize, of: &str) -> Vec<MessagePartView> {
        let (of, after) = (of.to_owned(), 0);
        match self.contact(at, ContactCommand::Conversation { of, after }) {
            ContactReply::Conversation { messages, .. } => messages
                .into_iter()
                .flat_map(|message| message.parts)
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    /// The guard of a node, by its number.
    fn guard(&mut self, at: usize) -> usize {
        let Ok(Reply::Relays(relays)) = self.world.command(at, Command::Relays) else {
            panic!("no list of relays");
        };
        let guard = relays.into_iter().find(|relay| relay.guard).unwrap();
        let mut numbers = 0..RELAYS;
        let is_guard = |number: &usize| hex(&self.world.addr(*number).key.id().0) == guard.id;
        numbers.find(is_guard).unwrap()
    }

    /// Number of answers with this verdict in a conversation, in both directions.
    fn verdicts(&mut self, at: usize, of: &str, verdict: &str) -> usize {
        let parts = self.parts(at, of);
        let is_it = |part: &&MessagePartView| match part {
            MessagePartView::FileAnswer { verdict: it } => format!("{it:?}") == verdict,
            _ => false,
        };
        parts.iter().filter(is_it).count()
    }

    fn try_file(&mut self, at: usize, command: FileCommand) -> Result<FileReply, Refusal> {
        let patience = Duration::from_secs(1);
        match self.world.ask(at, Command::File(command), patience)? {
            Reply::File(reply) => Ok(*reply),
            other => panic!("{other:?}"),
        }
    }

    fn file(&mut self, at: usize, command: FileCommand) -> FileReply {
        self.try_file(at, command).unwrap()
    }

    fn view(&mut self, at: usize, number: u64) -> FileView {
        match self.file(at, FileCommand::Show(number)) {
            FileReply::File(view) => view,
            other => panic!("{other:?}"),
        }
    }

    fn files(&mut self, at: usize) -> Vec<FileView> {
        match self.file(at, FileCommand::List) {
            FileReply::Files(files) => files,
            other => panic!("{other:?}"),
        }
    }

    /// The source brings in a file and offers it. Returns its number there.
    fn offer(&mut self, bytes: &[u8]) -> u64 {
        let begin = FileCommand::Begin(outgoing("desk", bytes.len()));
        let FileReply::File(view) = self.file(SOURCE, begin) else {
            panic!("the file is not begun");
        };
        assert_eq!(view.stage, FileStage::Storing);
        let file = view.number;
        for (chunk, bytes) in (0..).zip(bytes.chunks(CHUNK)) {
            let bytes = Zeroizing::new(bytes.to_vec());
            self.file(SOURCE, FileCommand::Chunk { file, chunk, bytes });
        }
        let FileReply::File(view) = self.file(SOURCE, FileCommand::End(file)) else {
            panic!("the file is not offered");
        };
        assert_eq!(view.stage, FileStage::Offered);
        file
    }

    /// Waits until the reader has the offer. Returns its number there.
    fn await_offer(&mut self) -> u64 {
        self.run_until(Duration::from_secs(3600), |scene| {
            !scene.files(READER).is_empty()
        });
        self.files(READER).pop().unwrap().number
    }

    fn accept(&mut self, number: u64) {
        let FileReply::File(view) = self.file(READER, accept_command(number)) else {
            panic!("the file is not accepted");
        };
        assert!(
            matches!(view.stage, FileStage::Meeting { .. }),
            "{:?}",
            view.stage
        );
    }

    /// The bytes of a file that has arrived at the reader.
    fn read(&mut self, number: u64) -> Vec<u8> {
        let chunks = u32::try_from(self.view(READER, number).chunks()).unwrap();
        let mut bytes = Vec::new();
        for chunk in 0..chunks {
            let file = number;
            match self.file(READER, FileCommand::Read { file, chunk }) {
                FileReply::Chunk(chunk) => bytes.extend_from_slice(&chunk.0),
                other => panic!("{other:?}"),
            }
        }
        bytes
    }

    fn is_transferring(&mut self, at: usize, number: u64) -> bool {
        let view = self.view(at, number);
        matches!(view.stage, FileStage::Transferring { .. }) && view.done > 0
    }

    fn is_complete(&mut self, at: usize, number: u64) -> bool {
        self.view(at, number).stage == FileStage::Complete
    }

    /// Accepts a file again whenever its attempts are over, until it is complete.
    #[track_caller]
    fn run_until_complete(&mut self, at_reader: u64) {
        self.run_until(Duration::from_secs(4 * 3600), |scene| {
            let view = scene.view(READER, at_reader);
            if matches!(view.stage, FileStage::Paused { .. }) {
                scene.accept(at_reader);
            }
            view.stage == FileStage::Complete
        });
    }

    #[track_caller]
    fn run_until(&mut self, patience: Duration, is: impl FnMut(&mut Self) -> bool) {
        self.run_in_steps(Duration::from_secs(20), patience, is);
    }

    #[track_caller]
    fn run_in_steps(
        &mut self,
        step: Duration,
        patience: Duration,
        mut is: impl FnMut(&mut Self) -> bool,
    ) {
        let mut waited = Duration::ZERO;
        while !is(self) {
            assert!(waited < patience, "it did not happen in {patience:?}");
            self.world.run(step);
            waited += step;
        }
    }

    fn file_events(&self, at: usize) -> Vec<FileView> {
        let events = self.world.observer::<Recorder>().unwrap().events(at).iter();
        events
            .filter_map(|(_, event)| match event {
                Event::File(view) => Some((**view).clone()),
                _ => None,
            })
            .collect()
    }
}

fn accept_command(file: u64) -> FileCommand {
    FileCommand::Accept { file, level: None }
}

fn outgoing(to: &str, size: usize) -> FileOutgoing {
    FileOutgoing {
        to: to.to_owned(),
        name: "minutes.pdf".to_owned(),
        size: u64::try_from(size).unwrap(),
        level: None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that no two chunks share.
fn document(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .collect()
}

#[test]
fn file_of_two_megabytes_arrives_with_equal_bytes_and_is_reported_in_the_next_message() {
    let mut scene = Scene::open();
    let bytes = document(2_000_001);
    let at_source = scene.offer(&bytes);
    let at_reader = scene.await_offer();
    let view = scene.view(READER, at_reader);
    assert_eq!(view.name, "minutes.pdf");
    assert_eq!(view.contact.as_deref(), Some("source"));
    assert_eq!((view.size, view.done), (2_000_001, 0));

    scene.accept(at_reader);
    scene.run_until(Duration::from_secs(3600), |scene| {
        scene.is_complete(READER, at_reader)
    });
    assert_eq!(scene.read(at_reader), bytes);
    scene.run_until(Duration::from_secs(300), |scene| {
        scene.is_complete(SOURCE, at_source)
    });
    let moving = scene.file_events(READER);
    let moving = moving.iter().filter(|view| view.rate.is_some());
    assert!(moving.count() > 1, "progress is reported");

    let is_report = |part: &MessagePartView| format!("{part:?}").contains("Received");
    assert!(!scene.parts(SOURCE, "desk").iter().any(is_report));
    scene.write(READER, "source", "thank you");
    scene.run_until(Duration::from_secs(3600), |scene| {
        scene.parts(SOURCE, "desk").iter().any(is_report)
    });
    scene.write(READER, "source", "again");
    scene.run_until(Duration::from_secs(3600), |scene| {
        format!("{:?}", scene.parts(SOURCE, "desk")).contains("again")
    });
    let reports = scene.parts(SOURCE, "desk");
    assert_eq!(reports.into_iter().filter(is_report).count(), 1);
}

#[test]
fn declined_file_is_erased_at_both_ends() {
    let mut scene = Scene::open();
    let at_source = scene.offer(&document(100_000));
    let at_reader = scene.await_offer();
    scene.file(READER, FileCommand::Decline(at_reader));
    scene.run_until(Duration::from_secs(3600), |scene| {
        scene.view(SOURCE, at_source).stage == FileStage::Declined
    });
    assert!(scene.try_file(READER, accept_command(at_reader)).is_err());
}

#[test]
fn file_is_erased_fourteen_days_after_its_last_step() {
    let mut scene = Scene::open();
    let at_source = scene.offer(&document(10));
    assert_eq!(scene.files(SOURCE).len(), 1);
    scene.world.jump_clock(13 * 86_400);
    scene.world.run(Duration::from_secs(120));
    assert_eq!(scene.files(SOURCE).len(), 1);
    scene.world.jump_clock(86_400);
    scene.world.run(Duration::from_secs(120));
    assert!(scene.files(SOURCE).is_empty());
    assert!(
        scene
            .try_file(SOURCE, FileCommand::Show(at_source))
            .is_err()
    );
}

#[test]
fn file_above_the_largest_size_of_the_node_is_refused_and_the_setting_is_named() {
    let mut scene = Scene::with([1, 3, 5], |config| config.max_file_bytes = 3 << 20);
    let largest = outgoing("desk", 3 << 20);
    assert!(scene.try_file(SOURCE, FileCommand::Price(largest)).is_ok());
    let larger = outgoing("desk", (3 << 20) + 1);
    let refused = scene
        .try_file(SOURCE, FileCommand::Begin(larger))
        .unwrap_err();
    assert!(refused.remedy.contains("contact.max-file-mb"), "{refused}");
}

/// The receiver exchanges gossip with all relays but two, and may meet at no other one. Whether an offer has
/// one of the two is chance.
#[test]
fn file_whose_relays_the_receiver_cannot_use_arrives_after_one_accept() {
    let mut scene = Scene::with((0..RELAYS - 2).collect::<Vec<_>>(), |_| {});
    let bytes = document(300_000);
    let mut offers = 0..8;
    let (at_source, at_reader) = loop {
        offers.next().unwrap();
        let at_source = scene.offer(&bytes);
        let at_reader = scene.await_offer();
        scene.accept(at_reader);
        if scene.verdicts(READER, "source", "OtherRelays") == 1 {
            break (at_source, at_reader);
        }
        scene.file(READER, FileCommand::Erase(at_reader));
        scene.file(SOURCE, FileCommand::Erase(at_source));
    };
    let accepted = scene.verdicts(READER, "source", "Accepted");
    scene.run_until(Duration::from_secs(1_200), |scene| {
        scene.is_complete(READER, at_reader) && scene.is_complete(SOURCE, at_source)
    });
    assert_eq!(scene.read(at_reader), bytes);
    let agreed = scene.verdicts(READER, "source", "Accepted") - accepted;
    assert_eq!(agreed, 1, "the source agrees once");
}

#[test]
fn file_at_level_with_cover_is_refused_with_its_time() {
    let mut scene = Scene::open();
    let mut file = outgoing("desk", 20_000_000);
    file.level = Some(Level::Dark);
    let refused = scene
        .try_file(SOURCE, FileCommand::Price(file))
        .unwrap_err();
    assert!(refused.cause.contains("24 h"), "{refused}");
    let price = scene.file(SOURCE, FileCommand::Price(outgoing("desk", 20_000_000)));
    let FileReply::Price(price) = price else {
        panic!("{price:?}");
    };
    assert_eq!(price.level, "normal");
    assert!(price.sent_bytes > 20_000_000, "{price:?}");
}
