//! The rank of an envelope among the envelopes of one source, in every queue of this node.

use core::time::Duration;

use circuits::fair_queue::WorkRank;
use circuits::time::UnixSecs;

use crate::envelope::Envelope;
use crate::pow::PowChecked;

/// The rank of an envelope that is queued at `now`: its work by the better of both rules, times the seconds
/// until it expires. A peer that floods pays for each place with work, and for cheap work with late service.
#[must_use]
pub fn work_rank(envelope: &Envelope, pow: &PowChecked, now: UnixSecs) -> WorkRank {
    let remaining = envelope.expiry().0.saturating_sub(now.0);
    WorkRank::new(pow.best(), Duration::from_secs(remaining.into()))
}
