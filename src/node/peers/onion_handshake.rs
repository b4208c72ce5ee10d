//! The `onion/1` handshake: both sides name their network before anything else (spec F8).
//!
//! A peer of another network keeps `shh` and nothing more.

use core::time::Duration;

use circuits::ids::{Epoch, LinkId, NetworkId, ShortId};
use circuits::time::Now;

use super::Peers;
use super::connection::OnionHandshake;
use crate::gossip::Gossip;
use crate::link::{Capability, DisconnectReason, Priority};
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
    /// Awaits the peer's statuses, and sends ours if it speaks `onion/1`.
    pub(super) fn await_status(&mut self, fx: &mut Effects, now: Now, id: LinkId) {
        let Some(connection) = self.table.get_mut(id) else {
            return;
        };
        let due = now.mono.after(STATUS_TIMEOUT);
        fx.arm(TimerId::Status(id), Some(due));
        if !connection.speaks(Capability::ONION_1) {
            return;
        }
        connection.set_onion_handshake(OnionHandshake::AwaitingStatus);
        let status = OnionMessage::Status {
            network: self.local.requirements().network,
            epoch: Epoch::at(now.unix),
            time: self.local.shown_time(now.unix),
        };
        self.send_onion(fx, id, Priority::Control, &status);
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
        let connection = self.table.get_mut(id)?;
        connection.set_onion_handshake(OnionHandshake::Ready);
        Some(OnionOutcome::Ready(connection.remote()?.short()))
    }

    /// A status is overdue. Without one of `onion/1`, the peer takes no cells; a link without any
    /// status is closed, since it holds its place for nothing. A peer of `shh` has more time,
    /// because some programs send their status late.
    pub(in crate::node) fn on_status_timeout(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: LinkId,
        gossip: &Gossip,
    ) -> Option<OnionOutcome> {
        let connection = self.table.get(id)?;
        let due = connection.opened().after(SHH_STATUS_TIMEOUT);
        let is_overdue = now.mono >= due;
        if connection.shh_version().is_some() && !gossip.has_status(id) {
            if !is_overdue {
                fx.arm(TimerId::Status(id), Some(due));
            } else if !connection.is_onion_ready() {
                self.disconnect(fx, now, id, DisconnectReason::UselessPeer);
                return None;
            }
        }
        match self.table.get(id)?.onion_handshake() {
            OnionHandshake::AwaitingStatus => self.refuse_onion(fx, now, id),
            OnionHandshake::Off | OnionHandshake::Ready => None,
        }
    }

    /// Ends `onion/1` on a link; a link that could carry cells only is closed.
    fn refuse_onion(&mut self, fx: &mut Effects, now: Now, id: LinkId) -> Option<OnionOutcome> {
        let connection = self.table.get_mut(id)?;
        connection.set_onion_handshake(OnionHandshake::Off);
        let relay = connection.remote()?.short();
        if connection.purpose().is_cells_only() || connection.shh_version().is_none() {
            self.disconnect(fx, now, id, DisconnectReason::UselessPeer);
        }
        Some(OnionOutcome::Refused(relay))
    }
}

/// Time that a peer has for its status.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);
/// Time that a peer of `shh` has for its status, from the connection on.
const SHH_STATUS_TIMEOUT: Duration = Duration::from_secs(30);
