//! The frame of all pages: navigation, the token of forms, refreshing without JavaScript.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use circuits::ids::Profile;
use zeroize::Zeroizing;

use super::ask::PageError;
use super::guard::AUTOMATIC;

/// A page of the navigation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Nav {
    /// Requests and conversations.
    Inbox,
    /// A new message.
    Send,
    /// Messages that are under way.
    Outbox,
    /// Own addresses.
    Card,
    /// Peers, relays and levels.
    Network,
    /// Files.
    Files,
    /// Settings.
    Settings,
}

impl Nav {
    /// All pages, in the order of the navigation.
    const ALL: [Self; 7] = [
        Self::Inbox,
        Self::Send,
        Self::Outbox,
        Self::Card,
        Self::Network,
        Self::Files,
        Self::Settings,
    ];

    /// The path of the page.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Inbox => "/",
            Self::Send => "/send",
            Self::Outbox => "/outbox",
            Self::Card => "/card",
            Self::Network => "/network",
            Self::Files => "/files",
            Self::Settings => "/settings",
        }
    }

    /// The text of the link.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Inbox => "Inbox",
            Self::Send => "Send",
            Self::Outbox => "Outbox",
            Self::Card => "Card",
            Self::Network => "Network",
            Self::Files => "Files",
            Self::Settings => "Settings",
        }
    }
}

/// What `layout.html` needs. A template of a page has it as its field `layout`, extends `layout.html`,
/// and repeats `token_field` in each form: `{{ layout.token_field()|safe }}`.
pub(super) struct Layout {
    nav: Nav,
    token: Zeroizing<String>,
    profile: Profile,
    pub(super) refresh: Option<String>,
    pub(super) notice: Option<&'static str>,
}

impl Layout {
    pub(super) const fn new(nav: Nav, token: Zeroizing<String>, profile: Profile) -> Self {
        Self {
            nav,
            token,
            profile,
            refresh: None,
            notice: None,
        }
    }

    /// Lets the page load itself again without JavaScript. Only for pages without a text field.
    #[must_use]
    pub(super) fn refreshing(self, path: &str) -> Self {
        Self {
            refresh: Some(format!("{path}?{AUTOMATIC}")),
            ..self
        }
    }

    /// Shows what the last form did.
    #[must_use]
    pub(super) const fn with_notice(mut self, notice: Option<&'static str>) -> Self {
        self.notice = notice;
        self
    }

    /// The hidden field that every form contains.
    pub(super) fn token_field(&self) -> String {
        format!(
            r#"<input type="hidden" name="token" value="{}">"#,
            self.token.as_str()
        )
    }

    pub(super) fn pages(&self) -> impl Iterator<Item = (Nav, bool)> {
        Nav::ALL.into_iter().map(|nav| (nav, nav == self.nav))
    }

    pub(super) fn is_local(&self) -> bool {
        self.profile == Profile::Local
    }
}

/// The page of a template.
pub(super) fn html(template: &impl Template) -> Response {
    match template.render() {
        Ok(page) => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response(),
        Err(_) => PageError::Template.into_response(),
    }
}

/// The page of a form that was refused: the form again, with the reason.
pub(super) fn refused(template: &impl Template) -> Response {
    let mut response = html(template);
    *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    response
}

/// Leads the browser to a page after a form was accepted, so that loading the page again sends nothing.
pub(super) fn see(path: &str) -> Response {
    Redirect::to(path).into_response()
}
