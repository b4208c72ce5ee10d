//! Cards of a node whose state is locked.

use super::*;

impl Scene {
    /// Locks the state: what is left has no keys.
    fn lock(&mut self) {
        let (locked, prepared) = self.cards.lock(&mut self.fx, self.now.unix);
        self.cards = locked;
        self.store(prepared);
    }

    /// A turn of a locked node: nothing becomes durable.
    fn locked_turn(&mut self) -> Vec<DueCard> {
        self.cards.prepare_locked(&mut self.fx, self.now);
        let due = self.cards.publish(&mut self.fx, self.now.unix);
        for card in &due {
            self.messages += 1;
            let message = MessageId(self.messages);
            self.cards.on_started(self.now.unix, card.name, Ok(message));
            let _not_stored = self.cards.on_left(message);
            let _not_stored = self.cards.on_ended(self.now.unix, message, true);
        }
        due
    }

    /// Opens the state: the rows come on top of what is in memory.
    fn unlock(&mut self) {
        for ((table, id), value) in &self.disk {
            let row = StateRow {
                table: *table,
                id: id.clone(),
                value: value.clone(),
            };
            self.cards.restore(&row).unwrap();
        }
        let changes = self.cards.on_unlocked();
        self.write(changes);
    }
}

#[test]
fn locked_node_has_no_keys_and_publishes_three_cards_a_day_for_eleven_days() {
    let (mut scene, id) = Scene::new();
    scene.run(3, |_, _| {});
    scene.lock();
    assert_eq!(scene.cards.addresses().count(), 0);
    assert_eq!(scene.cards.live_keys(scene.now.unix).count(), 0);
    let mut published = 0;
    // Cards of 14 periods, of which the last ones begin two days before.
    for _ in 0..11 * 24 {
        scene.pass(3_600);
        for due in scene.locked_turn() {
            let card = open(&due);
            let today = Period::at(&id, scene.now.unix);
            assert!(card.period() >= today && card.period() <= today.after(2));
            published += 1;
        }
    }
    assert!((32..=34).contains(&published), "{published}");
}

#[test]
fn cards_that_were_published_while_locked_are_not_published_again() {
    let (mut scene, id) = Scene::new();
    scene.run(3, |_, _| {});
    scene.lock();
    let mut names = std::collections::BTreeSet::new();
    for _ in 0..4 * 24 {
        scene.pass(3_600);
        for due in scene.locked_turn() {
            assert!(names.insert(due.name));
        }
    }
    scene.unlock();
    assert_eq!(scene.cards.addresses().count(), 1);
    // A crash after the unlock changes nothing: what was drawn meanwhile is durable now.
    scene.restart();
    let unlocked = Period::at(&id, scene.now.unix);
    scene.run(3, |_, due| {
        assert!(names.insert(due.name), "published twice: {:?}", due.name);
        let card = open(due);
        // Cards that were signed ahead and not used state the day on which they are made.
        if card.period() > unlocked.after(2) {
            assert!(card.rank().serial >= unlocked);
        }
    });
}
