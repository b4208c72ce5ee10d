//! Talk lines through simulated networks: two users exchange lines within seconds, and what the network sees
//! does not depend on what they type.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]
#![expect(clippy::panic, reason = "a test may fail loudly")]

#[path = "support/correspondents.rs"]
mod correspondents;

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use circuits::level::Level;
use whisht::node::{
    Command, Event, MessageDirection, MessagePartView, Refusal, Reply, TalkCommand, TalkEvent,
    TalkReply, TalkStage, TalkView,
};
use whisht::sim::{Recorder, TraceEntry, TrafficKind, TrafficLog};
use zeroize::Zeroizing;

use self::correspondents::{Correspondents, HOUR, READER, RELAYS, SOURCE, peers_of};

/// Length of a cell on a link (docs/wire.md).
const CELL_FRAME: usize = 976;

type Observers = (Recorder, TrafficLog);

/// A reader and a source who talk.
struct Scene {
    pair: Correspondents,
}

impl Deref for Scene {
    type Target = Correspondents;

    fn deref(&self) -> &Correspondents {
        &self.pair
    }
}

impl DerefMut for Scene {
    fn deref_mut(&mut self) -> &mut Correspondents {
        &mut self.pair
    }
}

impl Scene {
    /// Both have written to each other, and both know it.
    fn open() -> Self {
        let observers = Box::<Observers>::default();
        let mut pair = Correspondents::meet(observers, &peers_of(READER), |_| {});
        pair.write(SOURCE, "desk", "here I am");
        pair.wait_until(|pair| pair.is_open(READER, "source"));
        Self { pair }
    }

    /// The reader has offered a line, the source has accepted it, and both have met.
    fn talking() -> Self {
        let mut scene = Self::open();
        scene.offer();
        scene.talk(SOURCE, "desk").unwrap();
        scene.run_until(HOUR, |scene| {
            scene.stage(READER) == Some(TalkStage::Open)
                && scene.stage(SOURCE) == Some(TalkStage::Open)
        });
        scene
    }

    /// The reader offers a line, and the source has the offer.
    fn offer(&mut self) {
        let view = self.talk(READER, "source").unwrap();
        assert_eq!(view.stage, TalkStage::Offered);
        self.run_until(HOUR, |scene| {
            scene.stage(SOURCE) == Some(TalkStage::Offered)
        });
    }

    fn ask(&mut self, at: usize, command: TalkCommand) -> Result<TalkReply, Refusal> {
        let patience = Duration::from_secs(1);
        match self.world.ask(at, Command::Talk(command), patience)? {
            Reply::Talk(reply) => Ok(*reply),
            other => panic!("{other:?}"),
        }
    }

    fn talk(&mut self, at: usize, to: &str) -> Result<TalkView, Refusal> {
        let (to, level) = (to.to_owned(), Some(Level::Normal));
        match self.ask(at, TalkCommand::Talk { to, level })? {
            TalkReply::Talk(view) => Ok(view),
            other => panic!("{other:?}"),
        }
    }

    fn say(&mut self, at: usize, text: &str) {
        let to = if at == READER { "source" } else { "desk" };
        let (to, text) = (to.to_owned(), Zeroizing::new(text.to_owned()));
        self.ask(at, TalkCommand::Say { to, text }).unwrap();
    }

    /// The stage of the only line of a node; `None` without one.
    fn stage(&mut self, at: usize) -> Option<TalkStage> {
        match self.ask(at, TalkCommand::List).unwrap() {
            TalkReply::Talks(mut talks) => talks.pop().map(|view| view.stage),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn run_until(&mut self, patience: Duration, mut is: impl FnMut(&mut Self) -> bool) {
        let (step, mut waited) = (Duration::from_secs(10), Duration::ZERO);
        while !is(self) {
            assert!(waited < patience, "it did not happen in {patience:?}");
            self.world.run(step);
            waited += step;
        }
    }

    fn events(&self, at: usize) -> Vec<TalkEvent> {
        let (recorder, _) = self.world.observer::<Observers>().unwrap();
        let events = recorder.events(at).iter();
        events
            .filter_map(|(_, event)| match event {
                Event::Talk(event) => Some((**event).clone()),
                _ => None,
            })
            .collect()
    }

    fn lines(&self, at: usize) -> Vec<String> {
        let events = self.events(at).into_iter();
        events
            .filter_map(|event| match event {
                TalkEvent::Line { text, .. } => Some(text),
                TalkEvent::Stage(_) => None,
            })
            .collect()
    }

    /// Why the last line of a node ended.
    fn ending(&self, at: usize) -> Option<String> {
        let events = self.events(at).into_iter();
        let mut ended = events.filter_map(|event| match event {
            TalkEvent::Stage(view) => match view.stage {
                TalkStage::Ended { reason } => Some(reason),
                _ => None,
            },
            TalkEvent::Line { .. } => None,
        });
        ended.next_back()
    }

    /// The cells that an observer sees from here on, on all links of one node.
    fn cells_since(&self, at: usize, since: usize) -> Vec<TraceEntry> {
        let (_, log) = self.world.observer::<Observers>().unwrap();
        let entries = log.entries().iter().skip(since);
        entries
            .filter(|entry| entry.kind == TrafficKind::Bytes && entry.size == CELL_FRAME)
            .filter(|entry| entry.from == at || entry.to == at)
            .copied()
            .collect()
    }

    fn observed(&self) -> usize {
        let (_, log) = self.world.observer::<Observers>().unwrap();
        log.entries().len()
    }
}

#[test]
fn two_users_exchange_lines_within_seconds_and_nothing_of_them_is_stored() {
    let mut scene = Scene::open();
    scene.offer();
    let offered = scene.events(SOURCE).pop().unwrap();
    let TalkEvent::Stage(view) = offered else {
        panic!("no offer");
    };
    assert_eq!(
        (view.contact.as_str(), view.direction, view.bytes_per_minute),
        ("desk", MessageDirection::In, 58_560)
    );
    scene.talk(SOURCE, "desk").unwrap();
    scene.run_until(HOUR, |scene| {
        scene.stage(READER) == Some(TalkStage::Open) && scene.stage(SOURCE) == Some(TalkStage::Open)
    });
    scene.say(READER, "are you safe?");
    scene.say(SOURCE, "yes");
    scene.say(SOURCE, "for an hour");
    scene.world.run(Duration::from_secs(4));
    assert_eq!(scene.lines(SOURCE), ["are you safe?"]);
    assert_eq!(scene.lines(READER), ["yes", "for an hour"]);

    // The end that hangs up, and the other one.
    let end = TalkCommand::End("desk".to_owned());
    scene.ask(SOURCE, end).unwrap();
    scene.world.run(Duration::from_secs(3));
    assert_eq!((scene.stage(SOURCE), scene.stage(READER)), (None, None));
    let reason = scene.ending(READER).unwrap();
    assert!(reason.contains("cancelled by the user"), "{reason}");
    for (at, of) in [(READER, "source"), (SOURCE, "desk")] {
        let parts = scene.parts(at, of);
        assert!(parts.contains(&MessagePartView::TalkOffer));
        assert!(!format!("{parts:?}").contains("for an hour"));
    }
    // Both may talk again.
    scene.talk(SOURCE, "desk").unwrap();
}

#[test]
fn line_of_ten_minutes_ends_at_both_sides() {
    let mut scene = Scene::talking();
    scene.world.run(Duration::from_secs(600));
    for at in [READER, SOURCE] {
        assert_eq!(scene.stage(at), None);
        let reason = scene.ending(at).unwrap();
        assert!(reason.contains("ten minutes"), "{reason}");
    }
}

#[test]
fn relay_that_dies_ends_the_line_at_both_sides_and_no_other_attempt_follows() {
    let mut scene = Scene::talking();
    for relay in (0..RELAYS).step_by(2) {
        scene.world.kill(relay);
    }
    scene.world.run(Duration::from_secs(90));
    for at in [READER, SOURCE] {
        assert_eq!(scene.stage(at), None);
        assert!(scene.ending(at).is_some());
    }
}

#[test]
fn second_offer_while_one_stands_and_level_with_cover_are_refused() {
    let mut scene = Scene::talking();
    let refused = scene.talk(READER, "source").unwrap_err();
    assert!(refused.cause.contains("already"), "{refused}");
    let refused = scene.talk(SOURCE, "desk").unwrap_err();
    assert!(refused.cause.contains("already"), "{refused}");
    let (to, level) = ("desk".to_owned(), Some(Level::Dark));
    let refused = scene.ask(SOURCE, TalkCommand::Talk { to, level });
    let refused = refused.unwrap_err();
    assert!(refused.cause.contains("`dark`"), "{refused}");
}

#[test]
fn declined_offer_ends_at_both_sides_and_opens_no_circuit() {
    let mut scene = Scene::open();
    scene.offer();
    let end = TalkCommand::End("desk".to_owned());
    scene.ask(SOURCE, end).unwrap();
    scene.run_until(HOUR, |scene| scene.stage(READER).is_none());
    let reason = scene.ending(READER).unwrap();
    assert!(reason.contains("declines"), "{reason}");
    assert_eq!(scene.stage(SOURCE), None);
}

#[test]
fn killed_node_knows_no_line_afterwards() {
    let mut scene = Scene::talking();
    scene.world.kill(SOURCE);
    scene.world.run(Duration::from_secs(30));
    assert_eq!(scene.stage(READER), None);
    scene.world.restart(SOURCE).unwrap();
    scene.world.run(Duration::from_secs(5));
    assert_eq!(scene.stage(SOURCE), None);
}

/// Two worlds of equal seeds, in one of which the users type: an observer of both lines counts the same cells
/// at the same microseconds.
#[test]
fn observer_of_both_lines_sees_equal_cells_whether_users_type_or_not() {
    let played = |types: bool| {
        let mut scene = Scene::talking();
        let since = scene.observed();
        for turn in 0..20 {
            if types {
                scene.say(READER, &format!("question {turn}"));
                scene.say(SOURCE, &"answer ".repeat(turn + 1));
            }
            scene.world.run(Duration::from_millis(1_700));
        }
        if types {
            assert!(scene.lines(READER).len() > 15 && scene.lines(SOURCE).len() > 15);
        }
        [READER, SOURCE].map(|at| scene.cells_since(at, since))
    };
    let (silent, typed) = (played(false), played(true));
    assert!(
        silent.iter().all(|cells| cells.len() >= 60),
        "a line of 34 s"
    );
    assert_eq!(silent, typed);
}
