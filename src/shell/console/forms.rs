//! Forms: read within limits, and only with the token of their session.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Form, FromRequest, FromRequestParts, Request};
use axum::http::{Method, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::ask::PageError;
use super::limits::{FORM_TIMEOUT, MAX_FORM};
use super::visit::Visit;

/// The fields of a form whose token was right. A form without fields is `Posted<NoFields>`.
pub(super) struct Posted<T>(pub(super) T);

/// A form that consists of its button.
#[derive(Deserialize)]
pub(super) struct NoFields {}

/// What every form contains.
#[derive(Deserialize)]
struct Hidden {
    /// The token of the session.
    #[serde(default)]
    token: String,
}

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Posted<T> {
    type Rejection = PageError;

    async fn from_request(request: Request, state: &S) -> Result<Self, PageError> {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, state).await?;
        let body = match timeout(FORM_TIMEOUT, to_bytes(body, MAX_FORM)).await {
            Ok(Ok(body)) => body,
            Ok(Err(_)) => return Err(PageError::TooLarge),
            Err(_) => return Err(PageError::TooSlow),
        };
        let Hidden { token } = fields(body.clone()).await?;
        let is_own = visit
            .state()
            .sessions()
            .is_form_token(visit.session(), &token);
        if !is_own {
            return Err(PageError::Forged);
        }
        fields(body).await.map(Self)
    }
}

/// Reads `application/x-www-form-urlencoded`. Fields that `T` does not have are ignored.
async fn fields<T: DeserializeOwned>(body: Bytes) -> Result<T, PageError> {
    let request = Request::builder()
        .method(Method::POST)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(body))
        .map_err(|_| PageError::Unexpected)?;
    let form = Form::<T>::from_request(request, &()).await;
    let Form(fields) = form.map_err(|error| PageError::Form(format!("{error}")))?;
    Ok(fields)
}
