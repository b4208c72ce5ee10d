//! Forms: read within limits, and only with the token of their session.

use core::fmt;

use axum::body::{Body, Bytes};
use axum::extract::{Form, FromRequest, FromRequestParts, Request};
use axum::http::{Method, header};
use futures_util::StreamExt;
use serde::de::{self, DeserializeOwned};
use serde::{Deserialize, Deserializer};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::ask::PageError;
use super::limits::{FORM_TIMEOUT, MAX_DISCARDED, MAX_FORM};
use super::visit::Visit;
use crate::shell::{NoRandomness, random};

/// The fields of a form whose token was right. A form without fields is `Posted<NoFields>`.
pub(super) struct Posted<T>(pub(super) T);

/// A form that consists of its button.
#[derive(Deserialize)]
pub(super) struct NoFields {}

/// Names one rendering of a form, so that a form that the browser sends twice acts once.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Submission([u8; 16]);

impl Submission {
    pub(super) fn draw() -> Result<Self, NoRandomness> {
        random().map(Self)
    }

    pub(super) const fn bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for Submission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Submission {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let digits = String::deserialize(from)?;
        let mut bytes = [0; 16];
        hex::decode_to_slice(digits, &mut bytes).map_err(de::Error::custom)?;
        Ok(Self(bytes))
    }
}

/// A typed text with the line ends of this program: browsers send `\r\n`.
pub(super) fn typed(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.replace("\r\n", "\n"))
}

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
        let body = read_in_time(body).await?;
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

/// Reads a body within the limits of size and time.
async fn read_in_time(body: Body) -> Result<Bytes, PageError> {
    let body = timeout(FORM_TIMEOUT, read(body)).await;
    body.map_err(|_| PageError::TooSlow)?
}

/// Reads a body up to the limit. What is above the limit is read and dropped: a browser that is still
/// writing when the connection closes loses the answer.
async fn read(body: Body) -> Result<Bytes, PageError> {
    let mut chunks = body.into_data_stream();
    let mut read = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk: Bytes =
            chunk.map_err(|_| PageError::Form("the form did not arrive whole".to_owned()))?;
        if read.len().saturating_add(chunk.len()) > MAX_FORM {
            let mut left = MAX_DISCARDED;
            while let Some(Ok(chunk)) = chunks.next().await {
                left = left.saturating_sub(chunk.len());
                if left == 0 {
                    break;
                }
            }
            return Err(PageError::TooLarge);
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read.into())
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::stream;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn body_that_never_ends_is_refused_in_time() {
        let parts = [Ok::<_, Infallible>(Bytes::from_static(b"token="))];
        let drip = stream::iter(parts).chain(stream::pending());
        let read = timeout(10 * FORM_TIMEOUT, read_in_time(Body::from_stream(drip)));
        let refused = read.await.expect("the reading ends by itself");
        assert!(matches!(refused, Err(PageError::TooSlow)));
    }

    #[tokio::test(start_paused = true)]
    async fn oversize_body_is_refused_and_read_up_to_a_limit() {
        let read = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&read);
        let endless = stream::repeat_with(move || {
            let part = Bytes::from_static(&[b'x'; 4_096]);
            // A reader without a limit fails here, and not by the memory of the machine.
            let total = counter.fetch_add(part.len(), Ordering::Relaxed);
            assert!(total < 8 * (MAX_FORM + MAX_DISCARDED), "all is read");
            Ok::<_, Infallible>(part)
        });
        let refused = read_in_time(Body::from_stream(endless)).await;
        assert!(matches!(refused, Err(PageError::TooLarge)));
        assert!(read.load(Ordering::Relaxed) <= MAX_FORM + MAX_DISCARDED + 8_192);
    }
}
