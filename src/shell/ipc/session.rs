//! One client: its requests, one after another, and its subscription.

use std::time::Duration;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::Service;
use super::framing::Inbox;
use crate::identity::IdentityName;
use crate::node::{Command, Reply};
use crate::rpc::{self, Call, Incoming, KeyCall, Kind, Permissions, Request, RpcError};
use crate::shell::identities::KeyError;
use crate::shell::keeper::{KeepError, Unlocked};
use crate::shell::{Events, Seen, Stopped, random};

/// Serves a client until it leaves, or sends what cannot be understood.
pub(super) async fn run(stream: UnixStream, service: Service) {
    let (mut reader, writer) = stream.into_split();
    let mut session = Session {
        service,
        writer,
        subscription: None,
    };
    let mut inbox = Inbox::default();
    loop {
        let going = tokio::select! {
            read = reader.read_buf(inbox.buffer()) => match read {
                Ok(1..) => session.on_bytes(&mut inbox).await,
                _ => return,
            },
            seen = next(&mut session.subscription) => session.on_event(seen).await,
        };
        if going.is_err() {
            return;
        }
    }
}

/// Tells a client that there are too many, as far as it listens.
pub(super) fn turn_away(stream: &UnixStream) {
    let error = RpcError::server(Kind::Busy, "too many clients", "close another one");
    // A fresh socket has room for one line; whether it is read does not matter.
    let _ = stream.try_write(
        rpc::response(Value::Null, Err(error))
            .to_string()
            .as_bytes(),
    );
}

struct Session {
    service: Service,
    writer: OwnedWriteHalf,
    subscription: Option<Events>,
}

/// The connection has to end.
struct Gone;

impl Session {
    async fn on_bytes(&mut self, inbox: &mut Inbox) -> Result<(), Gone> {
        loop {
            match inbox.next(MAX_REQUEST) {
                // It may hold a password.
                Ok(Some(value)) => self.on_value(&Zeroizing::new(value)).await?,
                Ok(None) => return Ok(()),
                Err(error) => {
                    self.send(&rpc::failure(&RpcError::not_json(error))).await?;
                    return Err(Gone);
                }
            }
        }
    }

    /// Answers a request, or a list of them. After something else the connection ends.
    async fn on_value(&mut self, value: &[u8]) -> Result<(), Gone> {
        let response = match Incoming::read(value) {
            Ok(None) => return Ok(()),
            Ok(Some(Incoming::One(request))) => self.respond(request).await,
            Ok(Some(Incoming::Many(requests))) => {
                let mut responses = Vec::new();
                for request in requests {
                    responses.push(self.respond(request).await);
                }
                Value::Array(responses)
            }
            Err(error) => {
                self.send(&rpc::failure(&error)).await?;
                return Err(Gone);
            }
        };
        self.send(&response).await
    }

    async fn respond(&mut self, request: Request) -> Value {
        let outcome = self.call(&request.method, request.params).await;
        rpc::response(request.id, outcome)
    }

    async fn call(&mut self, method: &str, params: Option<Value>) -> Result<Value, RpcError> {
        let permissions = Permissions::default();
        match Call::read(method, params, permissions, &mut generator()?)? {
            Call::Node(command, render) => render(&self.command(command).await?),
            Call::Known(value) => Ok(value),
            Call::Keys(call) => self.keys(call).await,
            Call::KeyFromPassword(password) => {
                let made = spawn_blocking(move || rpc::shh::keep_key(&password));
                let command = made.await.map_err(|_| stopped(Stopped))?;
                rpc::result(&self.command(command).await?)
            }
            Call::NodeInfo => match self.command(Command::Node).await? {
                Reply::Node(node) => Ok(rpc::admin::node_info(
                    &node,
                    self.service.handle.addresses(),
                )),
                other => rpc::result(&other),
            },
            Call::Modules => Ok(rpc::admin::modules([
                "admin", "net", "shh", "web3", "whisht",
            ])),
            Call::Subscribe => {
                self.subscription = Some(self.service.handle.subscribe());
                Ok(SUBSCRIPTION.into())
            }
            Call::Unsubscribe(id) => {
                Ok((id == SUBSCRIPTION && self.subscription.take().is_some()).into())
            }
            Call::ShhSubscribe(_) | Call::ShhUnsubscribe(_) => Err(rpc::shh::no_notifications()),
        }
    }

    async fn command(&self, command: Command) -> Result<Reply, RpcError> {
        self.service
            .handle
            .command(command)
            .await
            .map_err(stopped)?
            .map_err(RpcError::from)
    }

    async fn keys(&self, call: KeyCall) -> Result<Value, RpcError> {
        let Service { handle, keeper } = &self.service;
        let name = match call {
            KeyCall::New {
                name,
                wanted,
                password,
                cost,
            } => {
                let kept = keeper.create(handle, name.clone(), wanted, password, cost);
                kept.await.map(|()| name)?
            }
            KeyCall::Import {
                file,
                name,
                password,
                cost,
            } => keeper.import(handle, file, name, password, cost).await?,
            KeyCall::ChangePassword {
                name,
                old,
                new,
                cost,
            } => {
                let changed = keeper.change_password(name.clone(), old, new, cost);
                changed.await.map(|()| name)?
            }
            KeyCall::Export(name) => {
                let sealed = keeper.export(name.clone()).await?;
                let address = sealed.address().map(|address| hex::encode(address.0));
                let file = sealed.to_json();
                return Ok(json!({"name": name.as_str(), "address": address, "file": file}));
            }
            KeyCall::Unlock { password, name } => {
                let Unlocked { opened, locked } = keeper.unlock(handle, password, name).await?;
                let texts = |names: &[IdentityName]| -> Vec<String> {
                    names.iter().map(ToString::to_string).collect()
                };
                return Ok(json!({"opened": texts(&opened), "locked": texts(&locked)}));
            }
        };
        Ok(self.identity(&name).await?.unwrap_or_default())
    }

    /// What the node knows of an identity.
    async fn identity(&self, name: &IdentityName) -> Result<Option<Value>, RpcError> {
        let known = rpc::result(&self.command(Command::Identities).await?)?;
        let mut known = known.as_array().into_iter().flatten();
        Ok(known
            .find(|identity| identity["name"] == name.as_str())
            .cloned())
    }

    async fn on_event(&mut self, seen: Option<Seen>) -> Result<(), Gone> {
        match seen {
            Some(Seen::Event(event)) => match rpc::event(SUBSCRIPTION, &event) {
                Some(event) => self.send(&event).await,
                None => Ok(()),
            },
            Some(Seen::Lost(count)) => self.send(&rpc::lost(SUBSCRIPTION, count)).await,
            None => Err(Gone),
        }
    }

    async fn send(&mut self, value: &Value) -> Result<(), Gone> {
        let mut line = value.to_string();
        line.push('\n');
        match timeout(STALL, self.writer.write_all(line.as_bytes())).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }
}

/// The next event; never, without a subscription.
async fn next(subscription: &mut Option<Events>) -> Option<Seen> {
    match subscription {
        Some(events) => events.next().await,
        None => std::future::pending().await,
    }
}

fn generator() -> Result<ChaCha20Rng, RpcError> {
    let seed = random().map_err(|error| {
        RpcError::server(
            Kind::Stopped,
            error,
            "the node cannot work without random numbers",
        )
    })?;
    Ok(ChaCha20Rng::from_seed(seed))
}

fn stopped(error: Stopped) -> RpcError {
    RpcError::server(Kind::Stopped, error, "nothing was done")
}

impl From<KeepError> for RpcError {
    fn from(error: KeepError) -> Self {
        match error {
            KeepError::Refused(refusal) => refusal.into(),
            KeepError::Stopped(error) => stopped(error),
            KeepError::Key(error) => {
                let kind = match &error {
                    error if error.is_locked() => Kind::Locked,
                    KeyError::Dir(_) | KeyError::NoRandomness(_) => Kind::Storage,
                    _ => Kind::Usage,
                };
                // These errors end in their remedy.
                let text = error.to_string();
                let (cause, remedy) = text.split_once("; ").unwrap_or((&text, "nothing was done"));
                Self::server(kind, cause, remedy)
            }
        }
    }
}

/// A message of 64 KB in hexadecimal digits takes 128 KB; nothing legitimate comes near this.
const MAX_REQUEST: usize = 1 << 20;
/// A client that takes nothing for this long is gone.
const STALL: Duration = Duration::from_secs(10);
/// A connection has one subscription, so that one name is enough.
const SUBSCRIPTION: &str = "0x1";
