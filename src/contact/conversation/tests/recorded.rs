//! Conversations against `tests/vectors/contact_conversation.json`, from an independent program: chains,
//! slots, epochs, names, and all that stands inside the ratchet. Whole envelopes of steps and letters are in
//! `contact_first.json`.

use circuits::time::UnixSecs;
use serde_json::Value;
use zeroize::Zeroizing;

use super::fixture::{open_pair, rng};
use crate::contact::chain::{ChainState, Direction, StepKey};
use crate::contact::conversation::ConversationId;
use crate::contact::epoch::EpochSecret;
use crate::contact::kdf::{Key32, Label, expand, hash};
use crate::contact::parts::{Acks, InnerMessage, Part};
use crate::contact::resync::{ResyncSlots, SLOTS_PER_DAY};
use crate::transfer::talk_part::{TalkAnswer, TalkOffer};

const FILE: &str = include_str!("../../../../tests/vectors/contact_conversation.json");
const DAY_SECS: u32 = 86_400;

fn cases(list: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(FILE).unwrap();
    let cases = file[list].as_array().unwrap().clone();
    assert!(!cases.is_empty());
    cases
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

fn key(value: &Value) -> Key32 {
    Zeroizing::new(array(value))
}

fn number<T: TryFrom<u64>>(value: &Value) -> T {
    let wide = value.as_u64().unwrap();
    T::try_from(wide).unwrap_or_else(|_| panic!("{value} is too large"))
}

fn direction(case: &Value) -> Direction {
    match number::<u8>(&case["direction"]) {
        0 => Direction::FromInitiator,
        _ => Direction::FromReader,
    }
}

fn check_key(step: &StepKey, case: &Value) {
    assert_eq!(step.expose(), &array::<32>(&case["message"]), "{case}");
    let salt = array(&case["salt"]);
    for shard in 0..3_u8 {
        let at = usize::from(shard);
        assert_eq!(step.topic(shard).0, array::<4>(&case["topics"][at]));
        assert_eq!(*step.key(shard, &salt), array::<32>(&case["keys"][at]));
    }
}

#[test]
fn steps_and_slots_of_recorded_epochs_are_the_recorded_ones() {
    for epoch in cases("epochs") {
        let secret = key(&epoch["secret"]);
        for case in list(&epoch["steps"]) {
            let mut chain = ChainState::start(&secret, direction(case));
            let steps = 0..=number::<u32>(&case["index"]);
            let step = steps.map(|_| chain.step()).last().unwrap();
            check_key(&step, case);
        }
        for case in list(&epoch["slots"]) {
            let day = number::<u32>(&case["day"]);
            let noon = UnixSecs(day * DAY_SECS + DAY_SECS / 2);
            // An end takes its own slots, in their order.
            let mut slots = ResyncSlots::start(&secret, direction(case).reverse(), noon);
            let keys: Vec<StepKey> = (0..SLOTS_PER_DAY)
                .filter_map(|_| slots.take(noon))
                .collect();
            assert!(slots.take(noon).is_none());
            check_key(&keys[number::<usize>(&case["slot"])], case);
        }
    }
}

#[test]
fn secret_of_the_next_epoch_is_the_recorded_one() {
    for epoch in cases("epochs") {
        let secret = EpochSecret::new(key(&epoch["secret"]));
        let carry = secret.carry();
        assert_eq!(*carry, array::<32>(&epoch["carry"]));
        let rekey = &epoch["rekey"];
        let [shared, offer, accept] =
            ["shared", "offer_seed", "accept_seed"].map(|name| key(&rekey[name]));
        let next = |shared: &Key32, offer: &Key32, accept: &Key32| {
            let next = EpochSecret::next(&carry, shared, offer, accept);
            *next.carry()
        };
        let expected = EpochSecret::new(key(&rekey["next"])).carry();
        assert_eq!(next(&shared, &offer, &accept), *expected);
        // Each input counts, and its place does.
        assert_ne!(next(&shared, &accept, &offer), *expected);
        let mut altered = shared.clone();
        altered[0] ^= 1;
        assert_ne!(next(&altered, &offer, &accept), *expected);
    }
}

#[test]
fn name_and_binding_of_a_conversation_are_the_recorded_ones() {
    for case in cases("names") {
        let [tau, identity, base] =
            ["tau", "identity_key", "base_key"].map(|name| array::<32>(&case[name]));
        let id = hash(Label::CONV_ID, &[&tau, &identity, &base]);
        assert_eq!(id, array::<32>(&case["conversation"]));
        for (side, bind) in list(&case["bind"]).iter().enumerate() {
            let side = u8::try_from(side).unwrap();
            let hash = hash(Label::CONV_BIND, &[&id, &[side]]);
            assert_eq!(hash[..16], bytes(bind));
        }
    }
}

#[test]
fn proof_of_an_old_conversation_is_the_recorded_one() {
    for case in cases("continuity") {
        let (source, _) = open_pair(&mut rng(1));
        let mut old = source.conversation;
        old.id = ConversationId(array(&case["old"]));
        old.continuity = expand::<32>(&key(&case["secret"]), Label::CONV_CARRY, &[]);
        let new = ConversationId(array(&case["new"]));
        let part = old.continuity(&new);
        let encoded = Part::encode_all(std::slice::from_ref(&part)).unwrap();
        assert_eq!(*encoded, bytes(&case["part"]));
        let Part::Continuity(mut proof) = part else {
            panic!("another part");
        };
        assert!(old.is_continued_by(&new, &proof));
        proof.proof[31] ^= 1;
        assert!(!old.is_continued_by(&new, &proof));
    }
}

#[test]
fn recorded_parts_are_read_and_written() {
    for case in cases("parts") {
        let recorded = bytes(&case["bytes"]);
        let parts = Part::decode_all(&recorded).unwrap();
        let value = bytes(&case["value"]);
        match (case["part"].as_str().unwrap(), parts.as_slice()) {
            ("skipped", []) => continue,
            ("needs newer", [Part::NeedsNewer(kind)]) => {
                assert_eq!(*kind, number::<u8>(&case["type"]));
                continue;
            }
            ("text", [Part::Text(text)]) => assert_eq!(text, case["text"].as_str().unwrap()),
            ("offer", [Part::Offer(offer)]) => {
                assert_eq!(offer.epoch, number::<u16>(&case["epoch"]))
            }
            ("accept", [Part::Accept(accept)]) => {
                assert_eq!(accept.epoch, number::<u16>(&case["epoch"]))
            }
            ("address", [Part::Address(id)]) => assert_eq!(id.0, array(&case["id"])),
            ("introduction", [Part::Introduction(person)]) => {
                assert_eq!(person.id.0, array(&case["id"]));
                assert_eq!(person.day, number::<u32>(&case["day"]));
                assert_eq!(person.how, number::<u8>(&case["how"]));
                assert_eq!(person.name, case["name"].as_str().unwrap());
                assert_eq!(person.note, case["note"].as_str().unwrap());
            }
            (
                "small file",
                [
                    Part::SmallFile {
                        name,
                        bytes: content,
                    },
                ],
            ) => {
                assert_eq!(name, case["name"].as_str().unwrap());
                assert_eq!(*content, bytes(&case["bytes_of_file"]));
            }
            ("given up", [Part::GivenUp(below)]) => {
                assert_eq!(*below, number::<u64>(&case["below"]))
            }
            ("also came", [Part::AlsoCame(numbers)]) => {
                let recorded = list(&case["numbers"]).iter().map(number::<u64>);
                assert!(numbers.iter().copied().eq(recorded));
            }
            ("talk offer", [Part::TalkOffer(offer)]) => check_talk_offer(offer, &case),
            ("talk answer", [Part::TalkAnswer(answer)]) => check_talk_answer(answer, &case),
            ("goodbye", [Part::Goodbye]) | ("continuity", [Part::Continuity(_)]) => {}
            ("file offer", [Part::FileOffer(content)])
            | ("file answer", [Part::FileAnswer(content)]) => assert_eq!(*content, value),
            other => panic!("{other:?}"),
        }
        assert_eq!(*Part::encode_all(&parts).unwrap(), recorded, "{case}");
    }
}

fn check_talk_offer(bytes: &[u8], case: &Value) {
    let offer = TalkOffer::decode(bytes).unwrap();
    let relays = list(&case["relays"]).iter().map(array::<32>);
    assert!(offer.relays.iter().map(|relay| relay.0).eq(relays));
    assert_eq!(*offer.encode(), bytes);
}

fn check_talk_answer(bytes: &[u8], case: &Value) {
    let answer = TalkAnswer::decode(bytes).unwrap();
    let start = answer.schedule.map(|schedule| schedule.start().0);
    assert_eq!(start.map(u64::from), case["start"].as_u64());
    let relay = answer.schedule.map(|schedule| schedule.first_relay());
    assert_eq!(relay.map(u64::from), case["first_relay"].as_u64());
    assert_eq!(answer.encode(), bytes);
}

#[test]
fn recorded_messages_are_read_and_written() {
    for case in cases("messages") {
        let (recorded, bind) = (bytes(&case["bytes"]), array(&case["bind"]));
        let message = InnerMessage::decode(&recorded, &bind).unwrap();
        let acks = Acks {
            up_to: number(&case["ack"]),
            beyond: number(&case["bitmap"]),
        };
        assert_eq!(message.number, number::<u64>(&case["number"]));
        assert_eq!(message.acks, acks);
        let parts = bytes(&case["parts"]);
        assert_eq!(message.parts, Part::decode_all(&parts).unwrap());
        let encoded = InnerMessage::encode(message.number, acks, &bind, &parts);
        assert_eq!(*encoded, recorded);
        // One altered byte of the binding refuses the message.
        let mut altered = bind;
        altered[15] ^= 1;
        assert!(InnerMessage::decode(&recorded, &altered).is_err());
    }
}

#[test]
fn recorded_malformed_messages_are_refused() {
    for case in cases("refused_messages") {
        let message = InnerMessage::decode(&bytes(&case["bytes"]), &array(&case["bind"]));
        assert!(message.is_err(), "{}", case["what"]);
    }
    for case in cases("refused_talk") {
        let value = bytes(&case["value"]);
        let is_read = match case["part"].as_str().unwrap() {
            "talk offer" => TalkOffer::decode(&value).is_ok(),
            _ => TalkAnswer::decode(&value).is_ok(),
        };
        assert!(!is_read, "{}", case["what"]);
    }
}
