//! What this node asks of all its peers, changed while it runs.
//!
//! Own messages are sealed for the minimum of the configuration, whatever is asked of others
//! meanwhile: what an envelope of ours looks like must not depend on what a program said to this
//! node alone.

use circuits::time::Now;

use super::Node;
use super::command::Refusal;
use crate::bloom::Bloom;
use crate::gossip::packet::MinPow;

impl Node {
    pub(super) fn set_min_pow(&mut self, now: Now, min_pow: MinPow) {
        let sends = self.gossip.set_min_pow(now, min_pow);
        self.queue_shh(sends);
    }

    pub(super) fn set_bloom(&mut self, now: Now, bloom: Bloom) {
        let sends = self.gossip.set_bloom(now, bloom);
        self.queue_shh(sends);
    }

    /// Adds topics to the filter that peers were told, if somebody ever narrowed it.
    pub(super) fn widen_bloom(&mut self, now: Now, topics: &Bloom) {
        let sends = self.gossip.widen_bloom(now, topics);
        self.queue_shh(sends);
    }

    /// # Errors
    ///
    /// [`Refusal`] beyond [`MAX_ENVELOPE_SIZE`].
    pub(super) fn set_max_size(&mut self, bytes: usize) -> Result<(), Refusal> {
        if bytes > MAX_ENVELOPE_SIZE {
            return Err(Refusal::usage(
                format!("an envelope of {bytes} bytes fits no packet"),
                format!("name at most {MAX_ENVELOPE_SIZE}"),
            ));
        }
        self.gossip.set_max_size(bytes);
        Ok(())
    }

    /// The least work that an envelope of ours, or one on a stem, must have. What is asked of peers
    /// since the start may be less, but not more.
    pub(super) fn own_min_pow(&self) -> f64 {
        self.gossip.min_pow().value().min(self.config.min_pow)
    }
}

/// Bytes of the largest envelope that may be asked for: go-ethereum's own limit.
pub const MAX_ENVELOPE_SIZE: usize = 10 << 20;
