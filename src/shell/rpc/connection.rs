//! One client on a persistent connection: its requests and subscriptions.
//!
//! The local socket and WebSocket differ in how a text is read and written ([`ReadText`],
//! [`WriteText`]); everything else is here. Requests start in order of arrival and are answered as
//! soon as each is done, so that a slow one, such as a post whose proof of work is searched, delays
//! no other.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::limits::{DISCARD_TIMEOUT, MAX_PENDING_BYTES, MAX_PENDING_REQUESTS, STALL_TIMEOUT};
use super::session::RpcSession;

/// A source of texts. It does not know whether a text is a valid request.
pub(super) trait ReadText {
    /// The next text. Cancel-safe.
    fn next(&mut self) -> impl Future<Output = ReadOutcome> + Send;

    /// Reads and drops what follows input that is not readable, up to a limit.
    fn discard(&mut self) -> impl Future<Output = ()> + Send;
}

/// A sink of texts.
pub(super) trait WriteText {
    /// Writes a text.
    fn write(&mut self, text: String) -> impl Future<Output = Result<(), Disconnected>> + Send;

    /// Closes the connection with the transport's closing message, if it has one.
    fn close(&mut self, why: CloseReason) -> impl Future<Output = ()> + Send;
}

/// An incoming item.
#[derive(Debug)]
pub(super) enum ReadOutcome {
    /// A text.
    Text(Vec<u8>),
    /// Invalid input after which no text can follow, with a final answer if there is one.
    Unreadable(Option<String>),
    /// The client has disconnected.
    Closed,
}

/// The connection accepts no more output.
#[derive(Debug)]
pub(super) struct Disconnected;

/// Why a connection ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum CloseReason {
    /// The node ends.
    GoingAway,
    /// The client sent input that cannot be answered.
    InvalidRequest,
}

/// Serves a client until it disconnects, the node ends, or its input is invalid.
pub(super) async fn run(
    mut session: RpcSession,
    mut reader: impl ReadText,
    mut writer: impl WriteText,
) {
    let why = run_messages(&mut session, &mut reader, &mut writer).await;
    session.close().await;
    if let Ok(why) = why {
        // The write fails only if the client has gone.
        let _ = timeout(STALL_TIMEOUT, writer.close(why)).await;
    }
}

async fn run_messages(
    session: &mut RpcSession,
    reader: &mut impl ReadText,
    writer: &mut impl WriteText,
) -> Result<CloseReason, Disconnected> {
    let mut pending = FuturesUnordered::new();
    let mut pending_bytes = 0_usize;
    loop {
        tokio::select! {
            Some(answer) = pending.next() => {
                let answer: super::session::SessionReply = answer;
                pending_bytes = pending_bytes.saturating_sub(answer.request_bytes);
                if let Some(text) = answer.text {
                    write(writer, text).await?;
                }
                if answer.is_last {
                    return Ok(CloseReason::InvalidRequest);
                }
            }
            notifications = session.notifications() => match notifications {
                Some(texts) => for text in texts {
                    write(writer, text).await?;
                },
                None => return Ok(CloseReason::GoingAway),
            },
            received = reader.next(),
                if pending.len() < MAX_PENDING_REQUESTS && pending_bytes < MAX_PENDING_BYTES =>
            match received {
                // The text may contain a password.
                ReadOutcome::Text(text) => {
                    pending_bytes = pending_bytes.saturating_add(text.len());
                    pending.push(session.answer(Zeroizing::new(text)));
                }
                ReadOutcome::Unreadable(last) => {
                    if let Some(text) = last {
                        write(writer, text).await?;
                        // The client reads the error when it has written its request.
                        let _ = timeout(DISCARD_TIMEOUT, reader.discard()).await;
                    }
                    return Ok(CloseReason::InvalidRequest);
                }
                ReadOutcome::Closed => return Err(Disconnected),
            },
        }
    }
}

/// Writes a text, with a timeout for the client to read it.
async fn write(writer: &mut impl WriteText, text: String) -> Result<(), Disconnected> {
    timeout(STALL_TIMEOUT, writer.write(text))
        .await
        .unwrap_or(Err(Disconnected))
}
