//! WebSocket: one text or binary message per request or batch.

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};

use super::connection::{CloseReason, Disconnected, ReadOutcome, ReadText, WriteText, run};
use super::session::RpcSession;

/// Serves a client after the WebSocket handshake.
pub(super) async fn serve(socket: WebSocket, session: RpcSession) {
    let (writer, reader) = socket.split();
    run(session, WsReader(reader), WsWriter(writer)).await;
}

struct WsReader(SplitStream<WebSocket>);

impl ReadText for WsReader {
    async fn next(&mut self) -> ReadOutcome {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => {
                    return ReadOutcome::Text(text.as_bytes().to_vec());
                }
                Some(Ok(Message::Binary(bytes))) => return ReadOutcome::Text(bytes.to_vec()),
                // The library answers pings.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) | None => return ReadOutcome::Closed,
                // The message is too long or violates the protocol.
                Some(Err(_)) => return ReadOutcome::Unreadable(None),
            }
        }
    }

    async fn discard(&mut self) {}
}

struct WsWriter(SplitSink<WebSocket, Message>);

impl WriteText for WsWriter {
    async fn write(&mut self, text: String) -> Result<(), Disconnected> {
        self.0
            .send(Message::Text(text.into()))
            .await
            .map_err(|_| Disconnected)
    }

    async fn close(&mut self, why: CloseReason) {
        let frame = CloseFrame {
            code: match why {
                CloseReason::GoingAway => close_code::AWAY,
                CloseReason::InvalidRequest => close_code::POLICY,
            },
            reason: "".into(),
        };
        // This fails only if the client has disconnected.
        let _ = self.0.send(Message::Close(Some(frame))).await;
        let _ = self.0.close().await;
    }
}
