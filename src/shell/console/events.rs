//! The event stream: tells a page that something of a kind has changed.
//!
//! A notice has no content. The page loads itself again and replaces the fragments that it marks as
//! live, so there is one way to render a fragment, and what a session may see is decided in one place.
//! Changes are collected for half a second. The stream ends with its session, and does not keep it alive.

use std::collections::BTreeSet;
use std::convert::Infallible;

use axum::response::sse::{Event as Notice, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::ask::PageError;
use super::limits::{EVENT_INTERVAL, STREAM_CHECK_INTERVAL};
use super::visit::Visit;
use crate::node::{ContactEvent, Event};
use crate::shell::{EventItem, Events};

/// What a change is about.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Kind {
    Contact,
    File,
    Message,
    Network,
    Outgoing,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Contact,
        Self::File,
        Self::Message,
        Self::Network,
        Self::Outgoing,
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::Contact => "contact",
            Self::File => "file",
            Self::Message => "message",
            Self::Network => "network",
            Self::Outgoing => "outgoing",
        }
    }

    const fn of(event: &Event) -> Option<Self> {
        Some(match event {
            Event::Message(_) => Self::Message,
            Event::Contact(contact) => match **contact {
                ContactEvent::Contact(_) => Self::Contact,
                ContactEvent::Message(_) | ContactEvent::Conversation(_) => Self::Message,
                ContactEvent::Outgoing(..) => Self::Outgoing,
                // The page of the outbox shows it when it is loaded again.
                ContactEvent::Progress(..) => return None,
            },
            Event::File(_) => Self::File,
            Event::Outgoing(..) => Self::Outgoing,
            Event::Peers(_) | Event::Relays(_) | Event::Clock(_) => Self::Network,
            Event::Fetch(..) | Event::Filtered(..) | Event::Talk(_) | Event::Trace(_) => {
                return None;
            }
        })
    }
}

/// Serves `/events`.
pub(super) async fn stream(
    visit: Visit,
) -> Result<Sse<impl Stream<Item = Result<Notice, Infallible>>>, PageError> {
    let alive = visit.state().sessions().watch(visit.session());
    let changes = Changes {
        alive: alive.ok_or(PageError::NoSession)?,
        events: visit.node().events(),
        visit,
        is_first: true,
    };
    Ok(Sse::new(unfold(changes, |mut changes| async {
        let notice = changes.next().await?;
        Some((Ok(notice), changes))
    })))
}

struct Changes {
    alive: watch::Receiver<()>,
    events: Events,
    visit: Visit,
    is_first: bool,
}

impl Changes {
    /// The next notice; `None` if the session or the node has ended.
    async fn next(&mut self) -> Option<Notice> {
        if core::mem::take(&mut self.is_first) {
            return Some(Notice::default().comment("open"));
        }
        let mut kinds = BTreeSet::new();
        while kinds.is_empty() {
            self.visit.state().sessions().expire(Instant::now());
            let waited = tokio::select! {
                waited = timeout(STREAM_CHECK_INTERVAL, self.events.next()) => waited,
                _ended = self.alive.changed() => return None,
            };
            match waited {
                Ok(item) => note(&mut kinds, &item?),
                // Shows a connection that the browser has left.
                Err(_) => return Some(Notice::default().comment("idle")),
            }
        }
        self.collect(&mut kinds).await;
        let words: Vec<&str> = kinds.into_iter().map(Kind::word).collect();
        Some(Notice::default().event("change").data(words.join(" ")))
    }

    /// Collects what else changes within the interval.
    async fn collect(&mut self, kinds: &mut BTreeSet<Kind>) {
        let interval = sleep(EVENT_INTERVAL);
        tokio::pin!(interval);
        loop {
            tokio::select! {
                () = &mut interval => return,
                item = self.events.next() => match item {
                    Some(item) => note(kinds, &item),
                    None => return,
                },
            }
        }
    }
}

fn note(kinds: &mut BTreeSet<Kind>, item: &EventItem) {
    match item {
        EventItem::Event(event) => kinds.extend(Kind::of(event)),
        EventItem::Lagged(_) => kinds.extend(Kind::ALL),
    }
}
