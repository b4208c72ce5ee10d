//! One client on a connection that stays: its requests, and what it subscribed to.
//!
//! The local socket and WebSocket differ in how a text is read and written ([`Read`], [`Write`]);
//! everything else is here. Requests are begun in the order in which they come and answered as soon
//! as they can be, so that one that takes long, such as a post whose envelope is being sealed,
//! holds up no other.

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::limits::{MAX_UNDER_WAY, STALL};
use super::session::Session;

/// Where texts come from. Whether a text is a request is not its business.
pub(super) trait Read {
    /// The next text. May be given up and called again.
    fn next(&mut self) -> impl Future<Output = Received> + Send;
}

/// Where texts go.
pub(super) trait Write {
    /// Writes a text.
    fn write(&mut self, text: String) -> impl Future<Output = Result<(), Gone>> + Send;

    /// Says goodbye, as far as the transport has a word for it.
    fn close(&mut self, why: Goodbye) -> impl Future<Output = ()> + Send;
}

/// What arrives.
#[derive(Debug)]
pub(super) enum Received {
    /// A text.
    Text(Vec<u8>),
    /// Something that no text can follow, and the last word on it if there is one.
    Unreadable(Option<String>),
    /// Nothing any more: the client has left.
    Nothing,
}

/// The connection does not take anything any more.
#[derive(Debug)]
pub(super) struct Gone;

/// Why a connection ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Goodbye {
    /// The node ends.
    GoingAway,
    /// The client sent something that cannot be answered.
    NotUnderstood,
}

/// Serves a client until it leaves, the node ends, or it sends what cannot be understood.
pub(super) async fn converse(mut session: Session, mut reader: impl Read, mut writer: impl Write) {
    let why = talk(&mut session, &mut reader, &mut writer).await;
    session.close().await;
    if let Ok(why) = why {
        // Whoever does not take this has gone as well.
        let _ = timeout(STALL, writer.close(why)).await;
    }
}

async fn talk(
    session: &mut Session,
    reader: &mut impl Read,
    writer: &mut impl Write,
) -> Result<Goodbye, Gone> {
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(answer) = under_way.next() => {
                let answer: super::session::Answer = answer;
                if let Some(text) = answer.text {
                    write(writer, text).await?;
                }
                if answer.is_last {
                    return Ok(Goodbye::NotUnderstood);
                }
            }
            notifications = session.notifications() => match notifications {
                Some(texts) => for text in texts {
                    write(writer, text).await?;
                },
                None => return Ok(Goodbye::GoingAway),
            },
            received = reader.next(), if under_way.len() < MAX_UNDER_WAY => match received {
                // It may hold a password.
                Received::Text(text) => under_way.push(session.answer(&Zeroizing::new(text))),
                Received::Unreadable(last) => {
                    if let Some(text) = last {
                        write(writer, text).await?;
                    }
                    return Ok(Goodbye::NotUnderstood);
                }
                Received::Nothing => return Err(Gone),
            },
        }
    }
}

/// Writes a text to a client that takes it in time.
async fn write(writer: &mut impl Write, text: String) -> Result<(), Gone> {
    timeout(STALL, writer.write(text))
        .await
        .unwrap_or(Err(Gone))
}
