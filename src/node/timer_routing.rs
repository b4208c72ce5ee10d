//! Routing of timers: a timer that is due goes to its component.
//!
//! This module decides nothing, as `routing`.

use circuits::time::Now;

use super::directory::RelayState;
use super::timers::TimerId;
use super::{Node, emission_routing, onion_wire_routing, talks};

/// Runs the timers that are due, in the order of [`TimerId`], and the actions that follow from each.
pub(super) fn run_due(node: &mut Node, now: Now) {
    let mut last = None;
    while let Some(timer) = node.fx.pop_due(now.mono, last) {
        on_timer(node, now, timer);
        node.run_actions(now);
        last = Some(timer);
    }
}

fn on_timer(node: &mut Node, now: Now, timer: TimerId) {
    let fx = &mut node.fx;
    match timer {
        TimerId::ExpirePool => {
            let expired = node.gossip.expire(now);
            node.gossip.review_pressure(fx, now);
            node.receive.on_dropped(fx, &expired);
            node.contacts.on_dropped(fx, &expired);
            let (send, fx, context) = node.sending();
            send.confirm_gossiped(fx, context);
            node.clock.review(&mut node.fx, now);
        }
        TimerId::Redial => {
            node.peers.redial(fx, now);
            node.peers.dial_discovered(fx, now);
        }
        TimerId::GuardLinks => node.directory.keep_guard_links(fx, now, &node.peers),
        TimerId::Resume => {
            let (send, fx, context) = node.sending();
            send.resume(fx, now, context);
        }
        TimerId::Epoch => turn_epoch(node, now),
        TimerId::TryDecrypt => node.receive.try_decrypt(fx, now, node.gossip.pool()),
        TimerId::Contacts => {
            let (contacts, fx, context) = node.contacting();
            contacts.upkeep(fx, now, context);
        }
        TimerId::ScanContacts => node.contacts.scan(fx, now, node.gossip.pool()),
        TimerId::FindCards => node.contacts.find_cards(fx, now, node.gossip.pool()),
        TimerId::PublishCards => {
            let (contacts, fx, context) = node.contacting();
            contacts.publish_cards(fx, now, context);
        }
        TimerId::Transfers => {
            let (transfers, fx, context) = node.transferring();
            transfers.upkeep(fx, now, context);
        }
        TimerId::Talks => talks::routing::upkeep(node, now),
        TimerId::CloseIdle => node.peers.close_idle_cell_links(fx, now),
        TimerId::Link(link) => node.peers.on_link_timeout(fx, now, link),
        TimerId::Status(link) => {
            let gossip = node.gossip.machine();
            let outcome = node.peers.on_status_timeout(fx, now, link, gossip);
            onion_wire_routing::on_handshake_outcome(node, now, link, outcome);
        }
        TimerId::Peel => node.relay.peel(fx, now),
        TimerId::Mix => {
            let (relay, fx, context, _) = node.relaying();
            relay.release_cells(fx, now, context);
        }
        TimerId::ShardSets => node.relay.expire_shard_sets(fx, now),
        TimerId::Insertion => node.relay.release_delayed(fx, now, &node.gossip),
        TimerId::Embargo => node.stem.end_embargoes(fx, now, &node.gossip),
        TimerId::Circuits => node.circuits.expire(fx, now),
        TimerId::Emission => {
            let routes = emission_routing::mix_routes(node, now);
            let (emission, fx, context) = emission_routing::emitting(node, now, routes.as_ref());
            emission.run(fx, now, context);
        }
        TimerId::Dummy => {
            let (send, fx, context) = node.sending();
            send.make_dummy(fx, now, context);
        }
        TimerId::Message(id) => {
            let (send, fx, context) = node.sending();
            send.on_timer(fx, now, id, context);
        }
        TimerId::Gossip => node.gossip.run(fx, now, &node.peers),
        TimerId::Discovery => node.peers.run_discovery(fx, now),
        TimerId::DialBack => node.dial_back.on_timer(fx, now),
        // Mail and limited gossip continue at the end of every turn.
        TimerId::Bandwidth | TimerId::MailFetch => {}
    }
}

/// Onion keys and descriptors expire; the own descriptor is published when it is due.
fn turn_epoch(node: &mut Node, now: Now) {
    node.receive.drop_old_messages(&mut node.fx, now);
    let class = node.directory.mix_network(now).class();
    let expired = node.relay.expire_keys(now);
    node.relay.set_delay_class(now, class);
    let state = RelayState {
        can_stem: node.stem.can_stem(),
        arrivals: node.relay.arrivals(),
        ticket_bits: node.relay.ticket_bits(),
        clock_is_wrong: node.clock.is_wrong(now),
    };
    let fx = &mut node.fx;
    node.directory
        .turn_epoch(fx, now, &expired, state, &node.peers);
}
