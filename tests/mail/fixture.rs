//! A mail server, a writer, and a reader who was offline.

use std::time::Duration;

use circuits::level::Level;
use circuits::secret::Secret;
use circuits::time::UnixSecs;
use whisht::envelope::Topic;
use whisht::message::{ClientSecret, SymKey};
use whisht::node::{
    Command, Event, FetchEnd, FetchRequest, FetchStage, FetchView, Identity, InboxQuery,
    MailService, MailSource, MessageView, Recipient, Refusal, Reply, SendRequest,
};

use crate::sim::World;

/// The server's number.
pub(crate) const SERVER: usize = 0;
/// A node that is not a mail server.
pub(crate) const WRITER: usize = 1;

/// The key of the identity `desk`.
pub(crate) fn desk() -> ClientSecret {
    ClientSecret::from_bytes(&Secret::init_with(|key| key.fill(0x77))).unwrap()
}

/// A server and a writer that are peers.
pub(crate) fn world() -> World {
    world_with(None)
}

/// The same, and the server has a password.
pub(crate) fn world_with(password: Option<[u8; 32]>) -> World {
    let mut world = World::new(Duration::from_millis(5));
    world.mail_password = password;
    world.add_with(false, &[], |config| {
        config.mail = Some(MailService::default());
    });
    world.add(false, &[SERVER]);
    world.run(Duration::from_secs(3));
    world
}

/// The writer sends a message to `desk` at level `open`.
pub(crate) fn write(world: &mut World, text: &str) {
    let request = SendRequest {
        to: Recipient::Public(desk().public(), TOPIC),
        sign_as: None,
        payload: text.as_bytes().to_vec().into(),
        level: Some(Level::Open),
        life: Duration::from_secs(600),
        reader: whisht::node::ReaderKind::default(),
    };
    let sent = world.command(WRITER, Command::Send(request));
    assert!(matches!(sent, Ok(Reply::Accepted(_))), "{sent:?}");
    world.run(Duration::from_secs(10));
}

/// Advances time until all envelopes have expired and left the pools.
pub(crate) fn forget(world: &mut World) {
    world.jump_clock(2 * 3_600);
    world.run(Duration::from_secs(5));
    assert_eq!(world.status(SERVER).pool_envelopes, 0);
}

/// Starts the reader, with the identity `desk` and without known peers.
pub(crate) fn reader(world: &mut World) -> usize {
    let reader = world.add(false, &[]);
    let identity = Identity::KeyPair(desk());
    let added = world.command(reader, Command::AddIdentity("desk".to_owned(), identity));
    assert!(matches!(added, Ok(Reply::Done)), "{added:?}");
    reader
}

/// The request of a reader who was offline for a day.
pub(crate) fn a_day(world: &World) -> FetchRequest {
    FetchRequest {
        from: Some(MailSource::At(world.addr(SERVER))),
        since: UnixSecs(world.clock().unix.0 - 86_400),
        until: None,
        topics: Vec::new(),
        narrow: false,
        password: world.mail_password.map(key),
    }
}

pub(crate) fn key(bytes: [u8; 32]) -> SymKey {
    SymKey::new(Secret::init_with(|own| *own = bytes)).unwrap()
}

/// Starts to fetch.
pub(crate) fn begin(
    world: &mut World,
    reader: usize,
    request: FetchRequest,
) -> Result<FetchView, Refusal> {
    match world.command(reader, Command::FetchMail(request))? {
        Reply::Fetch(view) => Ok(view),
        other => panic!("{other:?}"),
    }
}

/// The result of a node's last exchange, once it has ended.
pub(crate) fn ended(world: &World, reader: usize) -> Option<FetchStage> {
    let mut events = world.events(reader).iter().rev();
    let last = events.find_map(|(_, event)| match event {
        Event::Fetch(_, stage) => Some(stage.clone()),
        _ => None,
    });
    last.filter(|stage| matches!(stage, FetchStage::Ended { .. }))
}

/// Fetches and waits for the end: the result, and the numbers of envelopes and messages.
pub(crate) fn fetch(
    world: &mut World,
    reader: usize,
    request: FetchRequest,
) -> (FetchEnd, u32, u32) {
    begin(world, reader, request).unwrap();
    let over = world.run_until(Duration::from_secs(900), |world| {
        ended(world, reader).is_some()
    });
    assert!(over, "the exchange does not end");
    match ended(world, reader) {
        Some(FetchStage::Ended {
            end,
            envelopes,
            messages,
            ..
        }) => (end, envelopes, messages),
        other => panic!("{other:?}"),
    }
}

/// The messages that a node received.
pub(crate) fn inbox(world: &mut World, reader: usize) -> Vec<MessageView> {
    match world.command(reader, Command::Inbox(InboxQuery::All)) {
        Ok(Reply::Inbox(messages)) => messages,
        other => panic!("{other:?}"),
    }
}

/// The topic of messages to `desk`.
pub(crate) const TOPIC: Topic = Topic([0xde, 0x5c, 0x00, 0x07]);
