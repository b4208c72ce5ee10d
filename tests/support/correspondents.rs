//! A reader and a source in a network of relays, who have exchanged messages.

use std::time::Duration;

use circuits::level::Level;
use circuits::time::Instant;
use whisht::contact::address_key::AddressKey;
use whisht::node::{
    Command, ContactCommand, ContactReply, ContactSend, ContactState, ConversationStateView,
    MessagePartView, NodeConfig, Reply,
};
use whisht::sim::{Observer, World, WorldConfig};
use zeroize::Zeroizing;

/// Relays, then a reader and a source without the relay role.
pub(crate) const RELAYS: usize = 12;
pub(crate) const READER: usize = RELAYS;
pub(crate) const SOURCE: usize = RELAYS + 1;
const NODES: usize = RELAYS + 2;
/// The longest wait for a message in simulated time.
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);

/// A network of relays, and a conversation between a reader and a source.
pub(crate) struct Correspondents {
    pub(crate) world: World,
}

impl Correspondents {
    /// The source has written to the reader, and the reader has answered. The reader has these peers, and the
    /// configuration of both is changed.
    pub(crate) fn meet(
        observer: Box<dyn Observer>,
        reader_peers: &[usize],
        change: fn(&mut NodeConfig),
    ) -> Self {
        let config = WorldConfig {
            fast: true,
            ..WorldConfig::plain(Duration::from_millis(20))
        };
        let mut world = World::new(config, observer);
        for number in 0..NODES {
            let peers = match number {
                READER => reader_peers.to_vec(),
                _ => peers_of(number),
            };
            let start = Instant::from_micros(u64::try_from(number).unwrap() * 100_000);
            let relay = number < RELAYS;
            let change: fn(&mut NodeConfig) = if relay { |_| {} } else { change };
            world.add_node(relay, &peers, start, change).unwrap();
        }
        world.run(Duration::from_secs(60));
        let mut pair = Self { world };
        let seed = Zeroizing::new([7; 32]);
        let id = AddressKey::from_seed(seed.clone()).id();
        let name = "press".to_owned();
        pair.contact(READER, ContactCommand::CreateAddress { name, seed });
        let name = "desk".to_owned();
        pair.contact(SOURCE, ContactCommand::Add { id, name });
        pair.wait_until(|pair| {
            let reply = pair.contact(SOURCE, ContactCommand::Contact("desk".to_owned()));
            matches!(reply, ContactReply::Contact(view) if view.state == ContactState::Ready)
        });
        pair.write(SOURCE, "desk", "I have documents");
        pair.wait_until(|pair| pair.request().is_some());
        let of = pair.request().unwrap();
        let name = Some("source".to_owned());
        pair.contact(READER, ContactCommand::Accept { of, name });
        pair.write(READER, "source", "send them");
        pair.wait_until(|pair| pair.is_open(SOURCE, "desk"));
        pair
    }

    pub(crate) fn contact(&mut self, at: usize, command: ContactCommand) -> ContactReply {
        let patience = Duration::from_secs(1);
        match self.world.ask(at, Command::Contact(command), patience) {
            Ok(Reply::Contact(reply)) => *reply,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn write(&mut self, at: usize, to: &str, text: &str) {
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

    /// Whether both sides have written in a conversation, as far as this one knows.
    pub(crate) fn is_open(&mut self, at: usize, of: &str) -> bool {
        let (of, after) = (of.to_owned(), 0);
        let reply = self.contact(at, ContactCommand::Conversation { of, after });
        let ContactReply::Conversation { conversation, .. } = reply else {
            return false;
        };
        conversation.state == ConversationStateView::Open
    }

    /// The parts of the messages of a conversation.
    pub(crate) fn parts(&mut self, at: usize, of: &str) -> Vec<MessagePartView> {
        let (of, after) = (of.to_owned(), 0);
        match self.contact(at, ContactCommand::Conversation { of, after }) {
            ContactReply::Conversation { messages, .. } => messages
                .into_iter()
                .flat_map(|message| message.parts)
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn wait_until(&mut self, mut is: impl FnMut(&mut Self) -> bool) {
        let (step, mut waited) = (Duration::from_secs(20), Duration::ZERO);
        while !is(self) {
            assert!(waited < HOUR, "it did not happen in {HOUR:?}");
            self.world.run(step);
            waited += step;
        }
    }
}

/// The peers of a node that the test says nothing about.
pub(crate) fn peers_of(number: usize) -> Vec<usize> {
    [1, 3, 5].map(|step| (number + step) % RELAYS).to_vec()
}
