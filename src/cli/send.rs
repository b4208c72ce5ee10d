//! `whisht send`: a message and its way.
//!
//! There is no stage "sent". The command follows what the node sees: it ends with 0 only when the
//! envelope came back by gossip, with 3 if the user stops waiting before that, and with 4 if the
//! node gave up. The body comes from a file or from standard input, never from an argument, which
//! every process of the machine could read.

mod progress;
pub(super) mod stage;

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use circuits::level::Level;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use self::progress::SendProgress;
use super::levels;
use super::output::{field, number};
use super::remote_node::RemoteNode;
use super::{Exit, Failure};
use crate::config::value;
use crate::envelope::Topic;
use crate::identity::parse_topic;

/// Options of `whisht send`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Who can read it: a public key (0x04.., 65 bytes), or the name of an identity
    #[arg(long, value_name = "KEY|NAME")]
    to: String,
    /// The envelope's topic, for a public key only [default: drawn at random]
    #[arg(long, value_parser = parse_topic)]
    topic: Option<Topic>,
    /// The file with the body; `-` for standard input
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    file: PathBuf,
    /// How well to hide the sender: open, swift or normal [default: the node's]
    #[arg(long, value_parser = value::level)]
    level: Option<Level>,
    /// How long it should stay in the network, such as 30m, 1h or 3d
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "1h")]
    ttl: Duration,
    /// Sign it with this identity
    #[arg(long, value_name = "NAME")]
    sign: Option<String>,
    /// Show what it would cost, and send nothing
    #[arg(long, conflicts_with_all = ["no_wait", "timeout"])]
    dry_run: bool,
    /// Return as soon as the node has accepted it
    #[arg(long, conflicts_with = "timeout")]
    no_wait: bool,
    /// Stop waiting after this time; the node goes on
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout: Option<Duration>,
}

/// Sends a message.
///
/// # Errors
///
/// [`Failure`] if it is refused, or the node has gone.
pub(super) async fn run(node: &mut RemoteNode, args: Args) -> Result<Exit, Failure> {
    let body = body(&args.file)?;
    let to = recipient(node, &args.to).await?;
    let params = json!([{
        "to": to,
        "topic": args.topic.map(|topic| hex::encode(topic.0)),
        "payload": hex::encode(&*body),
        "level": args.level.map(Level::word),
        "life": args.ttl.as_secs(),
        "sign": args.sign,
    }]);
    if args.dry_run {
        let estimate = node.call("whisht_estimate", params).await?;
        levels::estimate(node.printer, &estimate)?;
        return Ok(Exit::Done);
    }
    // Before the message is there, so that no stage is missed.
    node.client.subscribe().await?;
    let id = node
        .call("whisht_send", params)
        .await?
        .as_u64()
        .unwrap_or_default();
    if args.no_wait {
        match node.printer.json {
            true => node.printer.value(&json!({"id": id}))?,
            false => node
                .printer
                .line(format_args!("accepted as message {id}"))?,
        }
        return Ok(Exit::Done);
    }
    follow(node, id, args.timeout).await
}

/// Shows stages until one is final.
async fn follow(node: &mut RemoteNode, id: u64, limit: Option<Duration>) -> Result<Exit, Failure> {
    let mut progress = SendProgress::start(node.printer, id);
    let mut reached = Map::new();
    let patience = tokio::time::sleep(limit.unwrap_or(Duration::MAX));
    tokio::pin!(patience);
    let exit = loop {
        let event = tokio::select! {
            event = node.client.next_event() => event?,
            _ = tokio::signal::ctrl_c() => break Exit::Pending,
            () = &mut patience => break Exit::Pending,
        };
        let Some(stage) = stage_of(node, id, event).await? else {
            continue;
        };
        progress.show(&stage);
        let name = field(&stage, "stage");
        reached.insert(name.clone(), stage);
        match name.as_str() {
            "delivered" => break Exit::Done,
            "failed" => break Exit::Expired,
            _ => {}
        }
    };
    progress.end();
    if node.printer.json {
        node.printer.value(&outcome(id, exit, &reached))?;
    } else if exit == Exit::Pending {
        node.printer.line(format_args!(
            "message {id} has not come back yet; the node goes on, see `whisht outbox`"
        ))?;
    }
    Ok(exit)
}

/// What became of a message, from the last report of each stage that it reached.
fn outcome(id: u64, exit: Exit, reached: &Map<String, Value>) -> Value {
    let told = |stage: &str, field: &str| {
        let stage = reached.get(stage)?;
        stage.get(field).cloned()
    };
    json!({
        "id": id,
        "delivered": exit == Exit::Done,
        "exit": exit.code(),
        "attempts": told("sealing", "attempt"),
        "envelope": told("sealed", "envelope"),
        "lanes": told("planned", "lanes"),
        "peers": told("seen", "peers"),
        "first_gossip": told("seen", "first_gossip"),
        "reason": told("failed", "reason"),
    })
}

/// The stage that an event tells of our message. After lost events, the outbox knows.
async fn stage_of(
    node: &mut RemoteNode,
    id: u64,
    mut event: Value,
) -> Result<Option<Value>, Failure> {
    if event.get("lost").is_some() {
        let outbox = node.call("whisht_outbox", json!([])).await?;
        let mut messages = outbox.as_array().into_iter().flatten();
        let ours = messages.find(|message| number(message, "id") == id);
        return Ok(ours.and_then(|message| message.get("stage")).cloned());
    }
    let ours = event.pointer("/outgoing/0").and_then(Value::as_u64) == Some(id);
    Ok(event
        .pointer_mut("/outgoing/1")
        .filter(|_| ours)
        .map(Value::take))
}

/// Who is meant: the name of a key pair of our own stands for its public key.
async fn recipient(node: &mut RemoteNode, to: &str) -> Result<String, Failure> {
    let known = node.call("whisht_identities", json!([])).await?;
    let mut known = known.as_array().into_iter().flatten();
    let ours = known.find(|identity| field(identity, "name") == to);
    let key = ours
        .map(|identity| field(identity, "public_key"))
        .filter(|key| !key.is_empty());
    Ok(key.unwrap_or_else(|| to.to_owned()))
}

/// Reads the body.
pub(super) fn body(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let fail = |error| {
        Failure::usage(format_args!(
            "cannot read the message from {}: {error}; name a readable file with -f",
            path.display()
        ))
    };
    let mut body = Zeroizing::new(Vec::new());
    if path.as_os_str() == "-" {
        if std::io::stdin().is_terminal() {
            eprint_hint();
        }
        std::io::stdin()
            .take(READ_LIMIT)
            .read_to_end(&mut body)
            .map_err(fail)?;
    } else {
        let file = std::fs::File::open(path).map_err(fail)?;
        file.take(READ_LIMIT).read_to_end(&mut body).map_err(fail)?;
    }
    if u64::try_from(body.len()).is_ok_and(|len| len >= READ_LIMIT) {
        return Err(Failure::usage(format_args!(
            "the message is longer than {} KB, more than an envelope holds; send it in parts",
            READ_LIMIT / 1024
        )));
    }
    Ok(body)
}

fn eprint_hint() {
    use std::io::Write;
    // If nobody reads this, nothing is lost.
    let _ = writeln!(
        std::io::stderr(),
        "type the message, then end it with Ctrl-D"
    );
}

/// Reads a time: a number and `s`, `m`, `h` or `d`.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let unit = |suffix, secs: u64| {
        let count = text.strip_suffix(suffix)?.parse::<u64>().ok()?;
        count
            .checked_mul(secs)
            .filter(|secs| (1..=MAX_LIFE_SECS).contains(secs))
    };
    unit('s', 1)
        .or_else(|| unit('m', 60))
        .or_else(|| unit('h', 3_600))
        .or_else(|| unit('d', 86_400))
        .map(Duration::from_secs)
        .ok_or_else(|| "write a time up to 30 days like 90s, 30m, 24h or 3d".to_owned())
}

/// No envelope holds more; the node knows exactly how much each one does.
const READ_LIMIT: u64 = 64 * 1024;
/// The longest time that makes sense here, in seconds: 30 days.
const MAX_LIFE_SECS: u64 = 30 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        let shown = ["90s", "30m", "24h", "3d"].map(|text| time(text).unwrap().as_secs());
        assert_eq!(shown, [90, 1800, 86_400, 259_200]);
        for bad in [
            "",
            "5",
            "h",
            "0s",
            "-1h",
            "1.5h",
            "31d",
            "1w",
            "99999999999999999999d",
        ] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
