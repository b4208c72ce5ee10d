//! One-time URLs: drawn on request, used once, within two minutes.
//!
//! A URL can leak through the history of a shell, a screen, or a program that fetches links ahead of the
//! user. Its token is worth nothing once it was used, replaced or is too old. Guesses are counted; a used
//! token is not a guess. Only digests of spent tokens are kept.

use std::collections::VecDeque;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use circuits::secret::Secret;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::limits::{LOGIN_TIMEOUT, MAX_SPENT_TOKENS, MAX_WRONG_TOKENS};
use crate::shell::{NoRandomness, random};

/// The token that opens a session, and the guesses since it was drawn.
#[derive(Debug, Default)]
pub(super) struct LoginTokens {
    current: Option<(Secret<32>, Instant)>,
    spent: VecDeque<[u8; 32]>,
    wrong: u32,
}

/// Why a token opens no session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum LoginRefusal {
    /// It was used, replaced, or is too old.
    Spent,
    /// It is not a token of this node.
    Wrong,
    /// Too many tokens were wrong.
    Closed,
}

impl LoginTokens {
    /// Draws a token, in place of an earlier one that was not used, and forgets wrong guesses.
    pub(super) fn draw(&mut self, now: Instant) -> Result<Zeroizing<String>, NoRandomness> {
        let secret = Secret::take(&mut random()?);
        self.spend();
        self.wrong = 0;
        let text = Zeroizing::new(URL_SAFE_NO_PAD.encode(secret.expose()));
        self.current = Some((secret, now));
        Ok(text)
    }

    /// Uses a token.
    pub(super) fn redeem(&mut self, text: &str, now: Instant) -> Result<(), LoginRefusal> {
        if self.is_closed() {
            return Err(LoginRefusal::Closed);
        }
        let shown = URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new);
        let shown = shown.unwrap_or_default();
        let is_current = self
            .current
            .as_ref()
            .is_some_and(|(secret, _)| bool::from(secret.expose().as_slice().ct_eq(&shown)));
        let is_fresh = self
            .current
            .as_ref()
            .is_some_and(|(_, drawn)| now.duration_since(*drawn) < LOGIN_TIMEOUT);
        if is_current {
            self.spend();
            return if is_fresh {
                Ok(())
            } else {
                Err(LoginRefusal::Spent)
            };
        }
        if self.spent.contains(&digest(&shown)) {
            return Err(LoginRefusal::Spent);
        }
        self.wrong = self.wrong.saturating_add(1);
        if self.is_closed() {
            self.spend();
        }
        Err(LoginRefusal::Wrong)
    }

    const fn is_closed(&self) -> bool {
        self.wrong >= MAX_WRONG_TOKENS
    }

    fn spend(&mut self) {
        if let Some((secret, _)) = self.current.take() {
            self.spent.push_back(digest(secret.expose()));
        }
        if self.spent.len() > MAX_SPENT_TOKENS {
            self.spent.pop_front();
        }
    }
}

fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn token_opens_once() {
        let mut tokens = LoginTokens::default();
        let token = tokens.draw(Instant::now()).unwrap();
        assert_eq!(token.len(), 43);
        assert_eq!(tokens.redeem(&token, Instant::now()), Ok(()));
        assert_eq!(
            tokens.redeem(&token, Instant::now()),
            Err(LoginRefusal::Spent)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn token_that_is_too_old_or_replaced_opens_nothing() {
        let mut tokens = LoginTokens::default();
        let now = Instant::now();
        let first = tokens.draw(now).unwrap();
        let second = tokens.draw(now).unwrap();
        assert_eq!(tokens.redeem(&first, now), Err(LoginRefusal::Spent));
        let late = now + LOGIN_TIMEOUT;
        assert_eq!(tokens.redeem(&second, late), Err(LoginRefusal::Spent));
    }

    #[tokio::test(start_paused = true)]
    async fn guesses_close_login_until_user_asks_again() {
        let mut tokens = LoginTokens::default();
        let now = Instant::now();
        let token = tokens.draw(now).unwrap();
        for _ in 0..MAX_WRONG_TOKENS {
            let guess = URL_SAFE_NO_PAD.encode([7; 32]);
            assert_eq!(tokens.redeem(&guess, now), Err(LoginRefusal::Wrong));
        }
        assert_eq!(tokens.redeem(&token, now), Err(LoginRefusal::Closed));
        let fresh = tokens.draw(now).unwrap();
        assert_eq!(tokens.redeem(&token, now), Err(LoginRefusal::Spent));
        assert_eq!(tokens.redeem(&fresh, now), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn used_token_that_is_shown_again_is_not_a_guess() {
        let mut tokens = LoginTokens::default();
        let now = Instant::now();
        let used = tokens.draw(now).unwrap();
        tokens.redeem(&used, now).unwrap();
        let fresh = tokens.draw(now).unwrap();
        for _ in 0..2 * MAX_WRONG_TOKENS {
            assert_eq!(tokens.redeem(&used, now), Err(LoginRefusal::Spent));
        }
        assert_eq!(tokens.redeem(&fresh, now), Ok(()));
    }

    #[test]
    fn text_that_is_not_a_token_is_wrong() {
        let mut tokens = LoginTokens::default();
        let now = Instant::now();
        let _token = tokens.draw(now).unwrap();
        for text in ["", "AAAA", "%%%", &"A".repeat(4_000)] {
            assert_eq!(tokens.redeem(text, now), Err(LoginRefusal::Wrong), "{text}");
        }
    }
}
