//! A running node until a signal ends it: reloads, messages to the service manager, and the way to the end.
//!
//! A relay that is told to end waits for a moment in which it holds no cell of another node, and ends then
//! or after [`MAX_RELEASE`]. It relays as usual meanwhile: refusing new cells would lose as many as arrive
//! in that time, and that is more than the relay holds when it begins (docs/decisions/0034).

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::reload::Reload;
use crate::cli::output::{say, say_value};
use crate::cli::{Exit, Failure};
use crate::node::{Command, OutgoingView, Reply, Stage};
use crate::shell::notify::ServiceManager;
use crate::shell::runtime::RunningNode;
use crate::shell::signal::{Interrupts, SignalRequest};

/// Serves until a signal ends the process, and closes the node.
///
/// # Errors
///
/// [`Failure`] if the node ends by itself.
pub(super) async fn until_end(
    host: RunningNode,
    interrupts: &mut Interrupts,
    service: &ServiceManager,
    mut reload: Reload,
    json: bool,
) -> Result<Exit, Failure> {
    let status = status(&host);
    service.ready(&status);
    let node = host.handle().clone();
    // One future for all reloads: the watchdog's interval goes on while signals arrive.
    let alive = service.keep_alive(&node);
    tokio::pin!(alive);
    loop {
        tokio::select! {
            request = interrupts.next_request() => match request {
                SignalRequest::End => break,
                SignalRequest::Reload => {
                    service.reloading();
                    let result = tokio::select! {
                        result = reload.run(&host) => result,
                        never = &mut alive => match never {},
                    };
                    service.ready(&format!("{status}; {result}"));
                }
            },
            // The machine is being cleared: nothing is said, and nothing is closed in order.
            () = node.finished() => return if node.is_panicked() {
                Ok(Exit::Done)
            } else {
                Err(Failure::new(
                    Exit::Failed,
                    "the node ended without being asked to; this is a bug, please report the log above",
                ))
            },
            never = &mut alive => match never {},
        }
    }
    service.stopping("closing");
    farewell(&host, json).await;
    let closing = async {
        release_cells(&host).await;
        host.shutdown().await;
    };
    tokio::select! {
        () = closing => Ok(Exit::Done),
        // A second signal: the user does not want to wait.
        () = interrupts.next() => Ok(Exit::Failed),
    }
}

/// One line for the service manager, without an address.
fn status(host: &RunningNode) -> String {
    let ports = host.handle().addresses().iter().map(|at| at.port());
    let mut ports: Vec<String> = ports.map(|port| port.to_string()).collect();
    ports.dedup();
    match ports.as_slice() {
        [] => "running; accepts no connections".to_owned(),
        ports => format!("running; listens on port {}", ports.join(", ")),
    }
}

/// Waits until this relay holds no cell of another node, for [`MAX_RELEASE`] at most.
async fn release_cells(host: &RunningNode) {
    let held = held_cells(host).await;
    if held == 0 {
        return;
    }
    let most = MAX_RELEASE.as_secs();
    tracing::info!(
        held,
        "cells of other nodes leave before the relay ends, for {most} s at most"
    );
    let emptied = async {
        while held_cells(host).await > 0 {
            sleep(RELEASE_POLL).await;
        }
    };
    if timeout(MAX_RELEASE, emptied).await.is_err() {
        tracing::info!("the relay ends with cells of other nodes; their senders send again");
    }
}

/// Number of cells of other nodes that this relay holds; 0 if the node has ended.
async fn held_cells(host: &RunningNode) -> usize {
    match host.handle().command(Command::HeldCells).await {
        Ok(Ok(Reply::HeldCells(held))) => held,
        _ => 0,
    }
}

/// Reports how many messages are still on their way.
async fn farewell(host: &RunningNode, json: bool) {
    let outbox = host.handle().command(Command::Outbox).await;
    let left = match outbox {
        Ok(Ok(Reply::Outbox(messages))) => messages.iter().filter(|own| is_under_way(own)).count(),
        _ => 0,
    };
    if json {
        say_value(&serde_json::json!({"closing": true, "unconfirmed": left}));
        return;
    }
    match left {
        0 => say("closing; a second Ctrl-C ends at once"),
        _ => say(format_args!(
            "closing; {left} of your messages have not come back yet: shards that have left travel \
             on by themselves, and a node with a data directory sends the messages again at its next \
             start. A second Ctrl-C ends at once"
        )),
    }
}

/// Whether a message has reached no final stage.
const fn is_under_way(message: &OutgoingView) -> bool {
    !matches!(
        message.stage,
        Stage::HandedOver { .. } | Stage::Delivered | Stage::Failed { .. }
    )
}

/// How long a relay waits for its cells to leave. `TimeoutStopSec=` of the unit is longer.
const MAX_RELEASE: Duration = Duration::from_secs(15);
/// Time between two looks at what is held. In a relay with little traffic, moments with nothing are long.
const RELEASE_POLL: Duration = Duration::from_millis(100);
