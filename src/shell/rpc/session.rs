//! One client: its requests and its subscriptions; `access` has its rights.
//!
//! A session has no access to sockets. It turns a text into the answer, and the node's events into
//! the notifications of this client. A subscription to messages is a filter of the node; it is
//! removed with the session.

use std::sync::Arc;

use circuits::erasing_rng::ErasingRng;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::access::ClientAccess;
use super::budget::{AnswerMemory, RequestMemory};
use super::limits::MAX_BATCH_ANSWER;
use super::subscriptions::{ClientSubscriptions, PendingSubscribe, SubscriptionTarget};
use super::{Service, console, keys};
use crate::node::{Command, Criteria, Event, Reply, ShhCommand, ShhReply};
use crate::rpc::{self, Render, RpcCall, RpcError, RpcErrorKind, RpcMessage, RpcRequest, shh};
use crate::shell::{EventItem, Events, Stopped, seeded_rng};

/// One client, until [`RpcSession::close`].
pub(super) struct RpcSession {
    client: Arc<ClientState>,
    /// All events of the node, while there is a subscription.
    events: Option<Events>,
}

/// State that the requests in progress share.
struct ClientState {
    service: Service,
    access: ClientAccess,
    subscriptions: ClientSubscriptions,
}

/// The answer to a text.
#[derive(Debug)]
pub(super) struct SessionReply {
    /// The text, if there is one.
    pub(super) text: Option<String>,
    /// Whether a persistent connection has to end.
    pub(super) is_last: bool,
    /// The length of the request.
    pub(super) request_bytes: usize,
    /// Counts the text until it is written.
    pub(super) memory: Option<AnswerMemory>,
    /// Delays notifications until the answer is written.
    _pending_subscribe: Option<PendingSubscribe>,
}

impl RpcSession {
    pub(super) fn new(service: Service, access: ClientAccess) -> Self {
        let service = Service {
            handle: service.handle.for_new_client(),
            ..service
        };
        let client = ClientState {
            service,
            access,
            subscriptions: ClientSubscriptions::default(),
        };
        Self {
            client: Arc::new(client),
            events: None,
        }
    }

    /// Answers a text: a request or a batch. It is parsed and executed as the future is polled.
    pub(super) fn answer(
        &mut self,
        text: Zeroizing<Vec<u8>>,
    ) -> impl Future<Output = SessionReply> + Send + use<> {
        let pending_subscribe = may_subscribe(&text).then(|| {
            let handle = &self.client.service.handle;
            self.events.get_or_insert_with(|| handle.subscribe());
            self.client.subscriptions.pending_subscribe()
        });
        let client = Arc::clone(&self.client);
        async move {
            let request_bytes = text.len();
            let mut reply = SessionReply {
                text: None,
                is_last: false,
                request_bytes,
                memory: None,
                _pending_subscribe: pending_subscribe,
            };
            match client.read(text).await {
                Ok((None, _)) => {}
                Ok((Some(incoming), _memory)) => {
                    let (text, memory) = client.answer(incoming).await;
                    reply.text = Some(text);
                    reply.memory = Some(memory);
                }
                Err(error) => {
                    reply.text = Some(rpc::failure(&error).to_string());
                    reply.is_last = true;
                }
            }
            reply
        }
    }

    /// Waits for the next notification; `None` once the node has ended. Cancel-safe.
    pub(super) async fn notifications(&mut self) -> Option<Vec<String>> {
        let subscriptions = &self.client.subscriptions;
        if subscriptions.is_empty() {
            self.events = None;
        }
        let Some(events) = self
            .events
            .as_mut()
            .filter(|_| !subscriptions.is_subscribing())
        else {
            self.client.service.handle.finished().await;
            return None;
        };
        let seen = events.next().await?;
        let texts = match seen {
            // A program that may not read conversations is not told of them either.
            EventItem::Event(event)
                if matches!(*event, Event::Contact(_) | Event::File(_) | Event::Talk(_))
                    && !self.client.access.permissions().contacts =>
            {
                Vec::new()
            }
            EventItem::Event(event) => subscriptions
                .of(&event)
                .iter()
                .filter_map(|id| Some(notification(id, &event)?.to_string()))
                .collect(),
            EventItem::Lagged(count) => subscriptions
                .all()
                .iter()
                .map(|(id, target)| lost(id, *target, count).to_string())
                .collect(),
        };
        Some(texts)
    }

    /// Releases the resources of the client's subscriptions.
    pub(super) async fn close(self) {
        for target in self.client.subscriptions.close() {
            self.client.release(target).await;
        }
    }
}

/// Whether an answer may name a new subscription, before the text is parsed. A name with escapes may
/// be any name.
fn may_subscribe(text: &[u8]) -> bool {
    let name = b"_subscribe";
    text.contains(&b'\\') || text.windows(name.len()).any(|part| part == name)
}

impl ClientState {
    /// Parses a text once there is memory for it, which is kept until the answer is made.
    async fn read(
        &self,
        text: Zeroizing<Vec<u8>>,
    ) -> Result<(Option<RpcMessage>, RequestMemory), RpcError> {
        let memory = self.access.budget().memory_for(&text).await?;
        Ok((RpcMessage::read(&text)?, memory))
    }

    async fn answer(self: &Arc<Self>, incoming: RpcMessage) -> (String, AnswerMemory) {
        match incoming {
            RpcMessage::Single(request) => {
                self.access.wait(1).await;
                self.respond(request, 0).await
            }
            RpcMessage::Batch(requests) => {
                self.access.wait(requests.len()).await;
                self.answer_batch(requests).await
            }
        }
    }

    /// Answers one request after another, until the answer is too large: the rest are not executed.
    async fn answer_batch(self: &Arc<Self>, requests: Vec<RpcRequest>) -> (String, AnswerMemory) {
        let mut text = String::from("[");
        let mut memory = self.access.budget().answers.begin();
        for request in requests {
            if text.len() > 1 {
                text.push(',');
            }
            if text.len() < MAX_BATCH_ANSWER {
                let (one, _memory) = self.respond(request, text.len()).await;
                text.push_str(&one);
            } else {
                let refused = Err(RpcError::answer_too_large());
                text.push_str(&rpc::response(request.id, refused).to_string());
            }
            memory.grow_to(text.len());
        }
        text.push(']');
        (text, memory)
    }

    /// Executes a request of a batch whose answer has `waiting` bytes so far.
    async fn respond(
        self: &Arc<Self>,
        request: RpcRequest,
        waiting: usize,
    ) -> (String, AnswerMemory) {
        let RpcRequest { id, method, params } = request;
        match self.read_call(&method, params) {
            Ok(RpcCall::Node(command, render)) if command.has_long_reply() => {
                self.respond_in_turn(id, command, render, waiting).await
            }
            Ok(call) => self.written(id, self.execute(call).await),
            Err(error) => self.written(id, Err(error)),
        }
    }

    /// Executes a command whose reply may be large, in its turn. A task of its own does it, so that
    /// a client that does not read keeps the turn from no other.
    async fn respond_in_turn(
        self: &Arc<Self>,
        id: Value,
        command: Command,
        render: Render,
        waiting: usize,
    ) -> (String, AnswerMemory) {
        let (client, answered) = (Arc::clone(self), id.clone());
        let mut task = JoinSet::new();
        task.spawn(async move {
            let Some(_turn) = client.access.budget().answers.turn(waiting).await else {
                return client.written(answered, Err(RpcError::answer_too_large()));
            };
            let reply = client.command(command).await;
            client.written(answered, reply.and_then(|reply| render(&reply)))
        });
        // The task ends with this future.
        let done = task.join_next().await.and_then(Result::ok);
        done.unwrap_or_else(|| self.written(id, Err(stopped(Stopped))))
    }

    /// A response as text, which counts from here on.
    fn written(&self, id: Value, outcome: Result<Value, RpcError>) -> (String, AnswerMemory) {
        let text = rpc::response(id, outcome).to_string();
        let mut memory = self.access.budget().answers.begin();
        memory.grow_to(text.len());
        (text, memory)
    }

    /// Parses a call, if this client may make it.
    fn read_call(&self, method: &str, params: Option<Value>) -> Result<RpcCall, RpcError> {
        if !self.access.allows(method) {
            return Err(RpcError::module_not_allowed(method));
        }
        if shh::subscribes_to_messages(method, params.as_ref()) {
            self.access.require_notifications()?;
        }
        RpcCall::read(method, params, self.access.permissions(), &mut generator()?)
    }

    async fn execute(self: &Arc<Self>, call: RpcCall) -> Result<Value, RpcError> {
        let derivations = &self.access.budget().derivations;
        match call {
            RpcCall::Known(value) => Ok(value),
            RpcCall::Node(command, render) => render(&self.command(command).await?),
            RpcCall::Modules => {
                let modules = self.access.modules();
                let modules = modules.iter().map(|module| module.word());
                Ok(rpc::admin::modules(modules))
            }
            RpcCall::NodeInfo => match self.command(Command::Node).await? {
                Reply::Node(node) => {
                    let listening = self.service.handle.addresses();
                    Ok(rpc::admin::node_info(&node, listening))
                }
                other => rpc::result(&other),
            },
            RpcCall::FetchMail(wanted) => {
                let command = derivations.run(move || wanted.command()).await??;
                rpc::result(&self.command(command).await?)
            }
            RpcCall::Keys(call) => {
                // The identity service runs one at a time.
                let _place = derivations.place()?;
                keys::execute(self.service.clone(), call).await
            }
            RpcCall::KeyFromPassword(password) => {
                let keep = derivations.run(move || shh::keep_key(&password)).await?;
                rpc::result(&self.command(keep).await?)
            }
            RpcCall::Panic => {
                self.service.handle.panic().await;
                Ok(true.into())
            }
            RpcCall::Console => console::open(&self.service).await,
            RpcCall::Subscribe => self.subscribe(SubscriptionTarget::Events).await,
            RpcCall::Unsubscribe(id) => Ok(self.unsubscribe(&id, is_events).await.into()),
            RpcCall::ShhSubscribe(criteria) => self.subscribe_to_messages(criteria).await,
            RpcCall::ShhUnsubscribe(id) => self.unsubscribe_from_messages(&id).await,
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

    async fn subscribe_to_messages(
        self: &Arc<Self>,
        criteria: Criteria,
    ) -> Result<Value, RpcError> {
        self.access.require_notifications()?;
        let client = Arc::clone(self);
        // Completes even if the connection ends half-way: an installed filter has to be removed.
        let subscribing = tokio::spawn(async move {
            let command = Command::Shh(ShhCommand::Subscribe(criteria));
            match client.command(command).await? {
                Reply::Shh(Ok(ShhReply::Subscribed(filter))) => {
                    client.subscribe(SubscriptionTarget::Filter(filter)).await
                }
                other => rpc::result(&other),
            }
        });
        subscribing.await.map_err(|_| stopped(Stopped))?
    }

    async fn subscribe(&self, target: SubscriptionTarget) -> Result<Value, RpcError> {
        self.access.require_notifications()?;
        match self.subscriptions.add(target, &mut generator()?) {
            Some(id) => Ok(id.into()),
            None => {
                self.release(target).await;
                Err(full())
            }
        }
    }

    async fn unsubscribe_from_messages(&self, id: &str) -> Result<Value, RpcError> {
        self.access.require_notifications()?;
        if self.unsubscribe(id, |target| !is_events(target)).await {
            Ok(true.into())
        } else {
            Err(shh::no_subscription())
        }
    }

    /// Ends a subscription that `wanted` matches; returns whether there was one.
    async fn unsubscribe(&self, id: &str, wanted: fn(SubscriptionTarget) -> bool) -> bool {
        match self.subscriptions.remove(id, wanted) {
            Some(target) => {
                self.release(target).await;
                true
            }
            None => false,
        }
    }

    /// Releases the resources of a subscription.
    async fn release(&self, target: SubscriptionTarget) {
        if let SubscriptionTarget::Filter(filter) = target {
            // Without a node there is no filter.
            let _ = self
                .command(Command::Shh(ShhCommand::Unsubscribe(filter)))
                .await;
        }
    }
}

fn notification(id: &str, event: &Event) -> Option<Value> {
    match event {
        Event::Filtered(_, received) => Some(shh::notification(id, received)),
        other => rpc::event(id, other),
    }
}

/// The notice to a client that read too slowly. A message subscription has no room for another kind
/// of item: clients of go-ethereum parse every notification, but ignore unknown methods.
fn lost(id: &str, target: SubscriptionTarget, count: u64) -> Value {
    match target {
        SubscriptionTarget::Events => rpc::lost(id, count),
        SubscriptionTarget::Filter(_) => json!({
            "jsonrpc": "2.0",
            "method": "whisht_lost",
            "params": {"subscription": id, "count": count},
        }),
    }
}

fn is_events(target: SubscriptionTarget) -> bool {
    target == SubscriptionTarget::Events
}

fn full() -> RpcError {
    let cause = "too many subscriptions on one connection";
    RpcError::server(
        RpcErrorKind::Busy,
        cause,
        "end one, or open another connection",
    )
}

fn generator() -> Result<ErasingRng, RpcError> {
    seeded_rng().map_err(|error| {
        RpcError::server(
            RpcErrorKind::Stopped,
            error,
            "the node cannot work without random numbers",
        )
    })
}

pub(super) fn stopped(error: Stopped) -> RpcError {
    RpcError::server(RpcErrorKind::Stopped, error, "nothing was done")
}

#[cfg(test)]
mod tests;
