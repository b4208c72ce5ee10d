use zeroize::Zeroizing;

use super::prepare::generation_row;
use super::*;
use crate::contact::card::CARD_LEN;
use crate::contact::card::file::{BadCardFile, decode as decode_card_file};
use crate::contact::card::key::CardKey;
use crate::contact::period::DAY;
use crate::node::fixture::START;
use crate::state::StateId;

mod locked;

const NAME: &str = "desk";

/// A node with own cards, its clock, and its disk.
struct Scene {
    fx: Effects,
    cards: OwnCards,
    now: Now,
    disk: BTreeMap<(StateTable, StateId), Zeroizing<Vec<u8>>>,
    messages: u64,
}

impl Scene {
    fn empty() -> Self {
        Self {
            fx: Effects::for_test(),
            cards: OwnCards::default(),
            now: START,
            disk: BTreeMap::new(),
            messages: 0,
        }
    }

    /// A node with one address.
    fn new() -> (Self, ContactId) {
        let mut scene = Self::empty();
        let seed = Zeroizing::new([3; 32]);
        let created = scene
            .cards
            .create(&mut scene.fx, scene.now, NAME.to_owned(), seed);
        let (id, prepared) = created.unwrap();
        scene.store(prepared);
        (scene, id)
    }

    fn store(&mut self, prepared: Prepared) {
        let changes = prepared.changes;
        if !changes.is_empty() {
            self.write(changes);
            self.cards.on_stored();
        }
    }

    fn write(&mut self, changes: Vec<StateChange>) {
        for change in changes {
            match change {
                StateChange::Put { table, id, value } => self.disk.insert((table, id), value),
                StateChange::Delete { table, id } => self.disk.remove(&(table, id)),
            };
        }
    }

    /// One turn; every envelope is sent at once and seen by the network.
    fn turn(&mut self) -> Vec<DueCard> {
        let prepared = self.cards.prepare(&mut self.fx, self.now);
        self.store(prepared);
        let due = self.cards.publish(&mut self.fx, self.now.unix);
        for card in &due {
            self.messages += 1;
            let message = MessageId(self.messages);
            self.cards.on_started(self.now.unix, card.name, Ok(message));
            let left = self.cards.on_left(message);
            self.write(left.into_iter().collect());
            let ended = self.cards.on_ended(self.now.unix, message, true);
            self.write(ended.into_iter().collect());
        }
        due
    }

    /// A turn each hour for so many days, after `each` of it.
    fn run(&mut self, days: u32, mut each: impl FnMut(&mut Self, &DueCard)) {
        for _ in 0..days * 24 {
            self.pass(3_600);
            for due in self.turn() {
                each(self, &due);
            }
        }
    }

    fn pass(&mut self, secs: u32) {
        self.now.unix = self.now.unix.after(secs);
        self.now.mono = self.now.mono.after(Duration::from_secs(secs.into()));
    }

    fn restart(&mut self) {
        self.cards = OwnCards::default();
        for ((table, id), value) in &self.disk {
            let row = StateRow {
                table: *table,
                id: id.clone(),
                value: value.clone(),
            };
            self.cards.restore(&row).unwrap();
        }
    }
}

fn open(due: &DueCard) -> crate::contact::card::VerifiedCard {
    CardKey::of(&due.name.id, due.name.publication)
        .open(&due.data)
        .unwrap()
}

#[test]
fn every_published_card_is_accepted_by_readers() {
    let (mut scene, id) = Scene::new();
    let mut published = 0;
    let mut generations = std::collections::BTreeSet::new();
    scene.run(60, |scene, due| {
        let card = open(due);
        assert_eq!(card.id(), &id);
        assert!(card.rank().serial <= Period::at(&id, scene.now.unix));
        generations.insert(card.block().generation());
        published += 1;
    });
    // Three a day; the certificate was renewed and the keys changed on the way.
    assert!((178..=183).contains(&published), "{published}");
    assert!(generations.len() >= 8, "{}", generations.len());
}

#[test]
fn replicas_of_one_period_are_one_card() {
    let (mut scene, _) = Scene::new();
    let mut cards = BTreeMap::new();
    scene.run(10, |_, due| {
        let card = open(due);
        let known = cards.entry(card.period()).or_insert_with(|| card.clone());
        assert_eq!(known, &card);
    });
}

#[test]
fn at_most_two_generations_open_first_messages() {
    let (mut scene, id) = Scene::new();
    for _ in 0..40 * 24 {
        scene.pass(3_600);
        scene.turn();
        let live: Vec<_> = scene.cards.live_keys(scene.now.unix).collect();
        let today = Period::at(&id, scene.now.unix);
        assert!((1..=2).contains(&live.len()));
        for (_, keys) in live {
            assert!(keys.generation().erased_in() > today);
        }
        let rows = scene.disk.keys();
        let kept = rows.filter(|(table, _)| *table == StateTable::Generation);
        assert!(kept.count() <= 2);
    }
}

/// Seizure: the keys of a generation are neither in memory nor on the disk when it is over.
#[test]
fn expired_generation_is_erased_from_memory_and_disk() {
    let (mut scene, id) = Scene::new();
    let first = Period::at(&id, scene.now.unix).generation();
    let row = (
        StateTable::Generation,
        StateId::new(generation_row((id, first))),
    );
    assert!(scene.disk.contains_key(&row));
    let over = first.erased_in().begin(&id);
    scene.now.unix = over.before(1);
    scene.turn();
    assert!(scene.cards.keys_mut(&id, first).is_some());
    scene.now.unix = over;
    let prepared = scene.cards.prepare(&mut scene.fx, scene.now);
    assert_eq!(prepared.erased, [(id, first)]);
    assert!(prepared.keys_changed);
    scene.store(prepared);
    assert!(scene.cards.keys_mut(&id, first).is_none());
    assert!(!scene.disk.contains_key(&row));
}

#[test]
fn nothing_is_published_before_its_keys_are_durable() {
    let mut scene = Scene::empty();
    let seed = Zeroizing::new([3; 32]);
    let created = scene
        .cards
        .create(&mut scene.fx, scene.now, NAME.to_owned(), seed);
    let (_, first) = created.unwrap();
    scene.pass(1_800);
    let second = scene.cards.prepare(&mut scene.fx, scene.now);
    assert!(!second.changes.is_empty());
    assert!(
        scene
            .cards
            .publish(&mut scene.fx, scene.now.unix)
            .is_empty()
    );
    scene.store(first);
    assert!(
        scene
            .cards
            .publish(&mut scene.fx, scene.now.unix)
            .is_empty()
    );
    scene.store(second);
    assert_eq!(scene.cards.publish(&mut scene.fx, scene.now.unix).len(), 3);
}

/// An observer with the address collects all insertion times, and looks for the restarts of the owner.
#[test]
fn restarts_change_neither_times_nor_cards() {
    let published = |restarts: bool| {
        let (mut scene, _) = Scene::new();
        let mut published = Vec::new();
        for hour in 0..15 * 24 {
            scene.pass(3_600);
            if restarts && hour % 5 == 0 {
                scene.restart();
            }
            for due in scene.turn() {
                let card = open(&due);
                published.push((scene.now.unix, due.name, card.rank()));
            }
        }
        published
    };
    assert_eq!(published(true), published(false));
}

#[test]
fn kill_between_sealing_and_leaving_publishes_again_and_after_leaving_does_not() {
    let (mut scene, _) = Scene::new();
    scene.pass(1_800);
    let prepared = scene.cards.prepare(&mut scene.fx, scene.now);
    scene.store(prepared);
    let due = scene.cards.publish(&mut scene.fx, scene.now.unix);
    assert_eq!(due.len(), 3);
    for (number, card) in due.iter().enumerate() {
        let message = MessageId(u64::try_from(number).unwrap());
        scene
            .cards
            .on_started(scene.now.unix, card.name, Ok(message));
    }
    let left = scene.cards.on_left(MessageId(0));
    scene.write(left.into_iter().collect());
    scene.restart();
    let again = scene.turn();
    let names: Vec<_> = again.iter().map(|due| due.name).collect();
    assert_eq!(names.len(), 2);
    assert!(!names.contains(&due[0].name));
}

#[test]
fn unavailable_level_makes_cards_wait_and_names_the_reason() {
    let (mut scene, id) = Scene::new();
    scene.pass(1_800);
    let prepared = scene.cards.prepare(&mut scene.fx, scene.now);
    scene.store(prepared);
    let reason = "bulletin needs 24 mixing relays; 3 are known";
    for due in scene.cards.publish(&mut scene.fx, scene.now.unix) {
        let refused = Err(reason.to_owned());
        scene.cards.on_started(scene.now.unix, due.name, refused);
    }
    assert_eq!(scene.cards.obstacle(&id), Some(reason));
    assert!(
        scene
            .cards
            .publish(&mut scene.fx, scene.now.unix)
            .is_empty()
    );
    scene.pass(300);
    assert_eq!(scene.turn().len(), 3);
    assert_eq!(scene.cards.obstacle(&id), None);
    let today = Period::at(&id, scene.now.unix);
    assert_eq!(
        scene.cards.published_today(&id, scene.now.unix),
        1,
        "{today:?}"
    );
}

#[test]
fn envelope_that_the_network_does_not_show_is_sealed_anew_twice() {
    let (mut scene, _) = Scene::new();
    scene.pass(1_800);
    let prepared = scene.cards.prepare(&mut scene.fx, scene.now);
    scene.store(prepared);
    let mut seen = std::collections::BTreeSet::new();
    for attempt in 0..3_u64 {
        let due = scene.cards.publish(&mut scene.fx, scene.now.unix);
        assert_eq!(due.len(), 3, "attempt {attempt}");
        for card in due {
            assert!(seen.insert(card.data));
            scene.messages += 1;
            let message = MessageId(scene.messages);
            scene
                .cards
                .on_started(scene.now.unix, card.name, Ok(message));
            scene.cards.on_left(message).unwrap();
            scene
                .cards
                .on_ended(scene.now.unix, message, false)
                .unwrap();
        }
        scene.pass(600);
    }
    assert!(
        scene
            .cards
            .publish(&mut scene.fx, scene.now.unix)
            .is_empty()
    );
}

#[test]
fn changed_terms_raise_the_revision_and_add_no_publication() {
    let (mut scene, id) = Scene::new();
    scene.run(3, |_, _| {});
    let terms = CardTerms {
        ticket_bits: 20,
        ..CardTerms::default()
    };
    let before = scene.cards.card(&id, scene.now.unix).unwrap().clone();
    let planned = scene.cards.next_planned(&id);
    let prepared = scene.cards.set_terms(scene.now.unix, &id, terms);
    scene.store(prepared);
    let today = Period::at(&id, scene.now.unix);
    let after = scene.cards.card(&id, scene.now.unix).unwrap().clone();
    let (before, after) = (before.verify(&id, today), after.verify(&id, today));
    assert!(
        after
            .as_ref()
            .unwrap()
            .replaces(&before.unwrap(), scene.now.unix)
    );
    assert_eq!(after.unwrap().terms(), terms);
    assert_eq!(scene.cards.next_planned(&id), planned);
    // It survives a restart.
    scene.restart();
    assert_eq!(scene.cards.named(NAME).unwrap().terms(), terms);
}

/// The cards of yesterday ask for less work than those of today, and sources that have them are right to do
/// less, whether or not the node was restarted in between.
#[test]
fn raised_ticket_bits_and_those_of_earlier_cards_survive_a_restart() {
    let (mut scene, id) = Scene::new();
    let least = CardTerms::default().ticket_bits;
    for ticket_bits in [least + 1, least + 2] {
        let terms = CardTerms {
            ticket_bits,
            ..CardTerms::default()
        };
        let prepared = scene.cards.set_terms(scene.now.unix, &id, terms);
        scene.store(prepared);
    }
    let required = |scene: &Scene, secs| {
        let address = scene.cards.named(NAME).unwrap();
        address.required_bits(scene.now.unix.after(secs))
    };
    assert_eq!(required(&scene, 0), least);
    scene.restart();
    assert_eq!(required(&scene, 0), least);
    assert_eq!(required(&scene, 5 * DAY - 1), least);
    assert_eq!(required(&scene, 5 * DAY), least + 2);
}

#[test]
fn helper_publishes_exported_cards_without_any_key() {
    let (mut owner, id) = Scene::new();
    let exported = owner.cards.export(&mut owner.fx, owner.now.unix, NAME, 14);
    let (file, prepared) = exported.unwrap();
    owner.store(prepared);
    assert_eq!(file.len(), 9 + 14 * CARD_LEN);
    let mut helper = Scene::empty();
    let imported = helper.cards.import(&mut helper.fx, helper.now.unix, &file);
    let (count, prepared) = imported.unwrap();
    assert_eq!(count, 14);
    helper.store(prepared);
    helper.restart();
    let mut of_period: BTreeMap<Period, usize> = BTreeMap::new();
    helper.run(16, |_, due| {
        let card = open(due);
        assert_eq!(card.id(), &id);
        *of_period.entry(card.period()).or_default() += 1;
    });
    let today = Period::at(&id, START.unix);
    for day in 2..14 {
        assert_eq!(of_period.get(&today.after(day)), Some(&3), "day {day}");
    }
    assert_eq!(of_period.keys().max(), Some(&today.after(13)));
    assert!(helper.disk.is_empty(), "nothing is kept when all are over");
    // The owner can open what is sent to each of these cards.
    for day in 0..14 {
        owner.now.unix = START.unix.after(day * DAY);
        owner.turn();
        let generation = Period::at(&id, owner.now.unix).generation();
        let live = owner.cards.live_keys(owner.now.unix);
        assert!(
            live.map(|(_, keys)| keys.generation())
                .any(|g| g == generation)
        );
    }
}

#[test]
fn damaged_card_file_is_refused_by_name() {
    let (mut owner, _) = Scene::new();
    let exported = owner.cards.export(&mut owner.fx, owner.now.unix, NAME, 3);
    let (file, _) = exported.unwrap();
    assert!(decode_card_file(&file).is_ok());
    let refused = |file: &[u8]| decode_card_file(file).unwrap_err();
    assert_eq!(refused(b"GIF89a"), BadCardFile::Magic);
    assert_eq!(refused(&file[..file.len() - 1]), BadCardFile::Length);
    assert_eq!(refused(&file[..9]), BadCardFile::Length);
    let mut altered = file.clone();
    altered[9 + 700] ^= 1;
    assert!(matches!(refused(&altered), BadCardFile::Card(_)));
    let mut swapped = file[..9].to_vec();
    for card in [2, 1, 0] {
        swapped.extend_from_slice(&file[9 + card * CARD_LEN..9 + (card + 1) * CARD_LEN]);
    }
    assert_eq!(refused(&swapped), BadCardFile::Order);
    let mut repeated = file[..9].to_vec();
    for card in [0, 1, 1] {
        repeated.extend_from_slice(&file[9 + card * CARD_LEN..9 + (card + 1) * CARD_LEN]);
    }
    assert_eq!(refused(&repeated), BadCardFile::Order);
    // The owner's own node publishes its cards itself.
    assert!(
        owner
            .cards
            .import(&mut owner.fx, owner.now.unix, &file)
            .is_err()
    );
    owner.now.unix = owner.now.unix.after(20 * DAY);
    let mut late = Scene::empty();
    assert!(
        late.cards
            .import(&mut late.fx, owner.now.unix, &file)
            .is_err()
    );
}

#[test]
fn wrong_number_of_days_is_refused() {
    let (mut owner, _) = Scene::new();
    for days in [0, 15, u32::MAX] {
        let exported = owner
            .cards
            .export(&mut owner.fx, owner.now.unix, NAME, days);
        assert!(exported.is_err(), "{days}");
    }
}

#[test]
fn second_address_of_the_same_name_or_seed_is_refused() {
    let (mut scene, _) = Scene::new();
    let mut create = |name: &str, seed| {
        let seed = Zeroizing::new([seed; 32]);
        let created = scene
            .cards
            .create(&mut scene.fx, scene.now, name.to_owned(), seed);
        created.is_ok()
    };
    assert!(!create(NAME, 4));
    assert!(!create("other", 3));
    assert!(create("other", 4));
}
