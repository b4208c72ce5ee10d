//! The durable outbox, without a node.

use circuits::level::Level;
use circuits::time::Instant;
use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::envelope::Topic;
use crate::message::CopyTag;
use crate::node::command::{ReaderKind, RefusalKind, SendRequest};
use crate::node::event::Stage;
use crate::node::fixture::{Fixture, START};
use crate::node::output::{Output, Record};
use crate::node::send::fixture::{public, request, send_open, sender, stages};
use crate::state::StateId;

fn opened() -> Fixture {
    let mut test = Fixture::new(|_| {});
    test.fx.open_state();
    test
}

fn later(secs: u32) -> Now {
    Now {
        mono: Instant::ZERO.after(Duration::from_secs(secs.into())),
        unix: START.unix.after(secs),
    }
}

/// What a disk does with the outputs so far, and the other outputs.
#[derive(Default)]
struct Disk(std::collections::BTreeMap<StateId, Zeroizing<Vec<u8>>>);

impl Disk {
    fn write(&mut self, fx: &mut Effects) -> Vec<Output> {
        let mut others = Vec::new();
        for output in fx.take_outputs() {
            let Output::Store(_, Record::State(changes)) = output else {
                others.push(output);
                continue;
            };
            for change in changes {
                match change {
                    StateChange::Put { id, value, .. } => self.0.insert(id, value),
                    StateChange::Delete { id, .. } => self.0.remove(&id),
                };
            }
        }
        others
    }

    fn rows(&self) -> Vec<StateRow> {
        let row = |(id, value): (&StateId, &Zeroizing<Vec<u8>>)| StateRow {
            table: StateTable::Outbox,
            id: id.clone(),
            value: value.clone(),
        };
        self.0.iter().map(row).collect()
    }
}

impl Disk {
    fn messages(&self) -> Vec<StateRow> {
        let mut rows = self.rows();
        rows.retain(|row| row.id.as_bytes() != LAST_NUMBER);
        rows
    }
}

#[test]
fn message_takes_no_step_before_it_is_durable() {
    let (mut test, mut disk) = (opened(), Disk::default());
    let mut sender = sender(&test);
    let (fx, context) = test.sending();
    let id = send_open(&mut sender, fx, context);
    assert!(sender.is_storing(id));
    let outputs = disk.write(fx);
    assert!(outputs.is_empty(), "{outputs:?}");
    assert_eq!(disk.messages().len(), 1);

    sender.on_message_stored(fx, START, id, context);
    assert!(!sender.is_storing(id));
    let outputs = disk.write(fx);
    assert!(matches!(stages(&outputs)[..], [Stage::Sealing { .. }]));
    assert!(
        outputs
            .iter()
            .any(|output| matches!(output, Output::Work(..)))
    );
}

#[test]
fn message_takes_its_first_step_at_once_while_the_state_is_locked() {
    let mut test = Fixture::new(|_| {});
    let mut sender = sender(&test);
    let (fx, context) = test.sending();
    let id = send_open(&mut sender, fx, context);
    assert!(!sender.is_storing(id));
    let outputs = fx.take_outputs();
    assert!(matches!(stages(&outputs)[..], [Stage::Sealing { .. }]));

    // Once the state is open, what was accepted before becomes durable.
    let mut disk = Disk::default();
    fx.open_state();
    sender.restore(fx, START, Vec::new());
    disk.write(fx);
    assert_eq!(disk.messages().len(), 1);
}

#[test]
fn killed_message_is_sent_again_by_the_next_run_with_its_tag() {
    let (mut test, mut disk) = (opened(), Disk::default());
    let mut first = sender(&test);
    let (fx, context) = test.sending();
    let id = send_open(&mut first, fx, context);
    let tag = first.messages.get(&id).map(Outgoing::tag);
    disk.write(fx);

    let mut test = opened();
    let mut second = sender(&test);
    let (fx, context) = test.sending();
    second.restore(fx, later(10), disk.rows());
    assert!(matches!(second.stage(id), Some(Stage::Waiting { .. })));
    second.resume(fx, later(11), context);
    let outputs = disk.write(fx);
    assert!(matches!(stages(&outputs)[..], [Stage::Sealing { .. }]));
    assert_eq!(second.messages.get(&id).map(Outgoing::tag), tag);
    assert_eq!(disk.messages().len(), 1);

    // A new message takes no number of an old one.
    let next = second.send(fx, later(12), request(Level::Open), context);
    assert_eq!(next.unwrap(), MessageId(id.0 + 1));
}

#[test]
fn restored_message_waits_for_its_level_and_then_expires() {
    let (mut test, mut disk) = (opened(), Disk::default());
    let mut first = sender(&test);
    let (fx, context) = test.sending();
    let id = send_open(&mut first, fx, context);
    if let Some(message) = first.messages.get_mut(&id) {
        *message = Outgoing::new(Level::Dark, Some(request(Level::Dark)), message.tag());
        message.kept_mut().accepted = START.unix;
    }
    let change = first.put(fx, id).unwrap();
    fx.store_state(vec![change]);
    disk.write(fx);

    let mut second = sender(&test);
    let (fx, context) = test.sending();
    second.restore(fx, later(10), disk.rows());
    let day = 24 * 3_600;
    second.resume(fx, later(day), context);
    let Some(Stage::Waiting { reason }) = second.stage(id) else {
        panic!("{:?}", second.stage(id));
    };
    assert!(reason.contains("`dark`"), "{reason}");
    second.resume(fx, later(3 * day + 1), context);
    assert!(matches!(second.stage(id), Some(Stage::Failed { .. })));
}

#[test]
fn delivered_message_leaves_the_disk_and_a_failed_one_stays_until_it_is_renewed() {
    let (mut test, mut disk) = (opened(), Disk::default());
    let mut sender = sender(&test);
    let (fx, context) = test.sending();
    let send = |sender: &mut Sender, fx: &mut Effects| {
        let id = send_open(sender, fx, context);
        sender.on_message_stored(fx, START, id, context);
        id
    };
    let (one, other) = (send(&mut sender, fx), send(&mut sender, fx));
    disk.write(fx);
    assert_eq!(disk.messages().len(), 2);
    sender.enter(fx, one, SendState::Delivered);
    sender.fail(fx, other, "no echo");
    disk.write(fx);
    assert_eq!(disk.messages().len(), 1);

    let mut sender = self::sender(&test);
    let (fx, context) = test.sending();
    sender.restore(fx, later(10), disk.rows());
    let failed = Stage::Failed {
        reason: "no echo".to_owned(),
    };
    assert_eq!(sender.stage(other), Some(failed));
    let refused = sender.renew(fx, later(11), one, context).unwrap_err();
    assert_eq!(refused.kind, RefusalKind::Usage);
    sender.renew(fx, later(11), other, context).unwrap();
    let outputs = disk.write(fx);
    assert!(matches!(
        stages(&outputs)[..],
        [Stage::Sealing { attempt: 1, .. }]
    ));
    assert!(sender.renew(fx, later(12), other, context).is_err());
    let record = disk.messages().pop().unwrap();
    let record = OutboxRecord::decode(&record.value).unwrap();
    assert_eq!((record.failure, record.accepted), (None, later(11).unix));
}

/// A user who notes "message 1 was delivered" must not find another message under this number tomorrow.
#[test]
fn number_of_delivered_message_is_not_given_again_after_a_restart() {
    let (mut test, mut disk) = (opened(), Disk::default());
    let mut first = sender(&test);
    let (fx, context) = test.sending();
    let id = send_open(&mut first, fx, context);
    first.on_message_stored(fx, START, id, context);
    first.enter(fx, id, SendState::Delivered);
    disk.write(fx);
    assert!(disk.messages().is_empty());

    let mut second = sender(&test);
    let (fx, context) = test.sending();
    second.restore(fx, later(10), disk.rows());
    let next = second.send(fx, later(11), request(Level::Open), context);
    assert_eq!(next.unwrap(), MessageId(id.0 + 1));
}

#[test]
fn cancelled_message_leaves_the_disk() {
    let (mut test, mut disk) = (opened(), Disk::default());
    let mut sender = sender(&test);
    let (fx, context) = test.sending();
    let id = send_open(&mut sender, fx, context);
    assert!(sender.cancel(fx, id));
    disk.write(fx);
    assert!(disk.messages().is_empty());
    // The disk answers later: nothing starts.
    sender.on_message_stored(fx, START, id, context);
    assert!(disk.write(fx).is_empty());
}

#[test]
fn listed_message_has_its_price() {
    let mut test = Fixture::new(|_| {});
    let mut sender = sender(&test);
    let (fx, context) = test.sending();
    send_open(&mut sender, fx, context);
    let estimate = sender.estimate(START, &request(Level::Open), context);
    let estimate = estimate.unwrap();
    let price = sender.views(START.mono)[0].price.unwrap();
    assert_eq!(price.bytes, estimate.network_bytes);
    assert_eq!(price.seconds, estimate.p95_ms.div_ceil(1_000));
}

proptest! {
    #[test]
    fn record_is_read_as_it_was_written(
        shared in proptest::option::of(".{0,40}"),
        topic: [u8; 4],
        sign_as in proptest::option::of(".{0,40}"),
        payload in proptest::collection::vec(any::<u8>(), 0..600),
        life in 0_u64..300_000,
        any_client: bool,
        level in proptest::sample::select(&Level::ALL[..]),
        failure in proptest::option::of(".{0,80}"),
        custom in proptest::option::of("[a-z]{1,32}"),
        cut in 0_usize..64,
    ) {
        let reader = if any_client { ReaderKind::AnyClient } else { ReaderKind::Whisht };
        let to = match shared {
            Some(name) => Recipient::Shared(name),
            None => Recipient::Public(public(), Topic(topic)),
        };
        let request = SendRequest {
            to,
            sign_as,
            payload: payload.into(),
            level: None,
            life: Duration::from_secs(life),
            reader,
        };
        let mut test = Fixture::new(|_| {});
        let tag = CopyTag::draw(test.fx.key_rng());
        let mut message = Outgoing::new(level, Some(request), tag);
        message.kept_mut().accepted = UnixSecs(77);
        message.set_custom(custom.clone());
        let bytes = record::encode(MessageId(5), &message, failure.as_deref()).unwrap();
        let read = OutboxRecord::decode(&bytes).unwrap();
        prop_assert_eq!((read.id, read.level, read.tag), (MessageId(5), level, tag));
        prop_assert_eq!((read.accepted, &read.failure), (UnixSecs(77), &failure));
        prop_assert_eq!(&read.custom, &custom);
        let mut again = Outgoing::new(level, Some(read.request), tag);
        again.set_custom(custom);
        again.kept_mut().accepted = UnixSecs(77);
        let encoded = record::encode(MessageId(5), &again, failure.as_deref());
        prop_assert_eq!(encoded.unwrap(), bytes.clone());
        let cut = bytes.len().saturating_sub(cut + 1);
        prop_assert!(OutboxRecord::decode(bytes.get(..cut).unwrap()).is_err());
    }
}
