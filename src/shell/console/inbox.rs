//! `/`: requests, conversations and introductions.
//!
//! The text of a request is not on this page: the user opens the request to see it. A list in which the user
//! selects does not load itself again.

mod selected;

use askama::Template;
use axum::Router;
use axum::extract::Query;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;

use super::ask::PageError;
use super::layout::{Layout, Nav, html};
use super::server::Shared;
use super::visit::Visit;
use super::words;
use crate::node::{ContactState, ConversationStateView, ConversationView, RefusalKind};

/// The routes of this page.
pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/", get(show))
        .route("/conversations", post(selected::act))
}

#[derive(Template)]
#[template(path = "inbox.html", config = "src/shell/console/askama.toml")]
struct InboxPage {
    layout: Layout,
    is_locked: bool,
    /// Whether the rows have checkboxes.
    is_selecting: bool,
    requests: Vec<InboxRow>,
    /// Requests that the page does not show.
    more_requests: usize,
    conversations: Vec<InboxRow>,
    introduced: Vec<Introduced>,
    /// The page with older conversations.
    next_page: Option<usize>,
}

/// A conversation in the list.
struct InboxRow {
    number: u32,
    with: String,
    state: Option<String>,
    unread: usize,
    missing: usize,
    is_restored: bool,
    is_muted: bool,
    is_starred: bool,
    is_letters: bool,
    last: String,
}

impl InboxPage {
    /// A page of conversations, and the first requests.
    fn of(
        layout: Layout,
        all: Vec<ConversationView>,
        page: usize,
        number_of: impl Fn(&str) -> u32,
    ) -> Self {
        let (requests, mut conversations): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|view| view.state == ConversationStateView::Asked);
        // The sort is stable: the last messages stay first among equals.
        conversations.sort_by_key(|view| !view.starred);
        let begin = page.saturating_mul(PAGE_LEN).min(conversations.len());
        let end = begin.saturating_add(PAGE_LEN);
        let row = |view: &ConversationView| row(number_of(&view.id), view);
        let shown = conversations.iter().skip(begin).take(PAGE_LEN).map(row);
        Self {
            layout,
            is_locked: false,
            is_selecting: false,
            more_requests: requests.len().saturating_sub(MAX_REQUESTS),
            requests: requests.iter().take(MAX_REQUESTS).map(row).collect(),
            conversations: shown.collect(),
            introduced: Vec::new(),
            next_page: (end < conversations.len()).then_some(page.saturating_add(1)),
        }
    }

    fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.conversations.is_empty() && self.introduced.is_empty()
    }

    /// Requests and conversations.
    fn rows(&self) -> impl Iterator<Item = &InboxRow> {
        self.requests.iter().chain(&self.conversations)
    }
}

/// A contact that another one introduced.
struct Introduced {
    name: String,
    by: String,
}

#[derive(Deserialize)]
struct InboxPageQuery {
    /// What the last form did.
    done: Option<String>,
    #[serde(default)]
    select: bool,
    /// The page of conversations, from 0 on.
    #[serde(default)]
    page: usize,
}

async fn show(visit: Visit, Query(query): Query<InboxPageQuery>) -> Result<Response, PageError> {
    let notice = query.done.as_deref().and_then(notice);
    let layout = visit.layout(Nav::Inbox).with_notice(notice);
    let all = match visit.node().conversations().await {
        Ok(all) => Some(all),
        Err(PageError::Refused(refusal)) if refusal.kind == RefusalKind::Locked => None,
        Err(error) => return Err(error),
    };
    let is_locked = all.is_none();
    let introduced = if is_locked {
        Vec::new()
    } else {
        introductions(&visit).await?
    };
    let layout = if query.select || query.page > 0 {
        layout
    } else {
        layout.refreshing("/")
    };
    let page = InboxPage {
        is_locked,
        is_selecting: query.select,
        introduced,
        ..InboxPage::of(layout, all.unwrap_or_default(), query.page, |id| {
            visit.number_of(id)
        })
    };
    Ok(html(&page))
}

async fn introductions(visit: &Visit) -> Result<Vec<Introduced>, PageError> {
    let contacts = visit.node().contacts().await?.into_iter();
    let introduced = contacts.filter(|contact| contact.state == ContactState::Introduced);
    let views = introduced.filter_map(|contact| {
        Some(Introduced {
            by: words::line(&contact.introduced?.by),
            name: contact.name,
        })
    });
    Ok(views.collect())
}

fn row(number: u32, view: &ConversationView) -> InboxRow {
    InboxRow {
        number,
        with: partner(view),
        state: state(view),
        unread: view.unread,
        missing: view.missing.len(),
        is_restored: view.restored_day.is_some(),
        is_muted: view.muted,
        is_starred: view.starred,
        is_letters: view.letters,
        last: words::minute(view.last),
    }
}

/// The other side of a conversation: the name of a contact, or two words.
pub(super) fn partner(view: &ConversationView) -> String {
    match &view.contact {
        Some(name) => words::line(name),
        None => words::codename(&view.id),
    }
}

/// The state of a conversation, unless it is the usual one.
pub(super) fn state(view: &ConversationView) -> Option<String> {
    match (view.state, &view.to) {
        (ConversationStateView::Open, _) => None,
        (ConversationStateView::Asked, Some(own)) => {
            Some(format!("request to {}", words::line(own)))
        }
        (state, _) => Some(state.words().to_owned()),
    }
}

/// What a form did, by its word in the URL.
fn notice(word: &str) -> Option<&'static str> {
    Some(match word {
        "declined" => "The request was erased. Further messages of its sender are ignored.",
        "erased" => "The conversations were erased on this node.",
        "starred" => "The stars were changed.",
        "read" => "The conversations are marked as read.",
        "accepted" => "The contact was accepted.",
        "muted" => "The setting was changed.",
        _ => return None,
    })
}

/// Conversations on a page.
const PAGE_LEN: usize = 100;
/// Requests on the page.
const MAX_REQUESTS: usize = 50;

#[cfg(test)]
mod tests {
    use circuits::ids::Profile;
    use zeroize::Zeroizing;

    use super::*;

    fn views(count: usize, state: ConversationStateView) -> Vec<ConversationView> {
        let view = |number: usize| ConversationView {
            id: hex::encode([u8::try_from(number % 256).unwrap(); 32]),
            contact: Some("n".repeat(64)),
            to: Some("desk".into()),
            state,
            letters: true,
            messages: 1_000,
            unread: number,
            last: 1_800_000_000,
            epoch: 0,
            missing: vec![1],
            muted: true,
            starred: number == count - 1,
            restored_day: None,
        };
        (0..count).map(view).collect()
    }

    fn page(all: Vec<ConversationView>, page: usize) -> InboxPage {
        let layout = Layout::new(Nav::Inbox, Zeroizing::new("ab".repeat(16)), Profile::Main);
        InboxPage::of(layout, all, page, |_| 1_000)
    }

    #[test]
    fn inbox_of_a_thousand_conversations_and_requests_is_below_100_kilobytes() {
        let mut all = views(1_000, ConversationStateView::Open);
        all.extend(views(1_000, ConversationStateView::Asked));
        let page = page(all, 0);
        assert_eq!(page.conversations.len(), PAGE_LEN);
        assert_eq!((page.requests.len(), page.more_requests), (50, 950));
        let len = page.render().unwrap().len();
        assert!(len < 100_000, "{len} bytes");
    }

    #[test]
    fn every_conversation_is_on_one_page_and_starred_ones_are_on_the_first() {
        let mut unread = Vec::new();
        let mut next = Some(0);
        while let Some(number) = next {
            let page = page(views(250, ConversationStateView::Open), number);
            if number == 0 {
                assert!(page.conversations[0].is_starred);
            }
            unread.extend(page.conversations.iter().map(|row| row.unread));
            next = page.next_page;
        }
        unread.sort_unstable();
        assert!(unread.iter().copied().eq(0..250), "{unread:?}");
        assert!(page(Vec::new(), 7).is_empty());
    }
}
