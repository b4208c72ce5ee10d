//! First messages by attackers: replays, junk, messages for another person, and work that was not done.

use whisht::contact::card::file;
use whisht::contact::conversation::Conversation;
use whisht::contact::first_contact::{FirstBox, FirstMode, FirstTicket, FirstTicketSearch};
use whisht::contact::id::ContactId;
use whisht::contact::key_block::KeyBlock;
use whisht::contact::outer::{EnvelopeSealer, SealedData};
use whisht::contact::parts::Part;
use whisht::contact::plaintext::{SealedBody, fill};
use whisht::envelope::{SizeClass, Topic, TtlClass};
use whisht::node::{PreparedData, ReaderKind, Recipient, SendRequest};

use super::*;

/// What an attacker that knows the address has: the card of the reader.
struct Attacker {
    id: ContactId,
    block: KeyBlock,
    ticket_bits: u8,
    rng: ChaCha20Rng,
}

impl Attacker {
    fn new(scene: &mut Scene) -> Self {
        let name = "press".to_owned();
        let export = ContactCommand::CardExport { name, days: 1 };
        let ContactReply::CardFile(cards) = scene.ask(READER, export) else {
            panic!("no cards");
        };
        let (id, cards) = file::decode(&cards).unwrap();
        let card = cards.first().unwrap();
        Self {
            id,
            block: card.block().clone(),
            ticket_bits: card.terms().ticket_bits,
            rng: ChaCha20Rng::seed_from_u64(5),
        }
    }

    fn ticket(&mut self, first: &FirstBox) -> FirstTicket {
        let mut search = FirstTicketSearch::new(&mut self.rng, first.tau(), self.ticket_bits);
        std::iter::from_fn(|| Some(search.step(1_024)))
            .flatten()
            .next()
            .unwrap()
    }

    /// A first message with a text, of a conversation of its own, and with the work of a ticket or without.
    fn first_message(&mut self, scene: &Scene, text: &str, has_ticket: bool) -> SealedData {
        let unix = scene.world.clock().unix;
        let first = FirstBox::create(&mut self.rng, &self.id, &self.block).unwrap();
        let ticket = if has_ticket {
            self.ticket(&first)
        } else {
            FirstTicket([0; 8])
        };
        assert_eq!(ticket.bits(first.tau()) >= self.ticket_bits, has_ticket);
        let mut conversation = Conversation::start(unix, &self.block, &self.id, first).unwrap();
        conversation.set_ticket(ticket);
        let parts = [Part::Text(text.to_owned())];
        let mut composed = conversation.compose(&mut self.rng, unix, &parts).unwrap();
        let attempt = conversation
            .attempt(&mut self.rng, unix, &mut composed)
            .unwrap();
        self.seal(&attempt.sealer, attempt.body)
    }

    /// A body whose box was made for another person with the same keys, under an outer layer for the reader.
    fn message_for_another(&mut self) -> SealedData {
        let other = ContactId([8; 32]);
        let first = FirstBox::create(&mut self.rng, &other, &self.block).unwrap();
        let ticket = self.ticket(&first);
        let body = first.wrap(&mut self.rng, ticket, FirstMode::Conversation, &[3; 300]);
        self.seal(&EnvelopeSealer::first(&self.id, &self.block), body)
    }

    /// A box that opens, around bytes that are not a message of Olm.
    fn message_without_olm(&mut self) -> SealedData {
        let first = FirstBox::create(&mut self.rng, &self.id, &self.block).unwrap();
        let ticket = self.ticket(&first);
        let body = first.wrap(&mut self.rng, ticket, FirstMode::Conversation, &[3; 300]);
        self.seal(&EnvelopeSealer::first(&self.id, &self.block), body)
    }

    fn seal(&mut self, sealer: &EnvelopeSealer, body: Vec<u8>) -> SealedData {
        let body = Zeroizing::new(body);
        let encoded = SealedBody { resync: None, body }.encode();
        let class = SizeClass::of(2_408).unwrap();
        let plaintext = fill(&encoded, class, TtlClass::ThreeDays).unwrap();
        sealer.seal(&mut self.rng, 0, &plaintext)
    }
}

/// A node inserts data in a new envelope: another nonce, another expiry.
fn insert(scene: &mut Scene, at: usize, sealed: &SealedData) {
    let request = SendRequest {
        to: Recipient::Prepared(PreparedData {
            topic: sealed.topic,
            data: sealed.data.clone(),
        }),
        sign_as: None,
        payload: Zeroizing::new(Vec::new()),
        level: Some(Level::Normal),
        life: Duration::from_secs(3_600),
        reader: ReaderKind::Whisht,
    };
    let patience = Duration::from_secs(1);
    let sent = scene.world.ask(at, Command::Send(request), patience);
    assert!(matches!(sent, Ok(Reply::Accepted(_))), "{sent:?}");
}

const A_WHILE: Duration = Duration::from_secs(1_800);

/// An attacker that recorded a first message sends its data again, also after the reader has restarted.
#[test]
fn replayed_first_message_stays_one_request() {
    let mut scene = Scene::with_card(Cover::Off);
    let mut attacker = Attacker::new(&mut scene);
    let first = attacker.first_message(&scene, "once", true);
    insert(&mut scene, 0, &first);
    scene.run_until(A_WHILE, |scene| scene.requests(READER).len() == 1);
    insert(&mut scene, 4, &first);
    scene.world.run(A_WHILE);
    scene.world.kill(READER);
    scene.world.restart(READER).unwrap();
    insert(&mut scene, 8, &first);
    scene.world.run(A_WHILE);
    assert_eq!(scene.requests(READER).len(), 1);
    assert_eq!(scene.reported(READER, "once"), 1);
}

/// Nothing that fails a check makes a request, and none of it keeps an honest message away.
#[test]
fn junk_first_messages_make_no_request_and_honest_one_arrives() {
    let mut scene = Scene::with_card(Cover::Off);
    let mut attacker = Attacker::new(&mut scene);
    let mut junk = vec![
        attacker.first_message(&scene, "without work", false),
        attacker.message_for_another(),
        attacker.message_without_olm(),
    ];
    // The right ephemeral key and topic, and a ciphertext that is altered.
    let mut altered = attacker.first_message(&scene, "altered", true);
    if let Some(last) = altered.data.last_mut() {
        *last ^= 1;
    }
    junk.push(altered);
    junk.extend((0..4_u8).map(|number| SealedData {
        topic: Topic([number; 4]),
        data: vec![number; 2_379],
    }));
    for (at, sealed) in junk.iter().enumerate() {
        insert(&mut scene, at % RELAYS, sealed);
    }
    scene.world.run(A_WHILE);
    assert_eq!(scene.requests(READER), Vec::<String>::new());
    scene.write(SOURCE, "desk", "honest", Level::Normal);
    scene.accept();
    assert_eq!(scene.reported(READER, "honest"), 1);
}
