//! The inbox as rows of the user's state: durable before announced, restored in order, bounded by the disk.

use std::collections::BTreeMap;

use super::*;
use crate::node::durability::Continuation;
use crate::node::input::StoreId;
use crate::node::output::Record;
use crate::state::{StateChange, StateId, StateRows, StateTable};

/// The rows that a disk would hold.
#[derive(Default)]
struct Disk(BTreeMap<StateId, Vec<u8>>);

impl Disk {
    /// Writes what was stored; returns the last record's number and the events that were not held back.
    fn write(&mut self, outputs: Vec<Output>) -> (Option<StoreId>, usize) {
        let (mut last, mut events) = (None, 0);
        for output in outputs {
            match output {
                Output::Store(id, Record::State(changes)) => {
                    last = Some(id);
                    changes.into_iter().for_each(|change| self.change(change));
                }
                Output::Notify(Event::Message(_)) => events += 1,
                _ => {}
            }
        }
        (last, events)
    }

    fn change(&mut self, change: StateChange) {
        match change {
            StateChange::Put { table, id, value } => {
                assert_eq!(table, StateTable::Inbox);
                self.0.insert(id, value.to_vec());
            }
            StateChange::Delete { id, .. } => drop(self.0.remove(&id)),
        }
    }

    fn rows(&self) -> Vec<StateRow> {
        let rows = self.0.iter().map(|(id, value)| StateRow {
            table: StateTable::Inbox,
            id: id.clone(),
            value: value.clone().into(),
        });
        StateRows::new(rows.collect()).take(StateTable::Inbox)
    }
}

/// A receiver whose state is open, with these rows.
fn opened(rows: Vec<StateRow>) -> Fixture {
    let mut test = Fixture::new(|_| {});
    listen(&mut test);
    test.fx.open_state();
    test.receive.open_state(&mut test.fx, START, rows);
    test
}

/// Receives a message directly, and runs its trial decryption.
fn receive(test: &mut Fixture, payload: &[u8], signer: Option<&ClientSecret>) -> Vec<Output> {
    let padding = Padding::Tagged(CopyTag::draw(test.fx.key_rng()), 400);
    let plaintext = Plaintext::build(test.fx.rng(), payload, padding, signer).unwrap();
    let envelope = sealed(test, &plaintext, 1);
    deliver(test, envelope)
}

fn deliver(test: &mut Fixture, envelope: Envelope) -> Vec<Output> {
    let fx = &mut test.fx;
    test.receive.on_direct(fx, START, LinkId(1), envelope);
    let [job] = begin(test).try_into().unwrap();
    finish(test, job);
    test.fx.take_outputs()
}

fn payloads(test: &Fixture) -> Vec<String> {
    let inbox = test.receive.messages(&InboxQuery::All).unwrap();
    inbox.into_iter().map(|message| message.payload).collect()
}

#[test]
fn message_is_announced_only_after_it_is_durable() {
    let mut test = opened(Vec::new());
    let (stored, events) = Disk::default().write(receive(&mut test, b"hello", None));
    assert_eq!(events, 0, "announced before it is durable");
    let released = test.fx.stored(stored.unwrap());
    assert!(matches!(
        released[..],
        [Continuation::State(StateContinuation::Notify(
            Event::Message(_)
        ))]
    ));
}

#[test]
fn restarted_receiver_has_every_message_once_and_in_order() {
    let bytes = circuits::secret::Secret::init_with(|key: &mut [u8; 32]| key.fill(3));
    let signer = ClientSecret::from_bytes(&bytes).unwrap();
    let mut disk = Disk::default();
    let mut test = opened(Vec::new());
    disk.write(receive(&mut test, b"first", Some(&signer)));
    let plaintext = Plaintext::build(test.fx.rng(), b"second", Padding::Align, None).unwrap();
    let again = sealed(&mut test, &plaintext, 1);
    disk.write(deliver(&mut test, again.clone()));
    let before = test.receive.messages(&InboxQuery::All).unwrap();

    let mut test = opened(disk.rows());
    let after = test.receive.messages(&InboxQuery::All).unwrap();
    assert_eq!(format!("{after:?}"), format!("{before:?}"));
    // The network still has the envelope.
    let (stored, events) = disk.write(deliver(&mut test, again));
    assert_eq!((stored, events), (None, 0));
    disk.write(receive(&mut test, b"third", None));
    let texts = [&b"first"[..], b"second", b"third"].map(hex);
    assert_eq!(payloads(&test), texts);
    assert_eq!(payloads(&opened(disk.rows())), texts);
}

#[test]
fn message_that_came_while_the_state_was_locked_becomes_durable_when_it_opens() {
    let mut disk = Disk::default();
    let mut test = opened(Vec::new());
    disk.write(receive(&mut test, b"of the last run", None));

    let mut test = Fixture::new(|_| {});
    listen(&mut test);
    let (stored, events) = disk.write(receive(&mut test, b"locked", None));
    assert_eq!((stored, events), (None, 1), "nothing to wait for");
    test.fx.open_state();
    test.receive.open_state(&mut test.fx, START, disk.rows());
    disk.write(test.fx.take_outputs());
    let texts = [&b"of the last run"[..], b"locked"].map(hex);
    assert_eq!(payloads(&test), texts);
    assert_eq!(payloads(&opened(disk.rows())), texts);
}

#[test]
fn message_older_than_thirty_days_leaves_memory_and_disk() {
    let mut disk = Disk::default();
    let mut test = opened(Vec::new());
    disk.write(receive(&mut test, b"old", None));
    let later = |days: u32| Now {
        unix: START.unix.after(days * 24 * 60 * 60),
        ..START
    };
    for (days, left) in [(30, 1), (31, 0)] {
        test.receive.drop_old_messages(&mut test.fx, later(days));
        disk.write(test.fx.take_outputs());
        assert_eq!((payloads(&test).len(), disk.0.len()), (left, left));
    }
}

/// A disk that hangs, and a peer that sends as much as the network takes.
#[test]
fn flood_while_the_disk_hangs_waits_in_the_mempool() {
    let mut test = opened(Vec::new());
    let mut last = StoreId(0);
    let mut changes = Vec::new();
    while !test.fx.state_is_congested() {
        let value = vec![0; 1 << 20].into();
        changes.push(StateChange::put(StateTable::Inbox, b"x".to_vec(), value));
        test.fx.store_state(core::mem::take(&mut changes));
        for output in test.fx.take_outputs() {
            if let Output::Store(id, _) = output {
                last = id;
            }
        }
        assert!(last < StoreId(20), "16 MiB are the limit");
    }
    let envelope = message(&mut test);
    let hash = envelope.hash();
    pool(&mut test, envelope, 1);
    assert!(begin(&mut test).is_empty());
    assert!(test.receive.is_untried(&hash), "it is not lost");
    let released = test.fx.stored(last);
    assert!(released.is_empty());
    assert!(!begin(&mut test).is_empty());
}

#[test]
fn row_of_an_unknown_format_is_left_alone() {
    let mut disk = Disk::default();
    let mut test = opened(Vec::new());
    disk.write(receive(&mut test, b"hello", None));
    let known = disk.0.clone();
    for (id, value) in known {
        for at in 0..value.len().min(3) {
            for altered in [
                value.get(..at).unwrap().to_vec(),
                [
                    value.get(..at).unwrap(),
                    &[0xff],
                    value.get(at + 1..).unwrap(),
                ]
                .concat(),
            ] {
                disk.0.insert(id.clone(), altered);
                let mut test = opened(disk.rows());
                if payloads(&test).is_empty() {
                    let (stored, _) = disk.write(test.fx.take_outputs());
                    assert_eq!(stored, None, "nothing is erased");
                }
            }
        }
    }
}
