//! A request of a session: what handlers get.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request;

use super::ConsoleState;
use super::ask::{NodeClient, PageError};
use super::forms::Submission;
use super::layout::{Layout, Nav};
use super::session::BrowserSessionId;
use crate::node::ContactCommand;

/// Proof that a request passed all checks of [`super::guard`]; only the guard creates one. Handlers
/// take it as an argument.
#[derive(Clone)]
pub(super) struct Visit {
    state: Arc<ConsoleState>,
    session: BrowserSessionId,
}

impl Visit {
    pub(super) const fn new(state: Arc<ConsoleState>, session: BrowserSessionId) -> Self {
        Self { state, session }
    }

    /// The node, for commands and queries.
    pub(super) fn node(&self) -> &NodeClient {
        &self.state.node
    }

    /// What all requests share.
    pub(super) fn state(&self) -> &ConsoleState {
        &self.state
    }

    /// The session.
    pub(super) const fn session(&self) -> BrowserSessionId {
        self.session
    }

    /// Carries out the command of a form, once: false if this rendering of the form was accepted before.
    ///
    /// # Errors
    ///
    /// [`PageError`] if the node refuses; the user can then send the form again.
    pub(super) async fn submit(
        &self,
        submission: Submission,
        command: ContactCommand,
    ) -> Result<bool, PageError> {
        let submission = submission.bytes();
        let is_new = self
            .state
            .sessions()
            .accept_submission(self.session, submission);
        if !is_new {
            return Ok(false);
        }
        let done = self.node().contact(command).await;
        if done.is_err() {
            self.state
                .sessions()
                .release_submission(self.session, submission);
        }
        done.map(|_| true)
    }

    /// The frame of a page.
    pub(super) fn layout(&self, nav: Nav) -> Layout {
        let token = self.state.sessions().form_token(self.session);
        Layout::new(nav, token.unwrap_or_default(), self.state.parts.profile)
    }

    /// The number of a conversation in URLs.
    pub(super) fn number_of(&self, id: &str) -> u32 {
        self.state.numbers().of(id)
    }

    /// The id of the conversation with this number.
    ///
    /// # Errors
    ///
    /// [`PageError::NotFound`] if no conversation has it in this run.
    pub(super) fn conversation(&self, number: u32) -> Result<String, PageError> {
        let numbers = self.state.numbers();
        numbers
            .id(number)
            .map(str::to_owned)
            .ok_or(PageError::NotFound)
    }
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, PageError> {
        let visit = parts.extensions.get::<Self>().cloned();
        visit.ok_or(PageError::NoSession)
    }
}
