//! The onion service of this node: its name and its incoming streams.

use std::fmt;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use safelog::DisplayRedacted;
use tor_cell::relaycell::msg::{Connected, End, EndReason};
use tor_hsservice::{RendRequest, RunningOnionService, StreamRequest, handle_rend_requests};
use tor_proto::stream::IncomingStreamRequest;

use crate::Stream;
use crate::error::TorStartError;

/// A running onion service. Dropping it stops the service; established streams remain open.
pub struct OnionService {
    _running: Arc<RunningOnionService>,
    name: String,
}

impl OnionService {
    pub(crate) fn open(
        running: Arc<RunningOnionService>,
        requests: impl futures_util::Stream<Item = RendRequest> + Send + 'static,
        port: u16,
    ) -> Result<(Self, IncomingStreams), TorStartError> {
        let name = running
            .onion_address()
            .ok_or_else(|| TorStartError::System("the onion service has no key".to_owned()))?
            .display_unredacted()
            .to_string();
        let service = Self {
            _running: running,
            name,
        };
        Ok((service, IncomingStreams::new(requests, port)))
    }

    /// The name of the service, including `.onion`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for OnionService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnionService([redacted])")
    }
}

/// Incoming streams of the onion service.
pub struct IncomingStreams(BoxStream<'static, Stream>);

impl IncomingStreams {
    /// Accepts requests for `port`, at most [`MAX_PENDING_STREAMS`] at a time.
    fn new(
        requests: impl futures_util::Stream<Item = RendRequest> + Send + 'static,
        port: u16,
    ) -> Self {
        let answers = handle_rend_requests(requests).map(move |request| answer(request, port));
        Self(
            answers
                .buffer_unordered(MAX_PENDING_STREAMS)
                .filter_map(async |stream| stream)
                .boxed(),
        )
    }

    /// The next stream; `None` after the service has ended.
    pub async fn next(&mut self) -> Option<Stream> {
        self.0.next().await
    }
}

impl fmt::Debug for IncomingStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IncomingStreams(..)")
    }
}

/// Accepts a stream to our port. Other streams get the same refusal as from other implementations.
async fn answer(request: StreamRequest, port: u16) -> Option<Stream> {
    match request.request() {
        IncomingStreamRequest::Begin(begin) if begin.port() == port => {
            // Fails if the circuit has closed; only the caller of the service is affected.
            request.accept(Connected::new_empty()).await.ok()
        }
        _ => {
            let _ = request.reject(End::new_with_reason(EndReason::DONE)).await;
            None
        }
    }
}

/// Maximum number of streams that wait for acceptance, because a circuit may be slow on purpose.
const MAX_PENDING_STREAMS: usize = 64;
