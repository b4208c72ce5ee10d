//! What pages ask of the node, and what they show if it does not answer.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::layout::html;
use crate::node::{
    Command, ContactCommand, ContactReply, ContactView, ConversationView, LevelsView, OutgoingView,
    Refusal, Reply, StatusView,
};
use crate::shell::{Events, Handle, NoRandomness, Stopped};

/// The node, as pages see it. Each method is one command, and its reply has the one type that belongs
/// to it.
#[derive(Clone, Debug)]
pub(super) struct NodeClient(Handle);

impl NodeClient {
    pub(super) const fn new(handle: Handle) -> Self {
        Self(handle)
    }

    /// The handle, for what is not a command.
    pub(super) const fn handle(&self) -> &Handle {
        &self.0
    }

    /// All events from now on.
    pub(super) fn events(&self) -> Events {
        self.0.subscribe()
    }

    /// Sends a command and waits for its reply.
    pub(super) async fn command(&self, command: Command) -> Result<Reply, PageError> {
        let reply = self.0.command(command).await.map_err(PageError::Stopped)?;
        reply.map_err(PageError::Refused)
    }

    /// Sends a command about contacts and waits for its reply.
    pub(super) async fn contact(&self, command: ContactCommand) -> Result<ContactReply, PageError> {
        match self.command(Command::Contact(command)).await? {
            Reply::Contact(reply) => Ok(*reply),
            _ => Err(PageError::Unexpected),
        }
    }

    /// The state of the node.
    pub(super) async fn status(&self) -> Result<StatusView, PageError> {
        match self.command(Command::Status).await? {
            Reply::Status(status) => Ok(*status),
            _ => Err(PageError::Unexpected),
        }
    }

    /// The levels.
    pub(super) async fn levels(&self) -> Result<LevelsView, PageError> {
        match self.command(Command::Levels).await? {
            Reply::Levels(levels) => Ok(*levels),
            _ => Err(PageError::Unexpected),
        }
    }

    /// Outgoing messages.
    pub(super) async fn outbox(&self) -> Result<Vec<OutgoingView>, PageError> {
        match self.command(Command::Outbox).await? {
            Reply::Outbox(outbox) => Ok(outbox),
            _ => Err(PageError::Unexpected),
        }
    }

    /// The contacts.
    pub(super) async fn contacts(&self) -> Result<Vec<ContactView>, PageError> {
        match self.contact(ContactCommand::Contacts).await? {
            ContactReply::Contacts(contacts) => Ok(contacts),
            _ => Err(PageError::Unexpected),
        }
    }

    /// The conversations, requests among them.
    pub(super) async fn conversations(&self) -> Result<Vec<ConversationView>, PageError> {
        match self.contact(ContactCommand::Conversations).await? {
            ContactReply::Conversations(conversations) => Ok(conversations),
            _ => Err(PageError::Unexpected),
        }
    }
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    /// The Host header names another host.
    #[error("this address does not belong to the console")]
    WrongHost,
    /// Another page sent the request.
    #[error(
        "another page sent this request; nothing was done. Use the forms of the console itself"
    )]
    Forged,
    /// The method is not used here.
    #[error("the console answers GET and POST only")]
    Method,
    /// There is no session, or it has ended.
    #[error("this session has ended. Run `whisht console` for a URL that opens the console again")]
    NoSession,
    /// The one-time URL was used, replaced or is too old.
    #[error("this URL was used, or is too old. Run `whisht console` for a new one")]
    SpentUrl,
    /// The URL contains no token of this node.
    #[error("this URL opens nothing. Run `whisht console` for one that does")]
    WrongUrl,
    /// Too many tokens were wrong.
    #[error("too many wrong URLs were tried. Run `whisht console` for a new one")]
    UrlsClosed,
    /// Too many connections.
    #[error("too many connections are open; close some pages of the console")]
    Busy,
    /// There is no such page.
    #[error("there is no such page")]
    NotFound,
    /// The form is larger than the limit.
    #[error("the form has more than {} KB; shorten the text", super::limits::MAX_FORM / 1024)]
    TooLarge,
    /// The form did not arrive in time.
    #[error("the form took too long; send it again")]
    TooSlow,
    /// A field of the form.
    #[error("{0}")]
    Form(String),
    /// The node refused the command.
    #[error(transparent)]
    Refused(Refusal),
    /// The node has ended.
    #[error(transparent)]
    Stopped(Stopped),
    /// No random number for a session.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// The node answered another question.
    #[error("the node answered another question; this is a bug, please report it")]
    Unexpected,
    /// A template failed.
    #[error("the page cannot be written; this is a bug, please report it")]
    Template,
}

impl PageError {
    /// The HTTP status.
    pub(super) const fn status(&self) -> StatusCode {
        match self {
            Self::WrongHost => StatusCode::MISDIRECTED_REQUEST,
            Self::Forged | Self::NoSession | Self::WrongUrl | Self::UrlsClosed => {
                StatusCode::FORBIDDEN
            }
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::SpentUrl => StatusCode::GONE,
            Self::Busy | Self::Stopped(_) | Self::NoRandomness(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Form(_) => StatusCode::BAD_REQUEST,
            Self::Refused(_) => StatusCode::CONFLICT,
            Self::Unexpected | Self::Template => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A page without a session.
#[derive(Template)]
#[template(path = "plain.html", config = "src/shell/console/askama.toml")]
struct PlainPage {
    text: String,
    /// Whether a link leads back into the console.
    leads_back: bool,
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let status = self.status();
        if matches!(self, Self::Template) {
            return (status, self.to_string()).into_response();
        }
        let page = PlainPage {
            text: self.to_string(),
            leads_back: matches!(
                self,
                Self::NotFound | Self::TooLarge | Self::TooSlow | Self::Form(_) | Self::Refused(_)
            ),
        };
        let mut response = html(&page);
        *response.status_mut() = status;
        response
    }
}
