//! Guards that lose everything: when another guard is tried, and how seldom.
//!
//! A guard may answer every dial and drop every cell. No message reports that; the sender sees only that
//! no echo comes. But others can suppress an echo too: the rendezvous, a relay of the lanes, and an attacker
//! who holds many relays does so on purpose, to make this node try guard after guard until it takes one
//! of his. So a guard is set aside only on evidence that points at it, for a while, and only for its
//! first backup (docs/decisions/0014):
//!
//! * [`SILENT_ATTEMPTS`] attempts in a row without an echo, while gossip of others arrives;
//! * each with another rendezvous, and no relay but the guard on all of them;
//! * if the backup brings no echo either, the guard was not the cause: it returns, and is not set
//!   aside again for [`TRIAL_INTERVAL_SECS`].

use circuits::ids::{RelayId, ShortId};
use circuits::time::UnixSecs;

use crate::node::send::LaneRelays;

/// The evidence against the current guard, and the guard that is set aside.
#[derive(Default)]
pub(super) struct GuardTrial {
    /// Attempts of one guard without an echo, since its last echo.
    silent: Vec<LaneRelays>,
    /// The guard that is set aside, and until when.
    set_aside: Option<(RelayId, UnixSecs)>,
    /// When a guard may be set aside next.
    next_trial: UnixSecs,
}

/// What follows from an attempt without an echo.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum TrialVerdict {
    /// Nothing.
    Wait,
    /// Do not use the guard of the attempt until this time.
    SetAside(UnixSecs),
    /// Use this guard again: its backup is no better.
    Restore(RelayId),
}

impl GuardTrial {
    /// An attempt through `guard` got no echo.
    pub(super) fn on_silence(
        &mut self,
        now: UnixSecs,
        guard: RelayId,
        attempt: LaneRelays,
    ) -> TrialVerdict {
        self.silent.retain(|silent| silent.guard == attempt.guard);
        self.silent.push(attempt);
        if self.silent.len() < SILENT_ATTEMPTS {
            return TrialVerdict::Wait;
        }
        let points_at_guard = points_at_guard(&self.silent);
        if !points_at_guard {
            self.silent.remove(0);
            return TrialVerdict::Wait;
        }
        self.silent.clear();
        match self.set_aside.take_if(|(_, until)| now < *until) {
            Some((first, _)) if first != guard => {
                self.next_trial = now.after(TRIAL_INTERVAL_SECS);
                TrialVerdict::Restore(first)
            }
            _ if now < self.next_trial => TrialVerdict::Wait,
            _ => {
                let until = now.after(SET_ASIDE_SECS);
                self.set_aside = Some((guard, until));
                self.next_trial = now.after(TRIAL_INTERVAL_SECS);
                TrialVerdict::SetAside(until)
            }
        }
    }

    /// An echo came through this guard.
    pub(super) fn on_echo(&mut self, guard: ShortId) {
        self.silent.retain(|silent| silent.guard != guard);
    }
}

/// Whether the attempts had nothing in common but their guard.
fn points_at_guard(attempts: &[LaneRelays]) -> bool {
    let Some((first, others)) = attempts.split_first() else {
        return false;
    };
    let mut rest = attempts;
    while let Some((attempt, later)) = rest.split_first() {
        if later.iter().any(|one| one.rendezvous == attempt.rendezvous) {
            return false;
        }
        rest = later;
    }
    let on_all = |relay: &ShortId| {
        let mut others = others.iter();
        others.all(|other| other.middles.contains(relay) || other.rendezvous == *relay)
    };
    let relays = first.middles.iter().chain([&first.rendezvous]);
    !relays.copied().any(|relay| on_all(&relay))
}

/// Number of attempts in a row without an echo that put a guard aside.
const SILENT_ATTEMPTS: usize = 3;

/// Time in seconds for which a guard is set aside: six hours.
const SET_ASIDE_SECS: u32 = 6 * 3_600;

/// Shortest time in seconds between two guards that are set aside: a day.
const TRIAL_INTERVAL_SECS: u32 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSecs = UnixSecs(1_750_000_000);

    fn id(number: u8) -> RelayId {
        RelayId([number; 32])
    }

    fn attempt(guard: u8, rendezvous: u8, middles: &[u8]) -> LaneRelays {
        LaneRelays {
            guard: id(guard).short(),
            rendezvous: id(rendezvous).short(),
            middles: middles.iter().map(|middle| id(*middle).short()).collect(),
        }
    }

    /// Attempts through a guard that have nothing else in common.
    fn lose(trial: &mut GuardTrial, now: UnixSecs, guard: u8) -> TrialVerdict {
        let mut verdict = TrialVerdict::Wait;
        for number in 0..3 {
            assert_eq!(verdict, TrialVerdict::Wait);
            let lost = attempt(guard, 10 + number, &[20 + number, 30 + number]);
            verdict = trial.on_silence(now, id(guard), lost);
        }
        verdict
    }

    #[test]
    fn guard_without_echoes_is_set_aside_for_a_while() {
        let mut trial = GuardTrial::default();
        let verdict = lose(&mut trial, NOW, 1);
        assert_eq!(verdict, TrialVerdict::SetAside(NOW.after(SET_ASIDE_SECS)));
    }

    #[test]
    fn echo_between_two_losses_clears_the_guard() {
        let mut trial = GuardTrial::default();
        for number in 0..9 {
            let lost = attempt(1, 10 + number, &[30 + number]);
            assert_eq!(trial.on_silence(NOW, id(1), lost), TrialVerdict::Wait);
            if number % 2 == 1 {
                trial.on_echo(id(1).short());
            }
        }
    }

    #[test]
    fn hostile_rendezvous_or_middle_does_not_put_the_guard_aside() {
        let mut trial = GuardTrial::default();
        for number in 0..9 {
            let lost = attempt(1, 10 + number % 2, &[30 + number]);
            assert_eq!(trial.on_silence(NOW, id(1), lost), TrialVerdict::Wait);
        }
        let mut trial = GuardTrial::default();
        for number in 0..9 {
            let lost = attempt(1, 10 + number, &[30 + number, 99]);
            assert_eq!(trial.on_silence(NOW, id(1), lost), TrialVerdict::Wait);
        }
    }

    #[test]
    fn attacker_who_suppresses_every_echo_drives_us_to_one_backup_a_day() {
        let mut trial = GuardTrial::default();
        assert!(matches!(
            lose(&mut trial, NOW, 1),
            TrialVerdict::SetAside(_)
        ));
        // The backup is silent too: the first guard returns, and stays.
        let later = NOW.after(600);
        assert_eq!(lose(&mut trial, later, 2), TrialVerdict::Restore(id(1)));
        for hours in 1..24 {
            let verdict = lose(&mut trial, later.after(hours * 3_600 - 1), 1);
            assert_eq!(verdict, TrialVerdict::Wait, "after {hours} hours");
        }
        let next_day = later.after(TRIAL_INTERVAL_SECS);
        assert!(matches!(
            lose(&mut trial, next_day, 1),
            TrialVerdict::SetAside(_)
        ));
    }
}
