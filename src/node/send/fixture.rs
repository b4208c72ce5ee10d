//! What the tests of sending have in common.

use core::time::Duration;

use circuits::arithmetic::Arithmetic;
use circuits::level::Level;
use circuits::secret::Secret;

use super::{SendContext, Sender};
use crate::envelope::Topic;
use crate::message::{ClientPublic, ClientSecret};
use crate::node::command::{ReaderKind, Recipient, SendRequest};
use crate::node::effects::Effects;
use crate::node::event::{Event, MessageId, Stage};
use crate::node::fixture::{Fixture, START};
use crate::node::output::Output;

/// The key of the recipient.
pub(super) fn public() -> ClientPublic {
    let secret = ClientSecret::from_bytes(&Secret::init_with(|key| key.fill(9))).unwrap();
    secret.public()
}

/// A message of five bytes that lives a minute.
pub(super) fn request(level: Level) -> SendRequest {
    SendRequest {
        to: Recipient::Public(public(), Topic([2; 4])),
        sign_as: None,
        payload: b"hello".to_vec().into(),
        level: Some(level),
        life: Duration::from_secs(60),
        reader: ReaderKind::default(),
    }
}

/// The component, with nothing to send.
pub(super) fn sender(test: &Fixture) -> Sender {
    Sender::new(&test.config, Arithmetic::default(), START.mono)
}

/// Sends a message of level `open` at the start; returns its number.
pub(super) fn send_open(
    sender: &mut Sender,
    fx: &mut Effects,
    context: SendContext<'_>,
) -> MessageId {
    let sent = sender.send(fx, START, request(Level::Open), context);
    sent.unwrap()
}

/// The stages of messages among the outputs, in their order.
pub(super) fn stages(outputs: &[Output]) -> Vec<Stage> {
    let stages = outputs.iter().filter_map(|output| match output {
        Output::Notify(Event::Outgoing(_, stage)) => Some(stage.clone()),
        _ => None,
    });
    stages.collect()
}
