//! `whisht mail fetch`: asks a mail server, follows what comes, and says what it came to.
//!
//! The running node does the work; what it opens is in the inbox like any other message. Ends with
//! 0 if the server has given everything, with 3 if it does not answer or there is more, and with 5
//! if it refuses.

use std::io::{IsTerminal, Write, stderr};
use std::path::PathBuf;
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::super::output::{Printer, field, grouped, number};
use super::super::remote_node::RemoteNode;
use super::super::send::time;
use super::super::{Exit, Failure};
use crate::envelope::Topic;
use crate::identity::parse_topic;
use crate::shell::clock::Clock;
use crate::shell::password::first_line;

/// Options of `whisht mail fetch`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The mail server, by enode URL or the key of a peer [default: the first trusted peer]
    #[arg(long, value_name = "ENODE|KEY")]
    from: Option<String>,
    /// Fetch what was flooded in the last so many hours or days, such as 24h or 3d
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "24h")]
    since: Duration,
    /// Up to so long ago [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Duration>,
    /// Only what may be under this topic, among a quarter of everything; may be repeated
    #[arg(long, value_parser = parse_topic)]
    topic: Vec<Topic>,
    /// Ask for exactly the topics named: the server then knows what you read
    #[arg(long, requires = "topic")]
    narrow: bool,
    /// The file whose first line is the server's password; `-` for standard input
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Fetches mail.
///
/// # Errors
///
/// [`Failure`] if it is refused, or the node has gone.
pub(super) async fn run(node: &mut RemoteNode, args: Args) -> Result<Exit, Failure> {
    let password = args.password_file.as_deref().map(first_line).transpose()?;
    let now = Clock::start().now().unix;
    let ago = |time: Duration| {
        now.before(u32::try_from(time.as_secs()).unwrap_or(u32::MAX))
            .0
    };
    let topics: Vec<String> = args
        .topic
        .iter()
        .map(|topic| hex::encode(topic.0))
        .collect();
    let params = json!([{
        "from": args.from,
        "since": ago(args.since),
        "until": args.until.map(ago),
        "topics": topics,
        "narrow": args.narrow,
        "password": password.as_ref().map(|password| password.as_str()),
    }]);
    if args.narrow {
        warn("the server will know that you read exactly these topics, and who asks for them");
    }
    // Before the exchange begins, so that no stage is missed.
    node.client.subscribe().await?;
    let begun = node.call("whisht_fetchMail", params).await?;
    let mut progress = FetchProgress::start(node.printer, &begun);
    let id = number(&begun, "fetch");
    let ended = loop {
        let event = tokio::select! {
            event = node.client.next_event() => event?,
            _ = tokio::signal::ctrl_c() => {
                progress.end();
                return Ok(Exit::Pending);
            }
        };
        let Some(stage) = stage_of(id, &event) else {
            continue;
        };
        if field(stage, "stage") == "ended" {
            break stage.clone();
        }
        progress.show(stage);
    };
    progress.end();
    report(node.printer, &ended)
}

/// The stage that an event tells of the exchange with this number.
fn stage_of(id: u64, event: &Value) -> Option<&Value> {
    let fetch = event.get("fetch")?;
    let own = fetch.get(0).and_then(Value::as_u64) == Some(id);
    fetch.get(1).filter(|_| own)
}

/// Says what came of it.
fn report(printer: Printer, ended: &Value) -> Result<Exit, Failure> {
    let end = field(ended, "end");
    let exit = match end.as_str() {
        "complete" | "quiet" => Exit::Done,
        "refused" => Exit::Refused,
        "lied" => Exit::Failed,
        _ => Exit::Pending,
    };
    if printer.json {
        let mut said = ended.clone();
        if let Some(said) = said.as_object_mut() {
            said.remove("stage");
            said.insert("exit".to_owned(), exit.code().into());
        }
        printer.value(&said)?;
        return Ok(exit);
    }
    let count = |name| grouped(number(ended, name));
    printer.line(format_args!(
        "{} envelopes came, {} of them new, {} messages for you",
        count("envelopes"),
        count("new"),
        count("messages")
    ))?;
    let reason = field(ended, "reason");
    match end.as_str() {
        "complete" => {}
        "quiet" => printer
            .line("the server never says whether that was all; ask another one to be sure")?,
        "enough" => printer.line("there is more: fetch again, with a later --until in the past")?,
        "refused" => {
            return Err(Failure::new(
                exit,
                format_args!(
                    "the server refuses: {reason}; see --password-file, or ask its operator"
                ),
            ));
        }
        "lied" => {
            return Err(Failure::new(
                exit,
                format_args!(
                    "the server cannot be trusted, {reason}; name another one with --from"
                ),
            ));
        }
        "unreachable" => {
            return Err(Failure::new(
                exit,
                "the server is not reached; check its address, or name another one with --from",
            ));
        }
        _ => {
            return Err(Failure::new(
                exit,
                "the server does not answer: it is no mail server, has another password, or is \
                 busy; try again, or name another one with --from",
            ));
        }
    }
    Ok(exit)
}

/// Shows how far it is, on standard error.
enum FetchProgress {
    Spinner(ProgressBar),
    Lines,
    Json,
}

impl FetchProgress {
    /// Says what the server is asked for.
    fn start(printer: Printer, begun: &Value) -> Self {
        let share = begun.get("share").and_then(Value::as_f64).unwrap_or(1.0);
        let asked = match share >= 1.0 {
            true => "asking for everything".to_owned(),
            false => format!("asking for {:.0} % of all topics", share * 100.0),
        };
        let hours = (number(begun, "until").saturating_sub(number(begun, "since"))) / 3_600;
        let asked = format!("{asked} of {hours} h");
        if printer.json {
            warn_json(begun);
            return Self::Json;
        }
        if !stderr().is_terminal() {
            warn(&asked);
            return Self::Lines;
        }
        let spinner = ProgressBar::new_spinner().with_message(asked);
        spinner.enable_steady_tick(Duration::from_millis(100));
        Self::Spinner(spinner)
    }

    fn show(&mut self, stage: &Value) {
        let text = match field(stage, "stage").as_str() {
            "connecting" => "connecting to the server".to_owned(),
            "asked" => format!("asked for page {}", number(stage, "page")),
            _ => format!(
                "{} envelopes, {} KB",
                grouped(number(stage, "envelopes")),
                grouped(number(stage, "bytes") / 1_024)
            ),
        };
        match self {
            Self::Json => warn_json(stage),
            Self::Lines => warn(&text),
            Self::Spinner(spinner) => spinner.set_message(text),
        }
    }

    fn end(&self) {
        if let Self::Spinner(spinner) = self {
            spinner.finish_and_clear();
        }
    }
}

fn warn(text: &str) {
    // If nobody reads this, nothing is lost.
    let _ = writeln!(stderr(), "{text}");
}

fn warn_json(value: &Value) {
    // As above.
    let _ = writeln!(stderr(), "{value}");
}
