use std::time::Duration;

use super::*;

#[tokio::test(start_paused = true)]
async fn session_ends_when_idle_and_page_refreshes_do_not_keep_it() {
    let mut sessions = Sessions::default();
    let began = Instant::now();
    let cookie = sessions.open(began).unwrap();
    let mut now = began;
    for _ in 0..3 {
        now += IDLE_TIMEOUT - Duration::from_secs(1);
        assert!(sessions.find(&cookie, RequestActivity::User, now).is_some());
    }
    let used = now;
    while now < used + IDLE_TIMEOUT - Duration::from_secs(15) {
        now += Duration::from_secs(15);
        assert!(
            sessions
                .find(&cookie, RequestActivity::Automatic, now)
                .is_some()
        );
    }
    now += Duration::from_secs(15);
    assert!(sessions.find(&cookie, RequestActivity::User, now).is_none());
}

#[tokio::test(start_paused = true)]
async fn session_in_use_ends_after_twelve_hours() {
    let mut sessions = Sessions::default();
    let began = Instant::now();
    let cookie = sessions.open(began).unwrap();
    let mut now = began;
    while now + Duration::from_secs(600) < began + MAX_SESSION_AGE {
        now += Duration::from_secs(600);
        assert!(sessions.find(&cookie, RequestActivity::User, now).is_some());
    }
    let end = began + MAX_SESSION_AGE;
    assert!(sessions.find(&cookie, RequestActivity::User, end).is_none());
}

#[tokio::test(start_paused = true)]
async fn fifth_session_ends_the_one_used_least_recently() {
    let mut sessions = Sessions::default();
    let began = Instant::now();
    let cookies: Vec<_> = (0_u32..4)
        .map(|number| {
            let at = began + Duration::from_secs(u64::from(number));
            sessions.open(at).unwrap()
        })
        .collect();
    let later = began + Duration::from_secs(10);
    assert!(
        sessions
            .find(&cookies[0], RequestActivity::User, later)
            .is_some()
    );
    let fifth = sessions.open(later).unwrap();
    assert!(
        sessions
            .find(&cookies[1], RequestActivity::User, later)
            .is_none()
    );
    for cookie in [&cookies[0], &cookies[2], &cookies[3], &fifth] {
        assert!(
            sessions
                .find(cookie, RequestActivity::User, later)
                .is_some()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn form_token_belongs_to_one_session_and_ends_with_it() {
    let mut sessions = Sessions::default();
    let now = Instant::now();
    let (one, two) = (sessions.open(now).unwrap(), sessions.open(now).unwrap());
    let one = sessions.find(&one, RequestActivity::User, now).unwrap();
    let two = sessions.find(&two, RequestActivity::User, now).unwrap();
    let token = sessions.form_token(one).unwrap();
    assert!(sessions.is_form_token(one, &token));
    assert!(!sessions.is_form_token(two, &token));
    assert!(!sessions.is_form_token(one, ""));
    let mut alive = sessions.watch(one).unwrap();
    sessions.close_all();
    assert!(!sessions.is_form_token(one, &token));
    assert!(alive.changed().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn submission_is_accepted_once_per_session() {
    let mut sessions = Sessions::default();
    let now = Instant::now();
    let cookie = sessions.open(now).unwrap();
    let id = sessions.find(&cookie, RequestActivity::User, now).unwrap();
    assert!(sessions.accept_submission(id, [1; 16]));
    assert!(!sessions.accept_submission(id, [1; 16]));
    assert!(sessions.accept_submission(id, [2; 16]));
    sessions.release_submission(id, [1; 16]);
    assert!(sessions.accept_submission(id, [1; 16]));
}

#[test]
fn cookie_that_is_not_a_key_finds_no_session() {
    let mut sessions = Sessions::default();
    let now = Instant::now();
    let cookie = sessions.open(now).unwrap();
    for wrong in ["", "00", &"0".repeat(64), &format!("{}0", cookie.as_str())] {
        assert!(sessions.find(wrong, RequestActivity::User, now).is_none());
    }
}
