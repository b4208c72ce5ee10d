use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use zeroize::Zeroizing;

use super::*;
use crate::contact::address_key::AddressKey;
use crate::contact::card::signer::CardSigner;
use crate::contact::card::{CardRank, CardTerms};
use crate::contact::generation::GenerationKeys;
use crate::contact::job::ContactJobResult;
use crate::contact::period::DAY;
use crate::contact::schedule::{PeriodReplica, Replica};
use crate::envelope::{NotExpired, Ttl};
use crate::node::fixture::START;
use crate::node::output::Output;
use crate::pow::PowChecked;

/// A finder with a mempool, and the owner of an address.
struct Scene {
    fx: Effects,
    finder: CardFinder,
    pool: Pool,
    rng: ChaCha20Rng,
    key: AddressKey,
    now: Now,
    /// Envelopes that were opened.
    opened: usize,
}

impl Scene {
    fn new() -> Self {
        Self {
            fx: Effects::for_test(),
            finder: CardFinder::new(START.mono),
            pool: Pool::new(64 << 20),
            rng: ChaCha20Rng::from_seed([1; 32]),
            key: AddressKey::from_seed(Zeroizing::new([1; 32])),
            now: START,
            opened: 0,
        }
    }

    fn id(&self) -> ContactId {
        self.key.id()
    }

    fn today(&self) -> Period {
        Period::at(&self.id(), self.now.unix)
    }

    fn watch(&mut self) {
        let id = self.id();
        self.finder.watch(&mut self.fx, self.now.mono, id);
        self.run();
    }

    /// A card that the owner makes.
    fn card(&mut self, period: Period, serial: Period) -> SignedCard {
        let signer = CardSigner::issue(&mut self.rng, &self.key, period);
        let keys = GenerationKeys::create(&mut self.rng, period.generation());
        let rank = CardRank {
            serial,
            revision: 0,
        };
        let terms = CardTerms::default();
        signer.sign(period, rank, keys.block(), terms).unwrap()
    }

    /// The row of a card of this owner.
    fn row(&self, card: &SignedCard) -> StateRow {
        StateRow {
            table: StateTable::Contact,
            id: crate::state::StateId::new(row_id(&self.id())),
            value: Zeroizing::new(card.as_bytes().to_vec()),
        }
    }

    fn publish(&mut self, period: Period, replica: u8, card: &SignedCard) -> EnvelopeHash {
        let replica = Replica::new(replica).unwrap();
        let key = CardKey::of(&self.id(), PeriodReplica { period, replica });
        let data = key.seal(&mut self.rng, card);
        self.pool(key.topic(), data)
    }

    /// Puts an envelope into the mempool.
    fn pool(&mut self, topic: Topic, data: Vec<u8>) -> EnvelopeHash {
        let expiry = self.now.unix.after(1_000);
        let envelope = Envelope::build(expiry, Ttl(1_000), topic, data, self.rng.next_u64());
        let alive = NotExpired::check(envelope.expiry(), envelope.ttl(), self.now.unix).unwrap();
        let pow = PowChecked::check(&envelope, alive, 0.0).unwrap();
        let _outcome = self.pool.insert(envelope.clone(), pow, alive);
        self.finder
            .on_pooled(&mut self.fx, self.now.mono, &envelope);
        envelope.hash()
    }

    /// Junk that decrypts under the key of this replica: its maker has the address.
    fn flood(&mut self, replica: u8, count: usize) {
        let other = AddressKey::from_seed(Zeroizing::new([9; 32]));
        let today = self.today();
        let owner = core::mem::replace(&mut self.key, other);
        let card = self.card(today, today);
        self.key = owner;
        for _ in 0..count {
            self.publish(today, replica, &card);
        }
    }

    /// One turn, with all jobs; returns the contacts that have a new card.
    fn run(&mut self) -> Vec<ContactId> {
        self.finder.run(&mut self.fx, self.now, &self.pool);
        let mut found = Vec::new();
        for output in self.fx.take_outputs() {
            let Output::Work(id, Job::Contact(mut job)) = output else {
                continue;
            };
            let ContactJob::Cards(search) = &*job else {
                continue;
            };
            self.opened += search.envelopes().count();
            let result = core::iter::repeat_with(|| job.step()).find_map(|result| result);
            let Some(ContactJobResult::Cards(cards)) = result else {
                panic!("a search for cards finds cards");
            };
            let changes = self
                .finder
                .on_searched(&mut self.fx, self.now, id, Some(cards));
            found.extend(changes.into_iter().map(|(id, _)| id));
        }
        found
    }

    /// Turns for so many seconds, 20 each second.
    fn run_for(&mut self, secs: u32) -> Vec<ContactId> {
        let mut found = Vec::new();
        for _ in 0..secs * 20 {
            self.now.mono = self.now.mono.after(Duration::from_millis(50));
            found.extend(self.run());
        }
        found
    }

    fn pass(&mut self, secs: u32) {
        self.now.unix = self.now.unix.after(secs);
        self.now.mono = self.now.mono.after(Duration::from_secs(secs.into()));
    }
}

#[test]
fn card_of_a_contact_is_found_in_new_envelopes() {
    let mut scene = Scene::new();
    scene.watch();
    let today = scene.today();
    let card = scene.card(today, today.before(2));
    scene.publish(today, 1, &card);
    assert_eq!(scene.run_for(1), [scene.id()]);
    let found = scene.finder.card(&scene.id(), scene.now.unix).unwrap();
    assert_eq!(found.card(), &card);
}

#[test]
fn card_in_the_mempool_is_found_when_its_owner_becomes_a_contact() {
    let mut scene = Scene::new();
    let today = scene.today();
    for number in 0..1_500_u32 {
        scene.pool(Topic(number.to_be_bytes()), vec![1; 40]);
    }
    let card = scene.card(today, today);
    scene.publish(today, 0, &card);
    // The place of the card in the order of hashes is random.
    scene.watch();
    scene.run_for(1);
    let found = scene.finder.newest(&scene.id()).unwrap();
    assert_eq!(found.card(), &card);
    assert_eq!(scene.opened, 1);
}

/// The card of the day after tomorrow is published today; its topics are looked up from tomorrow on.
#[test]
fn card_that_was_published_ahead_is_found_when_the_period_turns() {
    let mut scene = Scene::new();
    scene.watch();
    let ahead = scene.today().after(2);
    let card = scene.card(ahead, ahead.before(2));
    scene.publish(ahead, 0, &card);
    assert_eq!(scene.run_for(1), []);
    scene.pass(DAY);
    assert_eq!(scene.run_for(1), [scene.id()]);
}

#[test]
fn replayed_older_card_never_replaces_a_newer_one() {
    let mut scene = Scene::new();
    scene.watch();
    let today = scene.today();
    let old = scene.card(today, today.before(2));
    let new = scene.card(today, today);
    scene.publish(today, 0, &new);
    assert_eq!(scene.run_for(1), [scene.id()]);
    scene.publish(today, 0, &old);
    scene.publish(today, 2, &old);
    assert_eq!(scene.run_for(1), []);
    let newest = scene.finder.newest(&scene.id()).unwrap();
    assert_eq!(newest.card(), &new);
}

/// The floor holds over a restart, also when the card itself is over.
#[test]
fn replayed_older_card_is_refused_after_a_restart() {
    let mut scene = Scene::new();
    scene.watch();
    let today = scene.today();
    let new = scene.card(today, today);
    let replay = scene.card(today.after(3), today.before(1));
    scene.publish(today, 0, &new);
    scene.run_for(1);
    let mut restarted = CardFinder::new(scene.now.mono);
    assert_eq!(restarted.restore(&scene.row(&new)), Ok(true));
    scene.finder = restarted;
    scene.pass(3 * DAY);
    scene.watch();
    assert!(scene.finder.card(&scene.id(), scene.now.unix).is_none());
    scene.publish(today.after(3), 0, &replay);
    assert_eq!(scene.run_for(1), []);
    assert_eq!(scene.finder.newest(&scene.id()).unwrap().card(), &new);
}

#[test]
fn restored_cards_are_checked_sixteen_a_turn_and_before_any_candidate() {
    let mut scene = Scene::new();
    let mut ids = Vec::new();
    for seed in 2..42 {
        scene.key = AddressKey::from_seed(Zeroizing::new([seed; 32]));
        let today = scene.today();
        let card = scene.card(today, today);
        assert_eq!(scene.finder.restore(&scene.row(&card)), Ok(true));
        let id = scene.id();
        scene.finder.watch(&mut scene.fx, scene.now.mono, id);
        ids.push(id);
    }
    for expected in [16, 32, 40] {
        assert_eq!(scene.opened, 0);
        scene.run();
        let known = ids.iter().filter(|id| scene.finder.newest(id).is_some());
        assert_eq!(known.count(), expected);
        scene.flood(0, 1);
    }
    scene.run_for(1);
    assert!(scene.opened > 0);
}

/// Suppression: a holder of the address fills all topics with junk that decrypts, before the card.
#[test]
fn junk_under_every_topic_does_not_hide_the_card() {
    let mut scene = Scene::new();
    scene.watch();
    for replica in 0..3 {
        scene.flood(replica, 700);
    }
    let today = scene.today();
    let card = scene.card(today, today);
    scene.publish(today, 1, &card);
    // 2,101 candidates at 200 a second, and a burst of 200.
    let found = scene.run_for(11);
    assert_eq!(found, [scene.id()]);
    assert_eq!(scene.opened, 2_101);
}

#[test]
fn flood_of_junk_is_opened_at_the_bounded_rate() {
    let mut scene = Scene::new();
    scene.watch();
    scene.flood(0, 1_000);
    scene.run_for(1);
    assert!(scene.opened <= 400, "{} opened in a second", scene.opened);
    scene.run_for(60);
    assert_eq!(scene.opened, 1_000);
}

#[test]
fn candidate_is_opened_once() {
    let mut scene = Scene::new();
    scene.watch();
    scene.flood(0, 10);
    scene.run_for(1);
    // The period turns and the mempool is looked through again.
    scene.pass(DAY);
    scene.run_for(1);
    assert_eq!(scene.opened, 10);
}

#[test]
fn candidate_of_a_lost_search_is_opened_again() {
    let mut scene = Scene::new();
    scene.watch();
    let today = scene.today();
    let card = scene.card(today, today);
    scene.publish(today, 1, &card);
    scene.finder.run(&mut scene.fx, scene.now, &scene.pool);
    let outputs = scene.fx.take_outputs().into_iter();
    let jobs: Vec<_> = outputs
        .filter_map(|output| match output {
            Output::Work(id, _) => Some(id),
            _ => None,
        })
        .collect();
    let [job] = jobs[..] else {
        panic!("one search");
    };
    let now = scene.now;
    assert!(
        scene
            .finder
            .on_searched(&mut scene.fx, now, job, None)
            .is_empty()
    );
    assert_eq!(scene.run_for(1), [scene.id()]);
}

#[test]
fn forgotten_contact_is_not_looked_for() {
    let mut scene = Scene::new();
    scene.watch();
    let id = scene.id();
    let StateChange::Delete { table, .. } = scene.finder.forget(&id) else {
        panic!("its row is erased");
    };
    assert_eq!(table, StateTable::Contact);
    let today = scene.today();
    let card = scene.card(today, today);
    scene.publish(today, 1, &card);
    assert_eq!(scene.run_for(1), []);
    assert_eq!(scene.opened, 0);
    // It is found again when it becomes a contact again.
    scene.watch();
    assert!(scene.finder.newest(&id).is_some());
}

#[test]
fn envelopes_of_other_topics_and_sizes_are_not_opened() {
    let mut scene = Scene::new();
    scene.watch();
    let today = scene.today();
    let replica = Replica::new(0).unwrap();
    let key = CardKey::of(
        &scene.id(),
        PeriodReplica {
            period: today,
            replica,
        },
    );
    scene.pool(key.topic(), vec![7; CARD_DATA_LEN - 1]);
    scene.pool(Topic([1; 4]), vec![7; CARD_DATA_LEN]);
    scene.run_for(1);
    assert_eq!(scene.opened, 0);
    scene.pool(key.topic(), vec![7; CARD_DATA_LEN]);
    scene.run_for(1);
    assert_eq!(scene.opened, 1);
}

/// Finding a card is passive: neither the contact nor the found card makes this node announce, request or
/// send anything.
#[test]
fn looking_for_cards_asks_no_peer() {
    let mut scene = Scene::new();
    scene
        .finder
        .watch(&mut scene.fx, scene.now.mono, scene.key.id());
    let today = scene.today();
    let card = scene.card(today, today);
    scene.flood(0, 20);
    scene.publish(today, 1, &card);
    for _ in 0..20 {
        scene.pass(1);
        scene.finder.run(&mut scene.fx, scene.now, &scene.pool);
        assert!(scene.fx.take_actions().is_empty());
        for output in scene.fx.take_outputs() {
            let Output::Work(id, Job::Contact(mut job)) = output else {
                panic!("only jobs come from the search");
            };
            let result = core::iter::repeat_with(|| job.step()).find_map(|result| result);
            if let Some(ContactJobResult::Cards(cards)) = result {
                scene
                    .finder
                    .on_searched(&mut scene.fx, scene.now, id, Some(cards));
            }
        }
    }
    assert!(scene.finder.newest(&scene.id()).is_some());
    assert!(scene.fx.take_actions().is_empty());
}
