//! One client on a connection that stays: its requests, and what it subscribed to.
//!
//! The local socket and WebSocket differ in how a text is read and written ([`ReadText`], [`WriteText`]);
//! everything else is here. Requests are begun in the order in which they come and answered as soon
//! as they can be, so that one that takes long, such as a post whose envelope is being sealed,
//! holds up no other.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::limits::{MAX_PENDING_REQUESTS, STALL_TIMEOUT};
use super::session::RpcSession;

/// Where texts come from. Whether a text is a request is not its business.
pub(super) trait ReadText {
    /// The next text. May be given up and called again.
    fn next(&mut self) -> impl Future<Output = ReadOutcome> + Send;
}

/// Where texts go.
pub(super) trait WriteText {
    /// Writes a text.
    fn write(&mut self, text: String) -> impl Future<Output = Result<(), Disconnected>> + Send;

    /// Says goodbye, as far as the transport has a word for it.
    fn close(&mut self, why: CloseReason) -> impl Future<Output = ()> + Send;
}

/// What arrives.
#[derive(Debug)]
pub(super) enum ReadOutcome {
    /// A text.
    Text(Vec<u8>),
    /// Something that no text can follow, and the last word on it if there is one.
    Unreadable(Option<String>),
    /// Nothing any more: the client has left.
    Closed,
}

/// The connection does not take anything any more.
#[derive(Debug)]
pub(super) struct Disconnected;

/// Why a connection ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum CloseReason {
    /// The node ends.
    GoingAway,
    /// The client sent something that cannot be answered.
    InvalidRequest,
}

/// Serves a client until it leaves, the node ends, or it sends what cannot be understood.
pub(super) async fn run(
    mut session: RpcSession,
    mut reader: impl ReadText,
    mut writer: impl WriteText,
) {
    let why = run_messages(&mut session, &mut reader, &mut writer).await;
    session.close().await;
    if let Ok(why) = why {
        // Whoever does not take this has gone as well.
        let _ = timeout(STALL_TIMEOUT, writer.close(why)).await;
    }
}

async fn run_messages(
    session: &mut RpcSession,
    reader: &mut impl ReadText,
    writer: &mut impl WriteText,
) -> Result<CloseReason, Disconnected> {
    let mut pending = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(answer) = pending.next() => {
                let answer: super::session::SessionReply = answer;
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
            received = reader.next(), if pending.len() < MAX_PENDING_REQUESTS => match received {
                // It may hold a password.
                ReadOutcome::Text(text) => pending.push(session.answer(&Zeroizing::new(text))),
                ReadOutcome::Unreadable(last) => {
                    if let Some(text) = last {
                        write(writer, text).await?;
                    }
                    return Ok(CloseReason::InvalidRequest);
                }
                ReadOutcome::Closed => return Err(Disconnected),
            },
        }
    }
}

/// Writes a text to a client that takes it in time.
async fn write(writer: &mut impl WriteText, text: String) -> Result<(), Disconnected> {
    timeout(STALL_TIMEOUT, writer.write(text))
        .await
        .unwrap_or(Err(Disconnected))
}
