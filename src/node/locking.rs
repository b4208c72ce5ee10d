//! Locking: what the user reads and writes leaves the memory of a running node.
//!
//! The node goes on relaying, finishes the attempts that have begun, and publishes cards that were signed
//! before (docs/wire/contact.md, "State"). Envelopes wait in the mempool until the node is unlocked, and are
//! scanned then. The answer comes when every change of the state is durable, so that the shell can erase the
//! key of the state.
//!
//! This module decides nothing; each component knows what it forgets.

use circuits::time::Now;

use super::Node;
use super::command::{LockRequest, Reply};
use super::durability::{Continuation, StateContinuation};
use super::input::CommandId;
use super::talks;

/// Locks identities and, if it is asked for, the state of the user.
pub(super) fn lock(node: &mut Node, now: Now, command: CommandId, what: &LockRequest) {
    node.receive.lock_identities(&what.identities);
    if what.state && node.fx.state_is_open() {
        let (talks, fx, context) = talks::routing::talking(node);
        talks.lock(fx, now, context);
        node.transfers.lock(&mut node.fx);
        node.contacts.lock(&mut node.fx, now);
        node.send.lock();
        node.receive.lock_inbox();
        node.fx.lock_state();
    }
    let reply = StateContinuation::Reply(command, Ok(Reply::Done));
    if node.fx.state_is_durable() {
        node.fx.reply(command, Ok(Reply::Done));
    } else {
        node.fx.defer(Continuation::State(reply));
    }
}
