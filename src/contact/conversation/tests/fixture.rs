//! A reader with a card, an initiator, and the envelopes between them.

use std::collections::BTreeMap;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::super::*;
use crate::contact::elligator::{EphemeralPoint, OuterSecret};
use crate::contact::outer::{FirstOpener, SealedData, open_step};
use crate::contact::plaintext::{OuterPlaintext, SealedBody};
use crate::contact::x_wing::XWingSecret;

pub(super) const START: UnixSecs = UnixSecs(1_800_000_000);
pub(super) const HOUR: u32 = 3_600;
pub(super) const DAY: u32 = 24 * HOUR;
pub(super) const READER_ID: ContactId = ContactId([9; 32]);

pub(super) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// The secrets behind a card.
pub(super) struct Reader {
    pub(super) pre_keys: PreKeys,
    pub(super) x_wing: XWingSecret,
    pub(super) block: KeyBlock,
    opener: FirstOpener,
}

impl Reader {
    pub(super) fn new(rng: &mut ChaCha20Rng) -> Self {
        let pre_keys = PreKeys::create();
        let x_wing = XWingSecret::draw(rng);
        let outer = OuterSecret::draw(rng);
        let block = KeyBlock::new(
            2_976,
            *outer.public(),
            pre_keys.identity_key(),
            pre_keys.fallback_key(),
            x_wing.public(),
        );
        Self {
            pre_keys,
            x_wing,
            block: block.unwrap(),
            opener: FirstOpener::new(READER_ID, outer),
        }
    }

    /// The body of a first message.
    pub(super) fn open(&self, envelope: &SealedData) -> Option<SealedBody> {
        let (wire, _) = envelope.data.split_first_chunk::<32>()?;
        let point = EphemeralPoint::of(wire);
        let plain = self.opener.open(&point, envelope.topic, &envelope.data)?;
        Some(SealedBody::decode_exact(&plain).unwrap())
    }

    /// The box and the content of the body of a first message.
    pub(super) fn unbox(&self, body: &[u8]) -> (FirstBox, Vec<u8>) {
        let kappa = self.block.kappa();
        let (first_box, content) = FirstBox::open(&self.x_wing, &READER_ID, &kappa, body).unwrap();
        (first_box, content.content.to_vec())
    }
}

/// A conversation with the topic table of its owner.
pub(super) struct End {
    pub(super) conversation: Conversation,
    topics: BTreeMap<[u8; 4], Vec<StepRef>>,
}

impl End {
    pub(super) fn new(conversation: Conversation) -> Self {
        let mut end = Self {
            conversation,
            topics: BTreeMap::new(),
        };
        end.follow();
        end
    }

    /// Takes over the changes of the watch.
    fn follow(&mut self) {
        let changes = self.conversation.watch_changes();
        for (topic, at) in changes.removed {
            self.topics
                .entry(topic.0)
                .or_default()
                .retain(|other| *other != at);
        }
        for (topic, at) in changes.added {
            self.topics.entry(topic.0).or_default().push(at);
        }
    }

    /// Stores and reads the record, as a restart does.
    pub(super) fn restart(&mut self) {
        let record = self.conversation.to_bytes();
        *self = Self::new(Conversation::from_bytes(&record).unwrap());
        assert_eq!(*record, *self.conversation.to_bytes());
    }

    pub(super) fn compose(
        &mut self,
        rng: &mut ChaCha20Rng,
        unix: UnixSecs,
        text: &str,
    ) -> ComposedMessage {
        let parts = [Part::Text(text.to_owned())];
        self.conversation.compose(rng, unix, &parts).unwrap()
    }

    pub(super) fn seal(
        &mut self,
        rng: &mut ChaCha20Rng,
        unix: UnixSecs,
        message: &mut ComposedMessage,
    ) -> Result<SealedData, AttemptRefusal> {
        let attempt = self.conversation.attempt(rng, unix, message)?;
        Ok(seal(rng, attempt))
    }

    /// Composes a text and makes one envelope of it.
    pub(super) fn write(
        &mut self,
        rng: &mut ChaCha20Rng,
        unix: UnixSecs,
        text: &str,
    ) -> SealedData {
        let mut message = self.compose(rng, unix, text);
        self.seal(rng, unix, &mut message).unwrap()
    }

    /// Opens an envelope if it is awaited.
    pub(super) fn open(&self, envelope: &SealedData) -> Option<(StepRef, SealedBody)> {
        let candidates = self.topics.get(&envelope.topic.0)?;
        candidates.iter().find_map(|at| {
            let key = self.conversation.step_key(*at)?;
            let plain = open_step(&key, at.shard, envelope.topic, &envelope.data)?;
            match OuterPlaintext::decode(&plain).unwrap() {
                OuterPlaintext::Body(body) => Some((*at, body)),
                _ => None,
            }
        })
    }

    /// Opens an envelope and takes it in; `None` if it is not awaited.
    pub(super) fn read(
        &mut self,
        rng: &mut ChaCha20Rng,
        unix: UnixSecs,
        envelope: &SealedData,
    ) -> Option<Arrived> {
        let (at, body) = self.open(envelope)?;
        let arrived = self
            .conversation
            .arrived(rng, unix, at, body.resync, &body.body);
        self.follow();
        Some(arrived.unwrap())
    }

    pub(super) fn tick(&mut self, unix: UnixSecs) {
        self.conversation.tick(unix);
        self.follow();
    }

    pub(super) fn accept_request(&mut self) {
        self.conversation.accept_request();
        self.follow();
    }

    pub(super) fn awaited(&self) -> usize {
        self.topics.values().map(Vec::len).sum()
    }
}

/// One envelope of an attempt, without padding.
pub(super) fn seal(rng: &mut ChaCha20Rng, attempt: Attempt) -> SealedData {
    let body = SealedBody {
        resync: attempt.resync,
        body: attempt.body.into(),
    };
    attempt.sealer.seal(rng, 0, &body.encode())
}

pub(super) fn text_of(arrived: &Arrived) -> (u64, String) {
    match &arrived.outcome {
        ArrivalOutcome::Message { number, parts } => match &parts[..] {
            [Part::Text(text)] => (*number, text.clone()),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// An initiator with a conversation to a reader, and its ticket.
pub(super) fn start(rng: &mut ChaCha20Rng, reader: &Reader) -> End {
    let first_box = FirstBox::create(rng, &READER_ID, &reader.block).unwrap();
    let mut conversation =
        Conversation::start(START, &reader.block, &READER_ID, first_box).unwrap();
    assert!(conversation.needs_ticket());
    conversation.set_ticket(FirstTicket([0; 8]));
    End::new(conversation)
}

/// Opens the first message of a conversation.
pub(super) fn accept(
    rng: &mut ChaCha20Rng,
    reader: &mut Reader,
    envelope: &SealedData,
) -> (End, Arrived) {
    let body = reader.open(envelope).unwrap();
    let (first_box, content) = reader.unbox(&body.body);
    let (conversation, arrived) =
        Conversation::accept(rng, START, first_box, &mut reader.pre_keys, &content).unwrap();
    (End::new(conversation), arrived)
}

/// Two ends that have exchanged a message each way; the reader's answer offered epoch 1.
pub(super) fn open_pair(rng: &mut ChaCha20Rng) -> (End, End) {
    let mut reader = Reader::new(rng);
    let mut a = start(rng, &reader);
    let first = a.write(rng, START, "first");
    let (mut b, arrived) = accept(rng, &mut reader, &first);
    assert_eq!(text_of(&arrived), (1, "first".to_owned()));
    b.accept_request();
    let answer = b.write(rng, START, "answer");
    let arrived = a.read(rng, START, &answer).unwrap();
    assert_eq!(text_of(&arrived), (1, "answer".to_owned()));
    assert_eq!((arrived.answered, arrived.has_opened), (vec![1], true));
    (a, b)
}
