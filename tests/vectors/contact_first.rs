//! Elligator keys, X-Wing, first messages, steps and letters, against values computed by an independent
//! program and those of RFC 9380 and of the X-Wing draft.

use core::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};
use serde_json::Value;
use whisht::contact::chain::StepKey;
use whisht::contact::elligator::{EphemeralKey, EphemeralPoint, OuterSecret};
use whisht::contact::first_contact::{FirstBox, FirstMode, FirstTicket, Tau};
use whisht::contact::id::ContactId;
use whisht::contact::key_block::KeyBlock;
use whisht::contact::letter::{Letter, LetterAddress, LetterNumber, LetterRoot, LetterWay};
use whisht::contact::outer::{EnvelopeSealer, FirstOpener, open_step};
use whisht::contact::plaintext::{OuterPlaintext, SealedBody};
use whisht::contact::x_wing::{XWingPublic, XWingSecret};
use whisht::envelope::Topic;
use zeroize::Zeroizing;

use crate::{array, bytes, cases, text};

const FILE: &str = "contact_first";

/// Gives recorded bytes, so that what was drawn once is drawn again.
pub(crate) struct RecordedRng(Vec<u8>);

impl RecordedRng {
    /// A generator that gives these bytes.
    pub(crate) const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl TryRng for RecordedRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut word = [0; 4];
        self.try_fill_bytes(&mut word)?;
        Ok(u32::from_le_bytes(word))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut word = [0; 8];
        self.try_fill_bytes(&mut word)?;
        Ok(u64::from_le_bytes(word))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        assert!(self.0.len() >= to.len(), "more is drawn than was recorded");
        to.copy_from_slice(&self.0[..to.len()]);
        self.0.drain(..to.len());
        Ok(())
    }
}

impl TryCryptoRng for RecordedRng {}

/// The agreement with a point tells which point it is.
fn agree(wire: &[u8; 32]) -> Option<[u8; 32]> {
    let secret = OuterSecret::from_bytes(&Zeroizing::new([0x55; 32]));
    secret.agree(&EphemeralPoint::of(wire)).map(|key| *key)
}

fn x25519(point: [u8; 32]) -> [u8; 32] {
    let secret = x25519_dalek::StaticSecret::from([0x55; 32]);
    let point = x25519_dalek::PublicKey::from(point);
    secret.diffie_hellman(&point).to_bytes()
}

#[test]
fn strings_map_to_the_points_of_rfc_9380() {
    let published = cases(FILE, "rfc9380");
    assert_eq!(published.len(), 15);
    for case in published {
        let wire = array(&case["wire"]);
        assert_eq!(agree(&wire), Some(x25519(array(&case["x"]))), "{case}");
        // The two highest bits of the wire mean nothing.
        let mut high = wire;
        high[31] |= 0xc0;
        assert_eq!(agree(&high), agree(&wire));
    }
}

#[test]
fn drawn_keys_have_recorded_encodings() {
    let dirty = cases(FILE, "dirty");
    assert_eq!(dirty.len(), 64);
    let with_encoding = dirty.iter().find(|case| case["wire"].is_string()).unwrap();
    let mut with_one = 0;
    for case in &dirty {
        // What has no encoding is passed over for the next candidate.
        let next = [bytes(&case["drawn"]), bytes(&with_encoding["drawn"])].concat();
        let key = EphemeralKey::draw(&mut RecordedRng(next));
        let expected = if case["wire"].is_string() {
            with_one += 1;
            assert_eq!(agree(key.wire()), Some(x25519(array(&case["point"]))));
            case
        } else {
            with_encoding
        };
        assert_eq!(key.wire(), &array(&expected["wire"]));
    }
    assert!((20..45).contains(&with_one), "{with_one} of 64");
}

#[test]
fn x_wing_agrees_with_published_vectors() {
    for case in cases(FILE, "x_wing") {
        let secret = XWingSecret::from_seed(Zeroizing::new(array(&case["seed"])));
        let public = XWingPublic::decode(&array(&case["pk"])).unwrap();
        assert_eq!(secret.public(), public);
        let (ciphertext, shared) = public
            .encapsulate(&mut RecordedRng(bytes(&case["eseed"])))
            .unwrap();
        assert_eq!(ciphertext.as_slice(), bytes(&case["ct"]));
        assert_eq!(*shared, array(&case["ss"]));
        let back = secret.decapsulate(&ciphertext).unwrap();
        assert_eq!(*back, array(&case["ss"]));
        let mut altered = ciphertext;
        altered[500] ^= 1;
        let other = secret.decapsulate(&altered);
        assert!(other.is_none_or(|other| *other != array(&case["ss"])));
    }
}

/// A first message of the vectors.
struct First {
    id: ContactId,
    block: KeyBlock,
    x_wing: XWingSecret,
    opener: FirstOpener,
    topic: Topic,
    data: Vec<u8>,
}

impl First {
    fn read(case: &Value) -> Self {
        let id = ContactId(array(&case["id"]));
        let outer = OuterSecret::from_bytes(&Zeroizing::new(array(&case["outer_secret"])));
        let x_wing = XWingSecret::from_seed(Zeroizing::new(array(&case["x_wing_seed"])));
        Self {
            id,
            block: KeyBlock::decode(&array(&case["block"])).unwrap(),
            x_wing,
            opener: FirstOpener::new(id, outer),
            topic: Topic(array(&case["topic"])),
            data: bytes(&case["data"]),
        }
    }

    fn open(&self, topic: Topic, data: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let point = EphemeralPoint::of(data.first_chunk()?);
        self.opener.open(&point, topic, data)
    }
}

#[test]
fn first_messages_open_to_recorded_content() {
    for case in cases(FILE, "first") {
        let first = First::read(&case);
        assert_eq!(first.block.to_bytes(), bytes(&case["block"]));
        assert_eq!(first.block.kappa().0, array(&case["kappa"]));
        let plaintext = first.open(first.topic, &first.data).unwrap();
        let Ok(OuterPlaintext::Body(SealedBody { resync: None, body })) =
            OuterPlaintext::decode(&plaintext)
        else {
            panic!("not a whole body");
        };
        assert_eq!(body.as_slice(), bytes(&case["body"]));
        let kappa = first.block.kappa();
        let (mut opened, content) =
            FirstBox::open(&first.x_wing, &first.id, &kappa, &body).unwrap();
        assert_eq!(opened.tau().0, array(&case["tau"]));
        assert_eq!(content.mode, FirstMode::Conversation);
        assert_eq!(content.content.as_slice(), bytes(&case["content"]));
        assert_eq!(
            u64::from(content.ticket_bits),
            case["ticket_bits"].as_u64().unwrap()
        );
        assert_eq!(
            opened.take_epoch_secret().as_deref(),
            Some(&array(&case["epoch"]))
        );
    }
}

#[test]
fn first_messages_are_made_as_recorded() {
    for case in cases(FILE, "first") {
        let first = First::read(&case);
        let mut encapsulation = RecordedRng(bytes(&case["eseed"]));
        let made = FirstBox::create(&mut encapsulation, &first.id, &first.block).unwrap();
        let ticket = FirstTicket(array(&case["ticket"]));
        let nonce = &mut RecordedRng(bytes(&case["nonce"]));
        let content = bytes(&case["content"]);
        let body = made.wrap(nonce, ticket, FirstMode::Conversation, &content);
        assert_eq!(body, bytes(&case["body"]));
        let sealed_body = SealedBody {
            resync: None,
            body: Zeroizing::new(body),
        };
        let mut plaintext = sealed_body.encode().to_vec();
        plaintext.resize(first.data.len() - 48, 0);
        let drawn = &mut RecordedRng(bytes(&case["drawn"]));
        let sealed = EnvelopeSealer::first(&first.id, &first.block).seal(drawn, 0, &plaintext);
        assert_eq!((sealed.topic, sealed.data), (first.topic, first.data));
    }
}

#[test]
fn first_message_with_one_altered_byte_does_not_open() {
    let case = &cases(FILE, "first")[0];
    let first = First::read(case);
    for at in (0..first.data.len()).step_by(61).chain([31, 32, 2378]) {
        let mut altered = first.data.clone();
        altered[at] ^= 1;
        assert!(first.open(first.topic, &altered).is_none(), "{at}");
    }
    let Topic([a, b, c, d]) = first.topic;
    assert!(first.open(Topic([a, b, c, d ^ 1]), &first.data).is_none());
    let body = bytes(&case["body"]);
    let kappa = first.block.kappa();
    for at in (0..body.len()).step_by(37) {
        let mut altered = body.clone();
        altered[at] ^= 1;
        let opened = FirstBox::open(&first.x_wing, &first.id, &kappa, &altered);
        assert!(opened.is_err(), "{at}");
    }
}

#[test]
fn steps_open_to_recorded_bodies() {
    for case in cases(FILE, "step") {
        let key = StepKey::new(Zeroizing::new(array(&case["secret"])));
        let shard = u8::try_from(case["shard"].as_u64().unwrap()).unwrap();
        let topic = Topic(array(&case["topic"]));
        assert_eq!(key.topic(shard), topic);
        let data = bytes(&case["data"]);
        let opened = open_step(&key, shard, topic, &data).unwrap();
        let Ok(OuterPlaintext::Body(SealedBody { resync, body })) = OuterPlaintext::decode(&opened)
        else {
            panic!("not a whole body");
        };
        assert_eq!(resync.map(u64::from), case["resync"].as_u64());
        assert_eq!(body.as_slice(), bytes(&case["body"]));
        let salt = &mut RecordedRng(data[..32].to_vec());
        let sealed = EnvelopeSealer::Step(key).seal(salt, shard, &opened);
        assert_eq!((sealed.topic, &sealed.data), (topic, &data));
        let key = StepKey::new(Zeroizing::new(array(&case["secret"])));
        for at in (0..data.len()).step_by(17) {
            let mut altered = data.clone();
            altered[at] ^= 1;
            assert!(open_step(&key, shard, topic, &altered).is_none(), "{at}");
        }
    }
}

#[test]
fn letters_agree_with_recorded_values() {
    let all: Value = serde_json::from_str(include_str!("contact_first.json")).unwrap();
    let all = &all["letters"];
    let root = LetterRoot::from_seed(&array(&all["seed"]));
    assert_eq!(*root.guard_seed(), array(&all["guard_seed"]));
    let source = root.for_reader(&ContactId(array(&all["reader"]))).unwrap();
    assert_eq!(source.address().block().outer(), &array(&all["x"]));
    let x_wing = XWingSecret::from_seed(Zeroizing::new(array(&all["x_wing_seed"])));
    assert_eq!(source.address().block().x_wing(), &x_wing.public());
    for case in all["letters"].as_array().unwrap() {
        let content = bytes(&case["with_keys"]);
        let (address, letter) = Letter::decode_with_keys(&content).unwrap();
        check_letter(case, &address, &letter);
        assert_eq!(letter.encode_with_keys(&address).as_slice(), content);
        let way = match case["direction"].as_u64() {
            Some(0) => LetterWay::ToReader,
            _ => LetterWay::ToSource,
        };
        let tau = Tau(array(&case["tau"]));
        let content = bytes(&case["content"]);
        assert_eq!(Letter::source_of(&content), Ok(address.id()));
        let letter = Letter::decode(&content, &address, way, &tau).unwrap();
        check_letter(case, &address, &letter);
        for at in 0..content.len() {
            let mut altered = content.clone();
            altered[at] ^= 1;
            assert!(
                Letter::decode(&altered, &address, way, &tau).is_err(),
                "{at}"
            );
        }
        let mut other = tau;
        other.0[0] ^= 1;
        assert!(Letter::decode(&content, &address, way, &other).is_err());
    }
}

fn check_letter(case: &Value, address: &LetterAddress, letter: &Letter) {
    assert_eq!(address.id().0, array(&case["id"]));
    assert_eq!(address.reply_id().0, array(&case["reply_id"]));
    assert_eq!(letter.number, LetterNumber(array(&case["number"])));
    let seen = case["seen"].as_array().unwrap();
    let seen: Vec<_> = seen.iter().map(|one| LetterNumber(array(one))).collect();
    assert_eq!(letter.seen, seen);
    assert_eq!(hex::encode(&*letter.text), text(&case["text"]));
}
