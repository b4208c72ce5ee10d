//! Lanes: an envelope at `normal` gets its paths, and the search for the ticket of its rendezvous starts.

use circuits::dispersal::{Class, Cookie};
use circuits::ids::Epoch;
use circuits::path::PathPlan;
use circuits::rendezvous::{TicketBits, TicketSearch};
use rand_core::Rng;

use super::Sender;
use super::message::{Outgoing, PlannedEnvelope, SendState};
use crate::node::directory::LanePlanError;
use crate::node::effects::Effects;
use crate::node::event::{MessageId, RelayLabel, Trace};
use crate::node::jobs::{Job, JobOwner};

impl Sender {
    /// The answer to `Action::PlanLanes`: starts the search for the rendezvous' ticket.
    pub(in crate::node) fn on_lanes(
        &mut self,
        fx: &mut Effects,
        id: MessageId,
        lanes: Result<(Epoch, PathPlan), LanePlanError>,
    ) {
        let message = self.messages.get(&id);
        let Some(SendState::Sealed(envelope)) = message.map(Outgoing::state) else {
            return;
        };
        let envelope = envelope.clone();
        let (epoch, plan) = match lanes {
            Ok(lanes) => lanes,
            Err(error) => return self.fail(fx, id, error.to_string()),
        };
        let Some(bits) = TicketBits::new(plan.ticket_bits) else {
            return self.fail(fx, id, "the rendezvous requires an impossible ticket");
        };
        let Some(class) = Class::converge(envelope.as_rlp().len()) else {
            return self.fail(fx, id, "the envelope is larger than the largest class");
        };
        let bits = bits.for_class(class);
        trace_lanes(fx, &plan);
        let mut cookie = Cookie([0; 16]);
        fx.key_rng().fill_bytes(&mut cookie.0);
        let search = TicketSearch::new(fx.key_rng(), &plan.rendezvous.id, epoch, cookie, bits);
        let job = fx.start_job(JobOwner::Message(id), Job::Ticket(Box::new(search)));
        let planned = PlannedEnvelope::new(envelope, epoch, plan, class, cookie);
        self.enter(fx, id, SendState::Ticket(job, Box::new(planned)));
    }
}

fn trace_lanes(fx: &mut Effects, plan: &PathPlan) {
    fx.trace(|| {
        let label = |lane: &circuits::path::PathLane| {
            let hops = lane.hops.iter();
            hops.map(|hop| RelayLabel(hop.id.short())).collect()
        };
        Trace::Lanes {
            lanes: plan.lanes.iter().map(label).collect(),
        }
    });
}
