//! How a message is kept and reported: its place on the disk, its price, and what the component of a single
//! attempt has been told.

use circuits::time::UnixSecs;

use super::{Outgoing, SendState};
use crate::node::send::attempt::AttemptEnd;
use crate::node::send::outbox::{FirstStep, Kept};
use crate::node::views::PriceView;

impl Outgoing {
    /// What the component of a single attempt has to be told now: whether all has left, and how the
    /// attempt ended. Each is reported once. The request is erased at the end, with its keys.
    pub(in crate::node::send) fn unreported(&mut self) -> (bool, Option<AttemptEnd>) {
        let end = match &self.state {
            SendState::Delivered => Some(AttemptEnd::Seen {
                first_gossip: self.first_gossip,
            }),
            SendState::HandedOver(_) => Some(AttemptEnd::Seen { first_gossip: true }),
            SendState::Failed(reason) => Some(AttemptEnd::Failed(reason.clone())),
            _ => None,
        };
        let left = self.state.has_left() && !self.reported.left;
        self.reported.left |= left;
        let end = end.filter(|_| !self.reported.ended);
        if end.is_some() {
            self.reported.ended = true;
            self.request = None;
        }
        (left, end)
    }

    /// The custom level whose limits hold for it, by name.
    pub(in crate::node::send) fn custom(&self) -> Option<&str> {
        self.custom.as_deref()
    }

    /// Names the custom level whose limits hold for it.
    pub(in crate::node::send) fn set_custom(&mut self, custom: Option<String>) {
        self.custom = custom;
    }

    /// How it is kept.
    pub(in crate::node::send) const fn kept(&self) -> &Kept {
        &self.kept
    }

    /// The same, to change it.
    pub(in crate::node::send) const fn kept_mut(&mut self) -> &mut Kept {
        &mut self.kept
    }

    /// Whether its user cancelled it.
    pub(in crate::node::send) const fn is_cancelled(&self) -> bool {
        self.is_cancelled
    }

    /// Its user cancels it.
    pub(in crate::node::send) const fn set_cancelled(&mut self) {
        self.is_cancelled = true;
    }

    /// What it costs, as estimated.
    pub(in crate::node::send) const fn price(&self) -> Option<PriceView> {
        self.price
    }

    /// Records what it costs.
    pub(in crate::node::send) const fn set_price(&mut self, price: PriceView) {
        self.price = Some(price);
    }

    /// Takes out what it does first, once it is durable; `None` in any other state.
    pub(in crate::node::send) fn take_step(&mut self) -> Option<FirstStep> {
        if !matches!(self.state, SendState::Storing(_)) {
            return None;
        }
        match core::mem::replace(&mut self.state, SendState::New) {
            SendState::Storing(step) => Some(step),
            _ => None,
        }
    }

    /// Whether it failed, and can be sent again.
    pub(in crate::node::send) const fn can_be_renewed(&self) -> bool {
        !self.is_single_attempt
            && self.request.is_some()
            && matches!(self.state, SendState::Failed(_))
    }

    /// Begins new attempts of a message that failed.
    pub(in crate::node::send) fn renew(&mut self, now: UnixSecs) {
        self.state = SendState::New;
        self.attempt = 1;
        self.is_cancelled = false;
        self.kept.accepted = now;
    }
}
