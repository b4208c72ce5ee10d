//! Routing of dial backs: inputs of the links that dial for peers, messages and commands.
//!
//! This module decides nothing, as `routing`.

use circuits::ids::LinkId;
use circuits::time::Now;

use super::RequestDecision;
use crate::link::Priority;
use crate::node::Node;
use crate::node::action::Action;
use crate::node::input::{CommandId, Input};
use crate::onion_wire::{DialBackMessage, OnionMessage};

/// Hands one input to the dial for a peer that it belongs to, or to its component.
pub(in crate::node) fn route(node: &mut Node, now: Now, input: Input<'_>) {
    let (fx, dial_back) = (&mut node.fx, &mut node.dial_back);
    match input {
        Input::Dialed(link) if dial_back.probes(link) => dial_back.on_dialed(fx, now, link),
        Input::DialFailed(link, failure) if dial_back.probes(link) => {
            dial_back.on_dial_failed(fx, link, failure);
        }
        Input::Received(link, bytes) if dial_back.probes(link) => {
            dial_back.on_received(fx, now, link, bytes);
        }
        Input::Closed(link) if dial_back.probes(link) => dial_back.on_closed(fx, link),
        Input::Received(link, bytes) => {
            node.route(now, Input::Received(link, bytes));
            if let Some(key) = node.peers.caller(link) {
                node.dial_back.note_caller(key);
            }
        }
        input => node.route(now, input),
    }
}

/// A peer asks to be dialled, or answers.
pub(in crate::node) fn on_message(
    node: &mut Node,
    now: Now,
    from: LinkId,
    message: DialBackMessage,
) {
    let (fx, dial_back) = (&mut node.fx, &mut node.dial_back);
    match message {
        DialBackMessage::Request { nonce, port } => {
            match dial_back.judge(now.mono, from, port, &node.peers) {
                RequestDecision::Dial(target) => {
                    let link = node.peers.new_link();
                    dial_back.dial(fx, now, link, nonce, target);
                }
                RequestDecision::Decline(result) => {
                    let answer = DialBackMessage::Answer { nonce, result };
                    let answer = OnionMessage::DialBack(answer);
                    fx.request(Action::SendOnion(from, Priority::Control, answer));
                }
                RequestDecision::Excess => node.peers.on_unread(fx, now, from),
            }
        }
        DialBackMessage::Answer { nonce, result } => {
            if !dial_back.on_answer(fx, now, (from, nonce), result) {
                node.peers.on_unread(fx, now, from);
            }
        }
    }
}

/// The operator asks whether peers reach this node.
pub(in crate::node) fn on_command(node: &mut Node, now: Now, id: CommandId) {
    let asked = node.dial_back.ask(&mut node.fx, now, id, &node.peers);
    if let Err(refusal) = asked {
        node.fx.reply(id, Err(refusal));
    }
}
