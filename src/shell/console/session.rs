//! The sessions of browsers: in memory, few, and short.
//!
//! A session is named by a random key in a cookie, which is compared in constant time with every session.
//! It ends after half an hour without a request of the user, after twelve hours, when the user locks the
//! console, or when a newer session needs its place. Requests that a page makes by itself do not keep a
//! session alive.

use std::collections::{BTreeMap, VecDeque};

use circuits::secret::Secret;
use subtle::ConstantTimeEq;
use tokio::sync::watch;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::limits::{IDLE_TIMEOUT, MAX_SESSION_AGE, MAX_SESSIONS, MAX_SUBMISSIONS};
use crate::shell::{NoRandomness, random};

/// Names a session of this run.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct BrowserSessionId(u64);

/// The open sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    open: BTreeMap<BrowserSessionId, BrowserSession>,
    last: u64,
}

#[derive(Debug)]
struct BrowserSession {
    key: Secret<32>,
    form_token: Secret<16>,
    began: Instant,
    used: Instant,
    /// Submissions that were accepted, so that none is accepted twice.
    submissions: VecDeque<[u8; 16]>,
    /// Closes with the session.
    alive: watch::Sender<()>,
}

/// Whether a request shows that the user is there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum RequestActivity {
    /// The user asked for something.
    User,
    /// The page refreshes itself.
    Automatic,
}

impl Sessions {
    /// Opens a session. Returns its key as the cookie contains it, in hexadecimal digits.
    pub(super) fn open(&mut self, now: Instant) -> Result<Zeroizing<String>, NoRandomness> {
        let session = BrowserSession {
            key: Secret::take(&mut random()?),
            form_token: Secret::take(&mut random()?),
            began: now,
            used: now,
            submissions: VecDeque::new(),
            alive: watch::Sender::new(()),
        };
        let cookie = Zeroizing::new(hex::encode(session.key.expose()));
        self.expire(now);
        while self.open.len() >= MAX_SESSIONS {
            let oldest = self.open.iter().min_by_key(|(_, session)| session.used);
            let Some(oldest) = oldest.map(|(id, _)| *id) else {
                break;
            };
            self.open.remove(&oldest);
        }
        self.last = self.last.wrapping_add(1);
        self.open.insert(BrowserSessionId(self.last), session);
        Ok(cookie)
    }

    /// The session that a cookie names, if it has not ended.
    pub(super) fn find(
        &mut self,
        cookie: &str,
        activity: RequestActivity,
        now: Instant,
    ) -> Option<BrowserSessionId> {
        self.expire(now);
        let mut key = Zeroizing::new([0; 32]);
        hex::decode_to_slice(cookie, key.as_mut_slice()).ok()?;
        let mut found = None;
        for (id, session) in &mut self.open {
            if bool::from(session.key.expose().ct_eq(&*key)) {
                found = Some(*id);
                if activity == RequestActivity::User {
                    session.used = now;
                }
            }
        }
        found
    }

    /// The token that every form of the session contains; `None` if the session has ended.
    pub(super) fn form_token(&self, id: BrowserSessionId) -> Option<Zeroizing<String>> {
        let session = self.open.get(&id)?;
        Some(Zeroizing::new(hex::encode(session.form_token.expose())))
    }

    /// Whether a form belongs to the session.
    pub(super) fn is_form_token(&self, id: BrowserSessionId, shown: &str) -> bool {
        self.form_token(id)
            .is_some_and(|token| token.as_bytes().ct_eq(shown.as_bytes()).into())
    }

    /// Records a submission. False if the session has accepted it before.
    pub(super) fn accept_submission(&mut self, id: BrowserSessionId, submission: [u8; 16]) -> bool {
        let Some(session) = self.open.get_mut(&id) else {
            return false;
        };
        if session.submissions.contains(&submission) {
            return false;
        }
        session.submissions.push_back(submission);
        if session.submissions.len() > MAX_SUBMISSIONS {
            session.submissions.pop_front();
        }
        true
    }

    /// Forgets a submission that had no effect, so that the user can repeat it.
    pub(super) fn release_submission(&mut self, id: BrowserSessionId, submission: [u8; 16]) {
        if let Some(session) = self.open.get_mut(&id) {
            session.submissions.retain(|known| *known != submission);
        }
    }

    /// Closes when the session ends; `None` if it has ended.
    pub(super) fn watch(&self, id: BrowserSessionId) -> Option<watch::Receiver<()>> {
        self.open.get(&id).map(|session| session.alive.subscribe())
    }

    /// Ends sessions that are idle or old.
    pub(super) fn expire(&mut self, now: Instant) {
        self.open.retain(|_, session| {
            now.duration_since(session.used) < IDLE_TIMEOUT
                && now.duration_since(session.began) < MAX_SESSION_AGE
        });
    }

    /// Ends all sessions.
    pub(super) fn close_all(&mut self) {
        self.open.clear();
    }
}

#[cfg(test)]
mod tests;
