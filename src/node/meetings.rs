//! Meetings: in which window an end of a file or of a talk line opens a circuit, to which relay, and how it
//! leaves one.
//!
//! An attempt counts when its circuit can be opened. A node that has just started, or whose link to its guard is
//! down, tries again within the window instead of losing it: the other end waits there. Nothing here opens a
//! circuit or stores anything; the owner of the file or the line does.

use core::time::Duration;

use circuits::distributions;
use circuits::ids::RelayId;
use circuits::time::{Instant, Now, UnixSecs};

use super::action::{Action, CircuitAction};
use super::circuits::CircuitHandle;
use super::command::Refusal;
use super::directory::{MeetingRefusal, RelayDirectory};
use super::effects::Effects;
use super::peers::Peers;
use crate::transfer::MAX_MEETING_RELAYS;
use crate::transfer::frame::SealedPayload;
use crate::transfer::schedule::{AttemptId, AttemptSchedule, RelayPlaces};

/// What an end that has not met the other one does now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NextAttempt {
    /// The last window is over.
    Over,
    /// Wait for the next window, which begins then.
    Wait(UnixSecs),
    /// Try again after [`RETRY_INTERVAL`]: no circuit can be opened now.
    NotReady(MeetingRefusal),
    /// Open a circuit to this relay.
    Open(AttemptId, RelayId),
}

/// What is to be done about the attempts of a schedule after `last`. The places of the schedule count in
/// `relays`.
pub(super) fn next_attempt(
    now: Now,
    (schedule, last): (AttemptSchedule, Option<AttemptId>),
    relays: &[RelayId],
    (directory, peers): (&RelayDirectory, &Peers),
) -> NextAttempt {
    let Some(attempt) = schedule.next(now.unix, last) else {
        return NextAttempt::Over;
    };
    if attempt.begins() > now.unix {
        return NextAttempt::Wait(attempt.begins());
    }
    let relay = relays.get(schedule.place(attempt)).copied();
    let checked = relay.ok_or(MeetingRefusal::NotAllowed);
    let checked = checked.and_then(|relay| {
        directory.check_meeting(now, relay, peers)?;
        Ok(relay)
    });
    match checked {
        Ok(relay) => NextAttempt::Open(attempt, relay),
        Err(refusal) => NextAttempt::NotReady(refusal),
    }
}

/// Relays at which circuits can meet, for a proposal; those of `tried` only if there are too few others.
///
/// # Errors
///
/// [`Refusal`] with the rule of path choice that cannot be satisfied.
pub(super) fn pick_relays(
    fx: &mut Effects,
    now: Now,
    tried: &[RelayId],
    (directory, peers): (&RelayDirectory, &Peers),
) -> Result<Vec<RelayId>, Refusal> {
    let picked = directory.pick_meeting_relays(fx, now, (MAX_MEETING_RELAYS, tried), peers);
    picked.map_err(|error| {
        Refusal::policy(
            format!("no relay can be the meeting place of circuits: {error}"),
            "wait until this node knows more relays (`whisht status`)",
        )
    })
}

/// Two different places of those that are allowed, in random order; the same one twice if there is no other.
/// `None` without any.
pub(super) fn pick_places(fx: &mut Effects, allowed: &[usize]) -> Option<RelayPlaces> {
    let mut places: Vec<u8> = allowed
        .iter()
        .filter_map(|place| u8::try_from(*place).ok())
        .collect();
    distributions::shuffle(fx.path_rng(), &mut places);
    let first = *places.first()?;
    let second = places.get(1).copied().unwrap_or(first);
    RelayPlaces::new([first, second])
}

/// Time until an instant of the wall clock. Never above a minute, because that clock may be set meanwhile.
pub(super) fn time_until(now: UnixSecs, at: UnixSecs) -> Duration {
    let secs = at.0.saturating_sub(now.0);
    Duration::from_secs(secs.into()).min(MAX_WAIT)
}

/// Circuits of sessions that have ended, and when they are closed: the last payload of a session leaves first.
#[derive(Default)]
pub(super) struct LeavingCircuits(Vec<(Instant, CircuitHandle)>);

impl LeavingCircuits {
    /// Sends the last payload of a session, if there is one, and closes its circuit afterwards.
    pub(super) fn leave(
        &mut self,
        fx: &mut Effects,
        now: Instant,
        circuit: CircuitHandle,
        farewell: Option<SealedPayload>,
    ) {
        match farewell {
            Some(farewell) => {
                fx.request(Action::Circuit(CircuitAction::Send(circuit, farewell)));
                self.0.push((now.after(FAREWELL_TIME), circuit));
            }
            None => fx.request(Action::Circuit(CircuitAction::Close(circuit))),
        }
    }

    /// Closes the circuits whose last payload has had its time.
    pub(super) fn close_due(&mut self, fx: &mut Effects, now: Instant) {
        for (_, circuit) in self.0.extract_if(.., |(due, _)| *due <= now) {
            fx.request(Action::Circuit(CircuitAction::Close(circuit)));
        }
    }

    /// Closes all at once: the node is locked.
    pub(super) fn close_all(&mut self, fx: &mut Effects) {
        for (_, circuit) in self.0.drain(..) {
            fx.request(Action::Circuit(CircuitAction::Close(circuit)));
        }
    }

    /// When [`close_due`](Self::close_due) is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.iter().map(|(due, _)| *due).min()
    }
}

/// Time between two looks at whether a circuit can be opened. The link to a guard is dialled by its own clock.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// Time that the last payload of a session has to leave before its circuit is closed.
const FAREWELL_TIME: Duration = Duration::from_secs(3);
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Why the attempts of a schedule ended in vain.
pub(super) const NOT_MET: &str = "the other side was not there within twenty minutes";
