//! Routing of completions: the result of a job goes to its owner, and a durable record to what waited for it.
//!
//! This module decides nothing, as `routing`.

use circuits::time::Now;

use super::Node;
use super::durability::{Continuation, StateContinuation};
use super::input::StoreId;
use super::jobs::{JobId, JobOwner, JobResult};

/// A record is durable: what waited for it goes on.
pub(super) fn on_stored(node: &mut Node, now: Now, id: StoreId) {
    let was_congested = node.fx.state_is_congested();
    for continuation in node.fx.stored(id) {
        match continuation {
            Continuation::ForwardCell(cell) => {
                let (relay, fx, context, gossip) = node.relaying();
                relay.forward_durable(fx, now, cell, context, gossip);
            }
            Continuation::PublishDescriptor(raw) => {
                let fx = &mut node.fx;
                node.directory.publish_own(fx, now, &raw, &node.peers);
            }
            Continuation::State(continuation) => on_state_stored(node, now, continuation),
        }
    }
    if was_congested && !node.fx.state_is_congested() {
        node.receive.on_state_stored(&mut node.fx, now);
    }
}

fn on_state_stored(node: &mut Node, now: Now, continuation: StateContinuation) {
    match continuation {
        StateContinuation::Notify(event) => node.fx.notify(event),
        StateContinuation::BeginMessage(id) => {
            let (send, fx, context) = node.sending();
            send.on_message_stored(fx, now, id, context);
        }
        StateContinuation::Contact(continuation) => {
            let (contacts, fx, context) = node.contacting();
            contacts.on_stored(fx, now, continuation, context);
        }
        StateContinuation::Transfer(continuation) => {
            let (transfers, fx, context) = node.transferring();
            transfers.on_stored(fx, now, continuation, context);
        }
        StateContinuation::Reply(command, reply) => node.fx.reply(command, reply),
    }
}

/// A job ended: its result goes to its owner.
pub(super) fn on_job_ended(node: &mut Node, now: Now, job: JobId, result: Option<JobResult>) {
    let owner = node.fx.end_job(job);
    match (owner, result) {
        (Some(JobOwner::Message(id)), Some(JobResult::Nonce(nonce))) => {
            let (send, fx, context) = node.sending();
            send.on_nonce(fx, now, id, nonce, context);
        }
        (Some(JobOwner::Message(id)), Some(JobResult::Ticket(ticket))) => {
            let (send, fx, context) = node.sending();
            send.on_ticket(fx, now, id, ticket, context);
        }
        (Some(JobOwner::MailRequest), Some(JobResult::Nonce(nonce))) => {
            node.mail.on_request_nonce(&mut node.fx, now, job, nonce);
        }
        (Some(JobOwner::Descriptor), Some(JobResult::Puzzle(solution))) => {
            let publisher = node.directory.publisher_mut();
            publisher.on_puzzle(&mut node.fx, job, solution);
        }
        (Some(JobOwner::Dummy), result) => {
            let nonce = match result {
                Some(JobResult::Nonce(nonce)) => nonce.ok(),
                _ => None,
            };
            let (send, fx, context) = node.sending();
            send.on_dummy_nonce(fx, now, job, nonce, context);
        }
        (Some(JobOwner::Post), result) => node.on_post_nonce(now, job, result),
        (Some(JobOwner::Trials), result) => {
            let (fx, pool) = (&mut node.fx, node.gossip.pool());
            let messages = node.receive.on_tried(fx, now, job, result, pool);
            node.mail.on_direct_messages(messages);
        }
        (Some(JobOwner::Contact), result) => {
            let (contacts, fx, context) = node.contacting();
            contacts.on_job_ended(fx, now, job, result, context);
        }
        (Some(JobOwner::Emission), result) => {
            node.emission.on_sealed(&mut node.fx, job, result);
        }
        (Some(JobOwner::RelayList), result) => {
            let (fx, peers) = (&mut node.fx, &node.peers);
            node.directory.on_list_checked(fx, now, job, result, peers);
        }
        // The job was cancelled, or stopped by the shell.
        _ => {}
    }
}
