//! Offers and answers of a hostile correspondent: replayed, altered, of another conversation, out of turn.

use std::sync::Arc;

use circuits::ids::RelayId;
use circuits::level::Level;
use circuits::secret::Secret;
use circuits::time::UnixSecs;

use super::record::{FileRecord, FileStep};
use super::{ArrivedPart, FileDirection, MAX_FILES, MAX_LIVE_PER_CONTACT, MAX_PROPOSALS};
use crate::contact::conversation::{ConversationId, Part};
use crate::node::Node;
use crate::node::config::{NodeKeys, Restored};
use crate::node::fixture::{START, config, link_key};
use crate::node::input::{ClientId, CommandId};
use crate::sealed_file::{FileKey, StoredFileId};
use crate::transfer::FileId;
use crate::transfer::answer::{FileAnswer, FileVerdict};
use crate::transfer::chunk::{ChunkRoot, FileSize};
use crate::transfer::chunk_set::ChunkSet;
use crate::transfer::offer::{FileName, FileOffer};
use crate::transfer::schedule::{ATTEMPTS, AttemptId, AttemptSchedule, RelayPlaces};
use crate::transfer::secret::FileSecret;

const CONTACT: ConversationId = ConversationId([1; 32]);
const OTHER: ConversationId = ConversationId([2; 32]);

/// What is altered in an offer.
type OfferChange = fn(&mut FileOffer);

const COMMAND: CommandId = CommandId {
    number: 1,
    client: ClientId::OWN,
};

fn node() -> Node {
    let keys = NodeKeys {
        link: link_key(1),
        guard_seed: Secret::init_with(|seed| seed.fill(3)),
        mail_password: None,
    };
    Node::new(config(), keys, Restored::default(), &[7; 32], START).unwrap()
}

fn relays(first: u8) -> Vec<RelayId> {
    (first..first + 2).map(|byte| RelayId([byte; 32])).collect()
}

fn size(bytes: u64) -> FileSize {
    FileSize::new(bytes).unwrap()
}

fn offer(id: u8) -> FileOffer {
    FileOffer {
        id: FileId([id; 16]),
        secret: FileSecret::take(&mut [5; 32]),
        size: size(100),
        root: ChunkRoot([6; 32]),
        name: FileName::new("a.txt").unwrap(),
        relays: relays(10),
    }
}

fn arrive(node: &mut Node, from: ConversationId, part: Part) {
    let arrived = ArrivedPart::new(from, 1, 0, part);
    let (transfers, fx, context) = node.transferring();
    transfers.on_part(fx, START, &arrived, context);
}

fn arrive_offer(node: &mut Node, from: ConversationId, offer: &FileOffer) {
    arrive(node, from, Part::FileOffer(offer.encode().to_vec()));
}

fn arrive_answer(node: &mut Node, from: ConversationId, verdict: FileVerdict) {
    let id = FileId([1; 16]);
    let answer = FileAnswer { id, verdict };
    arrive(node, from, Part::FileAnswer(answer.encode()));
}

/// The only file of a node.
fn file(node: &mut Node) -> &mut FileRecord {
    let files = &mut node.transfers.files;
    assert_eq!(files.len(), 1);
    files.values_mut().next().unwrap()
}

/// A node that has offered a file to the contact.
fn offering() -> Node {
    let mut node = node();
    let record = FileRecord {
        direction: FileDirection::Out,
        to: "desk".to_owned(),
        conversation: Some(CONTACT),
        id: FileId([1; 16]),
        secret: FileSecret::take(&mut [5; 32]),
        name: FileName::new("a.txt").unwrap(),
        size: size(100),
        root: Some(ChunkRoot([6; 32])),
        relays: relays(10),
        stored: StoredFileId([4; 16]),
        key: Arc::new(FileKey::new(Secret::init_with(|key| key.fill(8)))),
        until: START.unix.after(1_000_000),
        step: FileStep::Offered,
        verified: ChunkSet::new(size(100)),
        proposals: 0,
        is_in_vain: false,
        is_unreported: false,
    };
    node.transfers.files.insert(1, record);
    node
}

fn schedule(answered: UnixSecs, places: [u8; 2]) -> AttemptSchedule {
    AttemptSchedule::answered_at(answered, RelayPlaces::new(places).unwrap())
}

fn accepted(answered: UnixSecs) -> FileStep {
    let start = schedule(answered, [0, 1]);
    FileStep::Accepted {
        schedule: start,
        last: AttemptId::new(start.start(), ATTEMPTS - 1),
    }
}

#[test]
fn attack_replayed_offer_with_one_altered_field_changes_no_file() {
    let altered: [(&str, ConversationId, OfferChange); 4] = [
        ("conversation", OTHER, |_| {}),
        ("size", CONTACT, |offer| offer.size = size(101)),
        ("root", CONTACT, |offer| offer.root = ChunkRoot([9; 32])),
        ("secret", CONTACT, |offer| {
            offer.secret = FileSecret::take(&mut [9; 32]);
        }),
    ];
    for (what, from, change) in altered {
        let mut node = node();
        arrive_offer(&mut node, CONTACT, &offer(1));
        let mut replayed = offer(1);
        replayed.relays = relays(20);
        change(&mut replayed);
        arrive_offer(&mut node, from, &replayed);
        let file = file(&mut node);
        assert_eq!(file.relays, relays(10), "{what}");
        assert_eq!(file.conversation, Some(CONTACT), "{what}");
    }
    let mut node = node();
    arrive_offer(&mut node, CONTACT, &offer(1));
    let mut repeated = offer(1);
    repeated.relays = relays(20);
    arrive_offer(&mut node, CONTACT, &repeated);
    assert_eq!(
        file(&mut node).relays,
        relays(20),
        "an offer may be renewed"
    );
}

#[test]
fn attack_replayed_offer_of_an_accepted_or_ended_file_changes_nothing() {
    for step in [
        accepted(START.unix),
        FileStep::Declined,
        FileStep::Complete,
        FileStep::Failed("gone".to_owned()),
    ] {
        let mut node = node();
        arrive_offer(&mut node, CONTACT, &offer(1));
        file(&mut node).step = step.clone();
        let mut replayed = offer(1);
        replayed.relays = relays(20);
        arrive_offer(&mut node, CONTACT, &replayed);
        let file = file(&mut node);
        assert_eq!((&file.step, &file.relays), (&step, &relays(10)));
    }
}

#[test]
fn attack_offers_of_one_contact_stop_at_three_files_that_wait() {
    let mut node = node();
    for number in 1..=10 {
        arrive_offer(&mut node, CONTACT, &offer(number));
    }
    assert_eq!(node.transfers.files.len(), MAX_LIVE_PER_CONTACT);
    node.transfers.files.values_mut().next().unwrap().step = FileStep::Declined;
    arrive_offer(&mut node, CONTACT, &offer(11));
    assert_eq!(node.transfers.files.len(), MAX_LIVE_PER_CONTACT + 1);
}

#[test]
fn attack_offer_above_the_size_of_this_node_is_not_accepted() {
    let max = config().max_file_bytes;
    for (bytes, is_accepted) in [(max, true), (max + 1, false)] {
        let mut node = node();
        let mut offer = offer(1);
        offer.size = size(bytes);
        arrive_offer(&mut node, CONTACT, &offer);
        let number = *node.transfers.files.keys().next().unwrap();
        let (transfers, fx, context) = node.transferring();
        let asked = (number, Some(Level::Normal));
        let accepted = transfers.accept(fx, COMMAND, asked, context);
        assert_eq!(accepted.is_ok(), is_accepted, "{accepted:?}");
    }
}

#[test]
fn attack_offers_of_many_contacts_stop_at_256_files() {
    let mut node = node();
    for number in 0..300_u16 {
        let contact = u8::try_from(usize::from(number) / MAX_LIVE_PER_CONTACT).unwrap();
        let mut offer = offer(1);
        offer.id.0[..2].copy_from_slice(&number.to_be_bytes());
        arrive_offer(&mut node, ConversationId([contact; 32]), &offer);
    }
    assert_eq!(node.transfers.files.len(), MAX_FILES);
}

#[test]
fn attack_answer_of_another_contact_moves_no_file() {
    for verdict in [
        FileVerdict::Accepted(schedule(START.unix, [0, 1])),
        FileVerdict::Declined,
        FileVerdict::Received,
        FileVerdict::OtherRelays(relays(20)),
    ] {
        let mut node = offering();
        arrive_answer(&mut node, OTHER, verdict);
        assert_eq!(file(&mut node).step, FileStep::Offered);
    }
}

/// The user has not accepted: the sender may not do it in the user's place, and may not call the file done.
#[test]
fn attack_answer_of_a_sender_to_its_own_offer_accepts_nothing() {
    for verdict in [
        FileVerdict::Accepted(schedule(START.unix, [0, 1])),
        FileVerdict::Declined,
        FileVerdict::Received,
        FileVerdict::OtherRelays(relays(20)),
    ] {
        let mut node = node();
        arrive_offer(&mut node, CONTACT, &offer(1));
        arrive_answer(&mut node, CONTACT, verdict);
        assert_eq!(file(&mut node).step, FileStep::Offered);
    }
}

#[test]
fn attack_answer_that_begins_late_or_names_no_relay_of_the_offer_is_dropped() {
    let far = START.unix.after(2 * 3_600);
    for schedule in [schedule(far, [0, 1]), schedule(START.unix, [0, 2])] {
        let mut node = offering();
        arrive_answer(&mut node, CONTACT, FileVerdict::Accepted(schedule));
        assert_eq!(file(&mut node).step, FileStep::Offered, "{schedule:?}");
    }
    let mut node = offering();
    let verdict = FileVerdict::Accepted(schedule(START.unix, [0, 1]));
    arrive_answer(&mut node, CONTACT, verdict);
    assert!(file(&mut node).step.is_accepted());
}

/// Cookies and keys of an attempt come from the start of its answer: an older start would use them again.
#[test]
fn attack_replayed_answer_begins_no_window_again() {
    for answered in [START.unix, START.unix.before(600)] {
        let mut node = offering();
        let step = accepted(START.unix);
        file(&mut node).step = step.clone();
        let verdict = FileVerdict::Accepted(schedule(answered, [1, 0]));
        arrive_answer(&mut node, CONTACT, verdict);
        assert_eq!(file(&mut node).step, step);
    }
    let mut node = offering();
    file(&mut node).step = accepted(START.unix.before(600));
    let verdict = FileVerdict::Accepted(schedule(START.unix, [1, 0]));
    arrive_answer(&mut node, CONTACT, verdict);
    assert_ne!(file(&mut node).step, accepted(START.unix.before(600)));
}

/// Each proposal costs the sender a message and a choice among relays.
#[test]
fn attack_proposals_of_relays_without_end_are_dropped_after_four() {
    for (proposals, step) in [
        (MAX_PROPOSALS, FileStep::Offered),
        (MAX_PROPOSALS - 1, FileStep::Failed(String::new())),
    ] {
        let mut node = offering();
        file(&mut node).proposals = proposals;
        arrive_answer(&mut node, CONTACT, FileVerdict::OtherRelays(relays(20)));
        // This node knows no relay, so that a proposal that it looks at fails the file.
        let is_failed = matches!(file(&mut node).step, FileStep::Failed(_));
        assert_eq!(
            is_failed,
            matches!(step, FileStep::Failed(_)),
            "{proposals}"
        );
    }
}

#[test]
fn attack_proposal_during_a_hand_over_that_has_met_is_dropped() {
    let mut node = offering();
    let step = accepted(START.unix);
    file(&mut node).step = step.clone();
    node.transfers.met.insert(1);
    arrive_answer(&mut node, CONTACT, FileVerdict::OtherRelays(relays(20)));
    assert_eq!(file(&mut node).step, step);
}
