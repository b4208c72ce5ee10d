//! The `onion/1` handshake: both sides name their network before anything else (spec F8).
//!
//! A peer of another network keeps `shh` and nothing more.

use core::time::Duration;

use circuits::ids::{Epoch, LinkId, NetworkId, ShortId};
use circuits::time::Now;

use super::Peers;
use super::connection::{LinkPurpose, OnionHandshake};
use crate::link::{DisconnectReason, Priority};
use crate::node::effects::Effects;
use crate::node::timers::TimerId;
use crate::onion_wire::OnionMessage;

/// The result of an `onion/1` handshake on a link that stays.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::node) enum OnionOutcome {
    /// The peer belongs to our network and takes cells under this id.
    Ready(ShortId),
    /// The peer takes no cells.
    Refused(ShortId),
}

impl Peers {
    /// Sends our status and awaits the peer's.
    pub(super) fn start_onion_handshake(&mut self, fx: &mut Effects, now: Now, id: LinkId) {
        let Some(connection) = self.table.get_mut(id) else {
            return;
        };
        connection.set_onion_handshake(OnionHandshake::AwaitingStatus);
        fx.arm(
            TimerId::OnionStatus(id),
            Some(now.mono.after(STATUS_TIMEOUT)),
        );
        let status = OnionMessage::Status {
            network: self.local.requirements().network,
            epoch: Epoch::at(now.unix),
            time: self.local.shown_time(now.unix),
        };
        self.send_onion(id, Priority::Control, &status);
    }

    /// The peer's status arrived.
    pub(in crate::node) fn on_onion_status(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: LinkId,
        network: NetworkId,
    ) -> Option<OnionOutcome> {
        if network != self.local.requirements().network {
            return self.refuse_onion(fx, now, id);
        }
        fx.arm(TimerId::OnionStatus(id), None);
        let connection = self.table.get_mut(id)?;
        connection.set_onion_handshake(OnionHandshake::Ready);
        Some(OnionOutcome::Ready(connection.remote()?.short()))
    }

    /// The peer sent no status in time.
    pub(in crate::node) fn on_onion_status_timeout(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: LinkId,
    ) -> Option<OnionOutcome> {
        self.refuse_onion(fx, now, id)
    }

    /// Ends `onion/1` on a link; a link that exists for cells only is closed.
    fn refuse_onion(&mut self, fx: &mut Effects, now: Now, id: LinkId) -> Option<OnionOutcome> {
        fx.arm(TimerId::OnionStatus(id), None);
        let connection = self.table.get_mut(id)?;
        connection.set_onion_handshake(OnionHandshake::Off);
        let relay = connection.remote()?.short();
        if connection.purpose() == LinkPurpose::Cells {
            self.disconnect(fx, now, id, DisconnectReason::UselessPeer);
        }
        Some(OnionOutcome::Refused(relay))
    }
}

/// Time that a peer has for its status.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);
