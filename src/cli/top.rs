//! `whisht top`: the state of a running node, drawn again each second.
//!
//! The view shows what `whisht status` shows, as rates where that says more. It contains the traffic of this
//! node's user, so it is written to the terminal only.

mod frame;
mod screen;

use std::io::{self, IsTerminal};
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use self::frame::{Frame, TrafficSample};
use self::screen::Screen;
use super::remote_node::RemoteNode;
use super::{Exit, Failure};
use crate::node::StatusView;
use crate::shell::signal::Interrupts;

/// Options of `whisht top`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print the view once, without a terminal
    #[arg(long)]
    once: bool,
}

/// Shows the node until the user quits.
///
/// # Errors
///
/// [`Failure`] if the node does not answer, or there is no terminal to draw on.
pub(super) async fn run(node: &mut RemoteNode, args: &Args) -> Result<Exit, Failure> {
    let printer = node.printer;
    if args.once {
        return once(node).await;
    }
    if printer.json {
        return stream(node).await;
    }
    if !io::stdout().is_terminal() {
        return Err(Failure::usage(
            "standard output is not a terminal; print one view with --once, or a line each second with --json",
        ));
    }
    draw(node).await
}

/// Prints the rates of one second.
async fn once(node: &mut RemoteNode) -> Result<Exit, Failure> {
    let printer = node.printer;
    let before = (TrafficSample::of(&node.status()?), Instant::now());
    sleep(INTERVAL).await;
    let status = ask(node).await?;
    if printer.json {
        printer.value(&status)?;
        return Ok(Exit::Done);
    }
    let frame = Frame::of(&status, Some(since(before)));
    for line in frame.lines() {
        printer.line(line)?;
    }
    Ok(Exit::Done)
}

/// Prints a line of JSON each second, until the reader closes.
async fn stream(node: &mut RemoteNode) -> Result<Exit, Failure> {
    loop {
        let status = ask(node).await?;
        node.printer.value(&status)?;
        sleep(INTERVAL).await;
    }
}

/// Draws on the terminal.
async fn draw(node: &mut RemoteNode) -> Result<Exit, Failure> {
    let mut interrupts = Interrupts::take().map_err(|error| {
        Failure::new(
            Exit::Failed,
            format_args!("cannot listen for signals: {error}; check the limits of this user"),
        )
    })?;
    let local = node.printer.local;
    let screen = Screen::open()?;
    let mut before = None;
    loop {
        let status = ask(node).await?;
        let sample = (TrafficSample::of(&status), Instant::now());
        let frame = Frame::of(&status, before.map(since));
        screen.show(&frame, local)?;
        before = Some(sample);
        for _ in 0..KEYS_PER_INTERVAL {
            tokio::select! {
                () = sleep(INTERVAL / KEYS_PER_INTERVAL) => {}
                () = interrupts.next() => return Ok(Exit::Done),
            }
            if screen.is_quit() {
                return Ok(Exit::Done);
            }
        }
    }
}

/// A sample, and how long ago it was taken. A busy node answers late.
fn since((sample, taken): (TrafficSample, Instant)) -> (TrafficSample, Duration) {
    (sample, taken.elapsed())
}

async fn ask(node: &mut RemoteNode) -> Result<StatusView, Failure> {
    node.call("whisht_status", json!([])).await
}

/// Time between two views.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often the keyboard is read between two views.
const KEYS_PER_INTERVAL: u32 = 10;
