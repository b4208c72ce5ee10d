//! `whisht mail fetch`: requests envelopes from a mail server, and reports the result.
//!
//! The running node makes the exchange; the messages that it decrypts are in the inbox like any other.
//! Ends with 0 if the server sent everything, with 3 if it does not answer or more is left, and with 5
//! if it refuses.

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use crate::cli::durations::time;
use crate::cli::notice_wait::NoticeWait;
use crate::cli::output::{Printer, Spinner, grouped, one_line, say, say_value};
use crate::cli::remote_node::RemoteNode;
use crate::cli::{Exit, Failure};
use crate::envelope::Topic;
use crate::identity::parse_topic;
use crate::node::{Event, FetchEnd, FetchStage, FetchView, StatusView};
use crate::rpc::EventNotice;
use crate::shell::clock::Clock;
use crate::shell::password::first_line;

/// Options of `whisht mail fetch`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Mail server, by enode URL or the key of a peer [default: the first trusted peer]
    #[arg(long, value_name = "ENODE|KEY")]
    from: Option<String>,
    /// Age of the oldest envelopes to fetch, such as 24h or 3d
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "24h")]
    since: Duration,
    /// Age of the newest envelopes to fetch, such as 2h [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Duration>,
    /// Fetch a quarter of all topics that includes this one (4 bytes); may be repeated [default: all]
    #[arg(long, value_parser = parse_topic)]
    topic: Vec<Topic>,
    /// Request exactly the topics of --topic: the server then knows what you read
    #[arg(long, requires = "topic")]
    narrow: bool,
    /// File whose first line is the server's password; `-` reads standard input [default: no password]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// Fetches mail.
///
/// # Errors
///
/// [`Failure`] if the request is refused, or the node does not answer.
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
        say("the server will know that you read exactly these topics, and which node asks");
    }
    // Before the exchange begins, so that no stage is missed.
    node.client.subscribe().await?;
    let begun: FetchView = node.call("whisht_fetchMail", params).await?;
    let mut progress = FetchProgress::start(node.printer, &begun);
    let mut notices = NoticeWait::new(None);
    let outcome = loop {
        let Some(notice) = notices.next(node).await? else {
            progress.end();
            return Ok(Exit::Pending);
        };
        let EventNotice::Event(Event::Fetch(id, stage)) = notice else {
            continue;
        };
        if id != begun.fetch {
            continue;
        }
        match FetchReport::of(&stage) {
            Some(outcome) => break outcome,
            None => progress.show(&stage),
        }
    };
    progress.end();
    warn_of_clock(node).await?;
    report(node.printer, &outcome)
}

/// Warns if this machine's clock, from which the requested range was computed, seems to be wrong.
async fn warn_of_clock(node: &mut RemoteNode) -> Result<(), Failure> {
    let status: StatusView = node.call("whisht_status", json!([])).await?;
    if let Some(clock) = status.clock.filter(|clock| clock.is_off()) {
        let text = format!(
            "the clock of this machine is {clock}, and the requested range was computed from it; \
             check it (`timedatectl`), then fetch again"
        );
        if node.printer.json {
            say_value(&json!({"warning": text}));
        } else {
            say(&text);
        }
    }
    Ok(())
}

/// The result of an exchange, as `--json` prints it.
#[derive(Serialize)]
struct FetchReport {
    end: FetchEnd,
    reason: Option<String>,
    pages: u32,
    envelopes: u32,
    bytes: u64,
    new: u32,
    messages: u32,
    unasked: u32,
    exit: u8,
}

impl FetchReport {
    /// The result in the last stage; `None` for any other stage.
    fn of(stage: &FetchStage) -> Option<Self> {
        let FetchStage::Ended {
            end,
            reason,
            pages,
            envelopes,
            bytes,
            new,
            messages,
            unasked,
        } = stage
        else {
            return None;
        };
        Some(Self {
            end: *end,
            reason: reason.clone(),
            pages: *pages,
            envelopes: *envelopes,
            bytes: *bytes,
            new: *new,
            messages: *messages,
            unasked: *unasked,
            exit: exit(*end).code(),
        })
    }
}

const fn exit(end: FetchEnd) -> Exit {
    match end {
        FetchEnd::Complete | FetchEnd::Quiet => Exit::Done,
        FetchEnd::Refused => Exit::Refused,
        FetchEnd::Lied => Exit::Failed,
        FetchEnd::Enough | FetchEnd::Silent | FetchEnd::Unreachable => Exit::Pending,
    }
}

/// Prints the result.
///
/// # Errors
///
/// [`Failure`] if the server refused, failed or could not be reached.
fn report(printer: Printer, outcome: &FetchReport) -> Result<Exit, Failure> {
    let exit = exit(outcome.end);
    if printer.json {
        printer.value(outcome)?;
        return Ok(exit);
    }
    printer.line(format_args!(
        "{} envelopes came, {} of them new, {} messages for you",
        grouped(outcome.envelopes.into()),
        grouped(outcome.new.into()),
        grouped(outcome.messages.into())
    ))?;
    let reason = one_line(outcome.reason.as_deref().unwrap_or_default());
    if let Some(cause) = failure(outcome.end, &reason) {
        return Err(Failure::new(exit, cause));
    }
    if let Some(hint) = hint(outcome.end) {
        printer.line(hint)?;
    }
    Ok(exit)
}

/// What the user should know of an exchange that brought everything it could.
const fn hint(end: FetchEnd) -> Option<&'static str> {
    match end {
        FetchEnd::Quiet => Some(
            "this server never reports whether more is left; fetch from another server to be sure",
        ),
        FetchEnd::Enough => Some("more is left: fetch again, with a later --until in the past"),
        _ => None,
    }
}

/// Cause and remedy of an exchange that failed.
fn failure(end: FetchEnd, reason: &str) -> Option<String> {
    match end {
        FetchEnd::Complete | FetchEnd::Enough | FetchEnd::Quiet => None,
        FetchEnd::Refused => Some(format!(
            "the server refuses: {reason}; see --password-file, or ask its operator"
        )),
        FetchEnd::Lied => Some(format!(
            "the server violates the protocol ({reason}); name another server with --from"
        )),
        FetchEnd::Unreachable => Some(
            "the server is not reached; check its address, or name another server with --from"
                .to_owned(),
        ),
        FetchEnd::Silent => Some(
            "the server does not answer: it is not a mail server, has another password, or is \
             busy; try again, or name another server with --from"
                .to_owned(),
        ),
    }
}

/// Shows progress on standard error.
enum FetchProgress {
    Spinner(Spinner),
    Lines,
    Json,
}

impl FetchProgress {
    /// Shows what the server is asked for.
    fn start(printer: Printer, begun: &FetchView) -> Self {
        if printer.json {
            say_value(begun);
            return Self::Json;
        }
        let asked = if begun.share >= 1.0 {
            "asking for everything".to_owned()
        } else {
            format!("asking for {:.0} % of all topics", begun.share * 100.0)
        };
        let hours = begun.until.saturating_sub(begun.since) / 3_600;
        let asked = format!("{asked} of {hours} h");
        if !stderr().is_terminal() {
            say(&asked);
            return Self::Lines;
        }
        Self::Spinner(Spinner::start(asked))
    }

    fn show(&mut self, stage: &FetchStage) {
        let text = match stage {
            FetchStage::Connecting => "connecting to the server".to_owned(),
            FetchStage::Asked { page } => format!("asked for page {page}"),
            FetchStage::Received { envelopes, bytes }
            | FetchStage::Ended {
                envelopes, bytes, ..
            } => format!(
                "{} envelopes, {} KB",
                grouped((*envelopes).into()),
                grouped(bytes / 1_024)
            ),
        };
        match self {
            Self::Json => say_value(stage),
            Self::Lines => say(&text),
            Self::Spinner(spinner) => spinner.set(text),
        }
    }

    fn end(&self) {
        if let Self::Spinner(spinner) = self {
            spinner.erase();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(end: FetchEnd) -> FetchStage {
        FetchStage::Ended {
            end,
            reason: None,
            pages: 1,
            envelopes: 412,
            bytes: 9_000,
            new: 410,
            messages: 2,
            unasked: 0,
        }
    }

    #[test]
    fn result_has_the_fields_of_the_last_stage_and_the_exit_code() {
        let outcome = FetchReport::of(&ended(FetchEnd::Enough)).unwrap();
        assert_eq!(
            serde_json::to_string(&outcome).unwrap(),
            r#"{"end":"enough","reason":null,"pages":1,"envelopes":412,"bytes":9000,"new":410,"messages":2,"unasked":0,"exit":3}"#
        );
        assert!(FetchReport::of(&FetchStage::Connecting).is_none());
    }

    #[test]
    fn failed_exchange_names_cause_and_remedy() {
        use FetchEnd::{Complete, Enough, Lied, Quiet, Refused, Silent, Unreachable};
        for end in [Lied, Refused, Silent, Unreachable] {
            assert!(failure(end, "too old").is_some_and(|cause| cause.contains("; ")));
            assert_ne!(exit(end), Exit::Done);
        }
        for end in [Complete, Enough, Quiet] {
            assert!(failure(end, "").is_none());
        }
    }
}
