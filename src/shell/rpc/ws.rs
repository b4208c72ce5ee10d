//! WebSocket: one text, or frame of bytes, per request or list of them.

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};

use super::converse::{Gone, Goodbye, Read, Received, Write, converse};
use super::session::Session;

/// Serves a client whose handshake is over.
pub(super) async fn serve(socket: WebSocket, session: Session) {
    let (writer, reader) = socket.split();
    converse(session, Reader(reader), Writer(writer)).await;
}

struct Reader(SplitStream<WebSocket>);

impl Read for Reader {
    async fn next(&mut self) -> Received {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Received::Text(text.as_bytes().to_vec()),
                Some(Ok(Message::Binary(bytes))) => return Received::Text(bytes.to_vec()),
                // Answered by the library.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) | None => return Received::Nothing,
                // Too long, or not what the protocol allows.
                Some(Err(_)) => return Received::Unreadable(None),
            }
        }
    }
}

struct Writer(SplitSink<WebSocket, Message>);

impl Write for Writer {
    async fn write(&mut self, text: String) -> Result<(), Gone> {
        self.0
            .send(Message::Text(text.into()))
            .await
            .map_err(|_| Gone)
    }

    async fn close(&mut self, why: Goodbye) {
        let frame = CloseFrame {
            code: match why {
                Goodbye::GoingAway => close_code::AWAY,
                Goodbye::NotUnderstood => close_code::POLICY,
            },
            reason: "".into(),
        };
        // If this fails the client has closed already.
        let _ = self.0.send(Message::Close(Some(frame))).await;
        let _ = self.0.close().await;
    }
}
