//! What this node requires of all peers; an API client can change it while the node runs.
//!
//! Our own messages always have the proof of work of the configuration: the appearance of our
//! envelopes must not depend on what an API client told this node alone.

use circuits::time::Now;

use super::EnvelopeGossip;
use crate::bloom::Bloom;
use crate::gossip::packet::MinPow;
use crate::node::command::{Command, Refusal};
use crate::node::effects::Effects;

impl EnvelopeGossip {
    /// Carries out a command that changes what this node requires of its peers.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if no packet could hold envelopes of the wanted size.
    pub(in crate::node) fn set_policy(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: Command,
    ) -> Result<(), Refusal> {
        match command {
            Command::SetMinPow(min_pow) => self.set_min_pow(fx, now, min_pow),
            Command::SetBloom(bloom) => self.set_bloom(fx, now, bloom),
            Command::SetMaxSize(bytes) => self.set_max_size(bytes)?,
            Command::SetLight(light) => self.set_light(light),
            _ => {}
        }
        Ok(())
    }

    /// Sets the minimum proof of work, and announces it: as many times the new one as the pressure demands.
    pub(in crate::node) fn set_min_pow(&mut self, fx: &mut Effects, now: Now, min_pow: MinPow) {
        let packets = self.machine.set_min_pow(now, min_pow);
        self.send(fx, packets);
        if self.is_raised() {
            self.announce_min_pow(fx, now);
        }
    }

    /// Sets the topic filter, and announces it.
    pub(in crate::node) fn set_bloom(&mut self, fx: &mut Effects, now: Now, bloom: Bloom) {
        let packets = self.machine.set_bloom(now, bloom);
        self.send(fx, packets);
    }

    /// Whether an API client has narrowed the filter, so that peers send only what matches it.
    pub(in crate::node) fn has_narrow_bloom(&self) -> bool {
        !self.machine.bloom().is_full()
    }

    /// Adds topics to the announced filter, if a client has narrowed it.
    pub(in crate::node) fn widen_bloom(&mut self, fx: &mut Effects, now: Now, topics: &Bloom) {
        let packets = self.machine.widen_bloom(now, topics);
        self.send(fx, packets);
    }

    /// Sets the size of the largest accepted envelope.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if it exceeds [`MAX_ENVELOPE_SIZE`].
    pub(in crate::node) fn set_max_size(&mut self, bytes: usize) -> Result<(), Refusal> {
        if bytes > MAX_ENVELOPE_SIZE {
            return Err(Refusal::usage(
                format!("no packet holds an envelope of {bytes} bytes"),
                format!("set at most {MAX_ENVELOPE_SIZE}"),
            ));
        }
        self.machine.set_max_size(bytes);
        Ok(())
    }

    /// Sets whether new peers are told that this is a light node.
    pub(in crate::node) const fn set_light(&mut self, light: bool) {
        self.machine.set_light(light);
    }

    /// The minimum proof of work of our envelopes, and of envelopes on a stem.
    pub(super) fn own_min_pow(&self) -> f64 {
        self.machine.min_pow().value().min(self.pow.min_pow())
    }
}

/// Largest size in bytes that can be set: go-ethereum's own limit.
pub const MAX_ENVELOPE_SIZE: usize = 10 << 20;
