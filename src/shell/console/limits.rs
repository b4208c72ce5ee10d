//! Limits of the console.

use std::time::Duration;

use crate::shell::accept_limiter::{AcceptLimits, Eviction};

/// Maximum number of connections that belong to a session, and as many that do not; of the latter the
/// oldest makes room for the next.
pub(super) const CONNECTION_LIMITS: AcceptLimits = AcceptLimits {
    slots: 32,
    unproven: 32,
    per_source: 0,
    closing: 0,
    loopback_only: true,
    eviction: Eviction::Oldest,
};
/// Maximum size of a request's head in bytes.
pub(super) const MAX_HEAD: usize = 16 * 1024;
/// Time limit for a head, and for the silence between two requests.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// A browser that reads nothing for this long is disconnected.
pub(super) const STALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Maximum size of a form in bytes. A text of 64 KB may take more when it is percent-encoded; the page
/// then tells its size.
pub(super) const MAX_FORM: usize = 128 * 1024;
/// What is read of a form above the limit, so that the browser gets the answer.
pub(super) const MAX_DISCARDED: usize = 4 << 20;
/// Time limit for a form.
pub(super) const FORM_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of sessions; the one that was used least recently makes room for the next.
pub(super) const MAX_SESSIONS: usize = 4;
/// A session ends when the user has asked for nothing for this long.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// A session ends after this long in any case.
pub(super) const MAX_SESSION_AGE: Duration = Duration::from_secs(12 * 60 * 60);
/// A one-time URL can be used for this long.
pub(super) const LOGIN_TIMEOUT: Duration = Duration::from_secs(120);
/// After so many wrong tokens no URL is accepted until the user asks for a new one.
pub(super) const MAX_WRONG_TOKENS: u32 = 10;
/// How many used or replaced tokens are recognised as such.
pub(super) const MAX_SPENT_TOKENS: usize = 16;
/// How many submissions of a session are recognised when they are repeated.
pub(super) const MAX_SUBMISSIONS: usize = 256;
/// Minimum time between two notices of one event stream, in which changes are collected.
pub(super) const EVENT_INTERVAL: Duration = Duration::from_millis(500);
/// Time between two checks of an event stream that its session still exists.
pub(super) const STREAM_CHECK_INTERVAL: Duration = Duration::from_secs(15);
/// Time limit for the last answers when the node ends.
pub(super) const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);
