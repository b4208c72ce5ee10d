//! Limits on wrong passwords at a mail server.
//!
//! A request under a password is a guess until it decrypts, and keys to send it from are free. Wrong
//! guesses are therefore counted by the network that they come from, and all together. A peer whose
//! password was right before is not counted, so a flood of guesses locks out only clients that the
//! server does not know yet.

use core::time::Duration;

use circuits::bounded_map::BoundedMap;
use circuits::directory::Subnet;
use circuits::ids::RelayKey;
use circuits::rate_limit::{KeyedLimiter, Quota, TokenBucket};
use circuits::time::Instant;

/// The wrong guesses that are still permitted.
#[derive(Debug)]
pub(super) struct GuessLimiter {
    by_subnet: KeyedLimiter<Subnet>,
    all: TokenBucket,
    /// Peers whose last password was right, by the time of it.
    proven: BoundedMap<RelayKey, (), Instant>,
}

/// A guess under way, which is paid for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub(super) enum Guess {
    /// The peer knew the password before.
    Proven,
    /// One guess was taken from the limits.
    Paid,
}

impl GuessLimiter {
    pub(super) const fn new() -> Self {
        Self {
            by_subnet: KeyedLimiter::new(SUBNET_GUESS_QUOTA, MAX_SUBNETS),
            all: TokenBucket::full(Instant::ZERO),
            proven: BoundedMap::new(MAX_PROVEN),
        }
    }

    /// Takes one guess of a peer; `None` if its network or all networks together have none left.
    pub(super) fn take(&mut self, now: Instant, peer: RelayKey, subnet: Subnet) -> Option<Guess> {
        if self.proven.get(&peer).is_some() {
            return Some(Guess::Proven);
        }
        if !self.all.take(TOTAL_GUESS_QUOTA, now) {
            return None;
        }
        // Tor and loopback have no networks to tell apart.
        if subnet != Subnet::Onion && !self.by_subnet.take(subnet, now) {
            self.all.give_back(TOTAL_GUESS_QUOTA);
            return None;
        }
        Some(Guess::Paid)
    }

    /// The password was wrong.
    pub(super) fn on_wrong(&mut self, peer: RelayKey) {
        self.proven.remove(&peer);
    }

    /// The request decrypted under the password.
    pub(super) fn on_right(&mut self, now: Instant, guess: Guess, peer: RelayKey, subnet: Subnet) {
        self.on_other(guess, subnet);
        self.proven.insert(peer, now, ());
    }

    /// The request was no guess: it used no password, or was invalid.
    pub(super) fn on_other(&mut self, guess: Guess, subnet: Subnet) {
        if guess == Guess::Paid {
            self.all.give_back(TOTAL_GUESS_QUOTA);
            if subnet != Subnet::Onion {
                self.by_subnet.give_back(&subnet);
            }
        }
    }
}

/// Wrong passwords from one network: ten at once, then one a minute.
const SUBNET_GUESS_QUOTA: Quota = Quota::new(10, Duration::from_secs(60));
/// Wrong passwords from all networks: a hundred at once, then one in ten seconds.
const TOTAL_GUESS_QUOTA: Quota = Quota::new(100, Duration::from_secs(10));
/// Maximum number of networks with a recorded number of guesses.
const MAX_SUBNETS: usize = 4_096;
/// Maximum number of peers that are known to have the password; the oldest is forgotten first.
const MAX_PROVEN: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u16) -> RelayKey {
        let mut key = [0; 64];
        key[..2].copy_from_slice(&number.to_be_bytes());
        RelayKey(key)
    }

    /// The number of wrong passwords that are tried, of as many as there are keys.
    fn guesses(limiter: &mut GuessLimiter, subnet: impl Fn(u16) -> Subnet) -> usize {
        let tried = (0..1_000).filter(|number| {
            let guess = limiter.take(Instant::ZERO, key(*number), subnet(*number));
            if guess.is_some() {
                limiter.on_wrong(key(*number));
            }
            guess.is_some()
        });
        tried.count()
    }

    #[test]
    fn guesses_under_many_keys_are_bounded_by_network_and_in_total() {
        let one = Subnet::Ip4([192, 0]);
        assert_eq!(guesses(&mut GuessLimiter::new(), |_| one), 10);
        let many = |number: u16| Subnet::Ip4(number.to_be_bytes());
        assert_eq!(guesses(&mut GuessLimiter::new(), many), 100);
        assert_eq!(guesses(&mut GuessLimiter::new(), |_| Subnet::Onion), 100);
    }

    #[test]
    fn flood_of_guesses_does_not_lock_out_known_client() {
        let (mut limiter, subnet) = (GuessLimiter::new(), Subnet::Ip4([192, 0]));
        let known = key(2_000);
        let guess = limiter.take(Instant::ZERO, known, subnet).unwrap();
        limiter.on_right(Instant::ZERO, guess, known, subnet);
        assert_eq!(
            guesses(&mut limiter, |number| Subnet::Ip4([
                1,
                number.to_be_bytes()[0]
            ])),
            40
        );
        assert_eq!(
            limiter.take(Instant::ZERO, known, subnet),
            Some(Guess::Proven)
        );
        limiter.on_wrong(known);
        let minute = Instant::ZERO.after(Duration::from_secs(60));
        assert_eq!(limiter.take(minute, key(8), subnet), Some(Guess::Paid));
    }

    #[test]
    fn request_without_guess_costs_none() {
        let (mut limiter, subnet) = (GuessLimiter::new(), Subnet::Ip4([192, 0]));
        for _ in 0..1_000 {
            let guess = limiter.take(Instant::ZERO, key(1), subnet).unwrap();
            limiter.on_other(guess, subnet);
        }
    }
}
