//! Loss, reordering, repetition, absences beyond the life of envelopes, crossing offers, lost accepts.
//!
//! The schedule is that of the model of the specification: one step is 1,728 s, an envelope takes up to 40
//! steps and lives 150, which is three days; a message has three attempts. Here the cryptography is real.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

use super::super::*;
use super::fixture::*;
use crate::contact::outer::SealedData;

const STEP: u32 = DAY / 50;
const LIFE: u32 = 150;
const SLOWEST: u32 = 40;

struct Flying {
    at: u32,
    to: usize,
    number: u64,
    envelope: SealedData,
    until: u32,
}

#[derive(Default)]
struct Seen {
    delivered: [BTreeSet<u64>; 2],
    shown: [BTreeMap<u64, u32>; 2],
    answered: [BTreeSet<u64>; 2],
    envelopes: u32,
    repeated: u32,
    blocked: u32,
    expired: u32,
}

struct Schedule {
    steps: u32,
    loss: f64,
    rate: f64,
    /// Probability of an absence in each step.
    absence: f64,
}

fn chance(rng: &mut ChaCha20Rng, probability: f64) -> bool {
    f64::from(rng.next_u32()) / f64::from(u32::MAX) < probability
}

fn draw(rng: &mut ChaCha20Rng, below: u32) -> u32 {
    rng.next_u32() % below
}

/// Both ends and what is between them, in one run of a schedule.
struct Run {
    rng: ChaCha20Rng,
    ends: [End; 2],
    seen: Seen,
    net: Vec<Flying>,
    /// Messages with the number of attempts that they have left.
    waiting: [Vec<(ComposedMessage, u32)>; 2],
    /// Messages without attempts left, and when the last envelope expires.
    ended: [Vec<(u32, u64)>; 2],
    /// Who is away, and until when.
    away: Option<(usize, u32)>,
}

/// Runs the schedule. Panics if an envelope that was delivered in time is not opened or not readable.
fn run(seed: u64, schedule: &Schedule) -> ([End; 2], Seen) {
    let mut rng = rng(seed);
    let (a, b) = open_pair(&mut rng);
    let mut run = Run {
        rng,
        ends: [a, b],
        seen: Seen::default(),
        net: Vec::new(),
        waiting: Default::default(),
        ended: Default::default(),
        away: None,
    };
    for t in 0..schedule.steps {
        if chance(&mut run.rng, schedule.absence) {
            let side = usize::from(run.rng.next_u32().is_multiple_of(2));
            run.away = Some((side, t + 100 + draw(&mut run.rng, 300)));
        }
        run.away = run.away.filter(|(_, until)| t <= *until);
        for side in 0..2 {
            if !run.is_away(side) {
                run.act(schedule, t, side);
            }
        }
        run.deliver_due(t);
    }
    (run.ends, run.seen)
}

impl Run {
    fn is_away(&self, side: usize) -> bool {
        self.away.is_some_and(|(absent, _)| absent == side)
    }

    /// One step of one end: it forgets, restarts, writes and sends.
    fn act(&mut self, schedule: &Schedule, t: u32, side: usize) {
        let unix = START.after(t * STEP);
        let end = &mut self.ends[side];
        end.tick(unix);
        for (_, number) in self.ended[side].extract_if(.., |(until, _)| *until < t) {
            end.conversation.give_up(number);
        }
        if chance(&mut self.rng, 0.02) {
            end.restart();
        }
        if chance(&mut self.rng, schedule.rate) {
            let parts = [Part::Text(format!("{side} {t}"))];
            match end.conversation.compose(&mut self.rng, unix, &parts) {
                Ok(message) => self.waiting[side].push((message, 3)),
                Err(ComposeError::TooManyUnanswered(_)) => self.seen.blocked += 1,
                Err(error) => panic!("{error}"),
            }
        }
        for (message, attempts) in core::mem::take(&mut self.waiting[side]) {
            if chance(&mut self.rng, 0.4) {
                self.attempt(schedule, t, side, message, attempts);
            } else {
                self.waiting[side].push((message, attempts));
            }
        }
    }

    fn attempt(
        &mut self,
        schedule: &Schedule,
        t: u32,
        side: usize,
        mut message: ComposedMessage,
        attempts: u32,
    ) {
        let unix = START.after(t * STEP);
        let number = message.number();
        match self.ends[side].seal(&mut self.rng, unix, &mut message) {
            Ok(envelope) => self.fly(schedule, t, 1 - side, number, &envelope),
            Err(AttemptRefusal::WaitUntil(_)) => {
                self.seen.blocked += 1;
                self.waiting[side].push((message, attempts));
                return;
            }
            Err(AttemptRefusal::NotOpen) => return,
            Err(error) => panic!("{error}"),
        }
        if attempts == 1 {
            self.ended[side].push((t + LIFE, number));
        } else {
            self.waiting[side].push((message, attempts - 1));
        }
    }

    /// Loses, repeats and delays an envelope.
    fn fly(&mut self, schedule: &Schedule, t: u32, to: usize, number: u64, sealed: &SealedData) {
        let copies = 1 + usize::from(chance(&mut self.rng, schedule.loss / 2.0));
        for _ in 0..copies {
            if !chance(&mut self.rng, schedule.loss) {
                self.net.push(Flying {
                    at: t + 1 + draw(&mut self.rng, SLOWEST),
                    to,
                    number,
                    envelope: SealedData {
                        topic: sealed.topic,
                        data: sealed.data.clone(),
                    },
                    until: t + LIFE,
                });
            }
        }
    }

    fn deliver_due(&mut self, t: u32) {
        let unix = START.after(t * STEP);
        for flying in core::mem::take(&mut self.net) {
            if flying.at > t || (self.is_away(flying.to) && t <= flying.until) {
                self.net.push(flying);
            } else if self.is_away(flying.to) {
                self.seen.expired += 1;
            } else {
                deliver(&mut self.rng, unix, &mut self.ends, &mut self.seen, &flying);
            }
        }
    }
}

fn deliver(
    rng: &mut ChaCha20Rng,
    unix: UnixSecs,
    ends: &mut [End; 2],
    seen: &mut Seen,
    flying: &Flying,
) {
    let Flying { to, number, .. } = *flying;
    seen.envelopes += 1;
    let Some(arrived) = ends[to].read(rng, unix, &flying.envelope) else {
        // A second copy of the same envelope: its step was used up by the first.
        assert!(
            seen.delivered[to].contains(&number),
            "message {number} to {to} is not awaited"
        );
        seen.repeated += 1;
        return;
    };
    seen.delivered[to].insert(number);
    seen.answered[to].extend(&arrived.answered);
    match &arrived.outcome {
        ArrivalOutcome::Message { number: shown, .. } => {
            assert_eq!(*shown, number);
            *seen.shown[to].entry(number).or_default() += 1;
        }
        ArrivalOutcome::Duplicate => {}
        other => panic!("message {number} to {to}: {other:?}"),
    }
}

fn assert_none_lost_and_none_twice(seed: u64, seen: &Seen) {
    for to in 0..2 {
        let shown: BTreeSet<u64> = seen.shown[to].keys().copied().collect();
        assert_eq!(shown, seen.delivered[to], "seed {seed}");
        let twice = seen.shown[to].values().filter(|count| **count > 1).count();
        assert_eq!(twice, 0, "seed {seed}");
        // Whatever is reported as answered has been shown at the other end (message 1 by the fixture).
        let mut answered = seen.answered[to].clone();
        answered.remove(&1);
        assert!(answered.is_subset(&seen.delivered[1 - to]), "seed {seed}");
    }
}

#[test]
fn a_thousand_messages_under_loss_reordering_and_repetition_arrive_once() {
    let seed = 0;
    let schedule = Schedule {
        steps: 1_700,
        loss: 0.3,
        rate: 0.3,
        absence: 0.0,
    };
    let (ends, seen) = run(seed, &schedule);
    assert_none_lost_and_none_twice(seed, &seen);
    let shown = seen.shown[0].len() + seen.shown[1].len();
    assert!(shown > 900, "{shown}");
    assert!(seen.repeated > 50, "{}", seen.repeated);
    let [a, b] = ends.map(|end| end.conversation.send_epoch());
    assert!(a.min(b) > 8 && a.abs_diff(b) <= 1, "epochs {a} {b}");
}

#[test]
fn absences_beyond_the_life_of_envelopes_lose_no_delivered_message() {
    for (seed, loss, rate) in [(10, 0.0, 0.3), (11, 0.3, 0.3), (12, 0.6, 0.05)] {
        let schedule = Schedule {
            steps: 1_200,
            loss,
            rate,
            absence: 0.004,
        };
        let (ends, seen) = run(seed, &schedule);
        assert_none_lost_and_none_twice(seed, &seen);
        assert!(seen.expired > 0, "seed {seed}: no end was away long enough");
        let [a, b] = ends.map(|end| end.conversation.send_epoch());
        assert!(a.abs_diff(b) <= 1 && a > 0, "epochs {a} {b}");
    }
}

#[test]
fn reader_away_for_two_weeks_is_found_by_a_resync_slot() {
    let mut rng = rng(20);
    let (mut a, mut b) = open_pair(&mut rng);
    let wait = |unix: UnixSecs| AttemptRefusal::WaitUntil(unix.after(900));
    let mut sent: Vec<_> = (0..40)
        .map(|i| a.compose(&mut rng, START, &format!("message {i}")))
        .collect();
    for message in &mut sent {
        a.seal(&mut rng, START, message).unwrap();
    }
    let unix = START.after(14 * DAY);
    a.tick(unix);
    b.tick(unix);
    // The ratchet of the peer keeps no key more, so a new message waits; one that was sent does not.
    let mut waiting = a.compose(&mut rng, unix, "waiting");
    let refused = a.seal(&mut rng, unix, &mut waiting).err();
    assert_eq!(refused, Some(wait(unix)));
    let mut resync = |a: &mut End, message: &mut ComposedMessage| {
        let attempt = a.conversation.attempt(&mut rng, unix, message);
        let attempt = attempt.unwrap();
        assert_eq!(attempt.resync, Some(40));
        seal(&mut rng, attempt)
    };
    let envelope = resync(&mut a, &mut sent[39]);
    for message in &mut sent[..7] {
        resync(&mut a, message);
    }
    let used_up = a.seal(&mut rng, unix, &mut sent[8]).err();
    assert_eq!(used_up, Some(wait(unix)), "eight slots a day");
    let arrived = b.read(&mut rng, unix, &envelope).unwrap();
    assert_eq!(text_of(&arrived), (41, "message 39".to_owned()));
    let answer = b.write(&mut rng, unix, "back");
    assert_eq!(a.read(&mut rng, unix, &answer).unwrap().answered, [41]);
    let envelope = a.seal(&mut rng, unix, &mut waiting).unwrap();
    let arrived = b.read(&mut rng, unix, &envelope).unwrap();
    assert_eq!(text_of(&arrived).1, "waiting");
}

#[test]
fn crossing_offers_end_in_the_epoch_of_the_initiator() {
    let mut rng = rng(21);
    let mut reader = Reader::new(&mut rng);
    let mut a = start(&mut rng, &reader);
    let first = a.write(&mut rng, START, "first");
    let (mut b, _) = accept(&mut rng, &mut reader, &first);
    b.accept_request();
    // The answer with the reader's offer is late; the one after it has none.
    let from_b = b.write(&mut rng, START, "b offers 1");
    let second = b.write(&mut rng, START, "second answer");
    a.read(&mut rng, START, &second).unwrap();
    let later = START.after(DAY * 8);
    let from_a = a.write(&mut rng, later, "a offers 1");
    assert!(a.read(&mut rng, later, &from_b).is_some());
    assert_eq!(a.conversation.newest_epoch(), 0, "its own offer stands");
    b.read(&mut rng, later, &from_a).unwrap();
    assert_eq!(b.conversation.newest_epoch(), 1);
    let accept = b.write(&mut rng, later, "b accepts");
    a.read(&mut rng, later, &accept).unwrap();
    let there = a.write(&mut rng, later, "in epoch 1");
    let arrived = b.read(&mut rng, later, &there).unwrap();
    assert_eq!(text_of(&arrived).1, "in epoch 1");
    let epochs = [&a, &b].map(|end| end.conversation.send_epoch());
    assert_eq!(epochs, [1, 1]);
}

#[test]
fn lost_accept_is_repeated_until_the_epoch_is_used() {
    let mut rng = rng(22);
    let (mut a, mut b) = open_pair(&mut rng);
    for _ in 0..5 {
        let _lost = a.write(&mut rng, START, "with the accept");
        assert_eq!(a.conversation.send_epoch(), 0);
    }
    let there = a.write(&mut rng, START, "with the accept, again");
    b.read(&mut rng, START, &there).unwrap();
    assert_eq!(b.conversation.send_epoch(), 1);
    let back = b.write(&mut rng, START, "in epoch 1");
    a.read(&mut rng, START, &back).unwrap();
    assert_eq!(a.conversation.send_epoch(), 1);
}

#[test]
fn message_that_the_ratchet_left_far_behind_still_arrives() {
    let mut rng = rng(23);
    let (mut a, mut b) = open_pair(&mut rng);
    let mut behind = a.compose(&mut rng, START, "left behind");
    for _ in 0..20 {
        let there = a.write(&mut rng, START, "there");
        b.read(&mut rng, START, &there).unwrap();
        let back = b.write(&mut rng, START, "back");
        a.read(&mut rng, START, &back).unwrap();
    }
    let envelope = a.seal(&mut rng, START, &mut behind).unwrap();
    let arrived = b.read(&mut rng, START, &envelope).unwrap();
    assert_eq!(text_of(&arrived), (2, "left behind".to_owned()));
}
