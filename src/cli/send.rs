//! `whisht send`: sends a message and follows it.
//!
//! There is no stage "sent". The command shows what the node sees: it ends with 0 only when gossip
//! returned the envelope, with 3 if that is not known (the user stops waiting before, or peers took an
//! envelope of level `open`, which they do not send back), and with 4 if the node gave up. The body comes
//! from a file or from standard input, never from an argument, because every
//! process of the machine can read the arguments of every other.

mod attach;
pub(super) mod contact;
mod progress;
pub(super) mod stage;

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use self::attach::AttachOptions;
use self::contact::MessageOptions;
use self::progress::SendProgress;
use super::durations::{lifetime, time};
use super::levels;
use super::notice_wait::NoticeWait;
use super::output::{count, say};
use super::remote_node::RemoteNode;
use super::{Exit, Failure};
use crate::envelope::Topic;
use crate::envelope_builder::{Life, longest_payload};
use crate::identity::parse_topic;
use crate::node::{
    ContactView, EstimateView, Event, IdentityView, LevelChoice, MessageId, OutgoingView, Stage,
};
use crate::rpc::EventNotice;

/// Options of `whisht send`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Recipient: the name of a contact, a public key (0x04.., 65 bytes), or the name of an identity
    #[arg(long, value_name = "NAME|KEY")]
    to: String,
    /// Topic of the envelope (4 bytes), for a public key only [default: random]
    #[arg(long, value_parser = parse_topic)]
    topic: Option<Topic>,
    /// File with the body; `-` reads standard input
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    attachment: AttachOptions,
    /// Send the message even if its body is empty
    #[arg(long)]
    allow_empty: bool,
    /// Privacy level, or the name of a custom one [default: that of the recipient, or of the node]
    #[arg(long, value_name = "LEVEL")]
    level: Option<LevelChoice>,
    /// Lifetime of the envelope in the network, such as 30m, 1h30m or 2d, at most 59h. The envelope states
    /// 30m up to 7m, 1h up to 32m, 6h up to 4h42m, 24h up to 19h42m, else 72h [default: 1h; to a contact as
    /// the node chooses]
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    ttl: Option<Duration>,
    /// Sign the message with this identity [default: unsigned]
    #[arg(long, value_name = "NAME")]
    sign: Option<String>,
    /// Write for a recipient who reads without whisht: a long message at hush converges at one rendezvous,
    /// and dark refuses it [default: as the configuration tells]
    #[arg(long)]
    any_client: bool,
    /// Show the cost of the message, and send nothing
    #[arg(long, conflicts_with_all = ["no_wait", "timeout"])]
    dry_run: bool,
    /// Return as soon as the node has accepted the message
    #[arg(long, conflicts_with = "timeout")]
    no_wait: bool,
    /// Stop waiting after this time, such as 90s; the node continues [default: wait until the end]
    #[arg(long, value_name = "TIME", value_parser = time)]
    timeout: Option<Duration>,
}

impl Args {
    /// The options that messages to contacts have too.
    fn message_options(&self) -> MessageOptions {
        MessageOptions {
            level: self.level.clone(),
            ttl: self.ttl,
            dry_run: self.dry_run,
            no_wait: self.no_wait,
            timeout: self.timeout,
        }
    }
}

/// Sends a message.
///
/// # Errors
///
/// [`Failure`] if the message is refused, or the node does not answer.
pub(super) async fn run(node: &mut RemoteNode, args: Args) -> Result<Exit, Failure> {
    if args.attachment.attach.is_some() {
        return hand_over(node, args).await;
    }
    let body = body(&args.file)?;
    if body.is_empty() && !args.allow_empty {
        return Err(Failure::usage(
            "the message is empty; if a command before a pipe failed, repeat it; give text on standard \
             input or a file with -f, or use --allow-empty",
        ));
    }
    let to = match find_recipient(node, &args.to).await? {
        MessageRecipient::Whisper(to) => to,
        MessageRecipient::Contact => return to_contact(node, args, &body).await,
    };
    let ttl = args.ttl.unwrap_or(DEFAULT_LIFE);
    let params = json!([{
        "to": to,
        "topic": args.topic.map(|topic| hex::encode(topic.0)),
        "payload": hex::encode(&*body),
        "level": args.level.as_ref().map(LevelChoice::to_string),
        "life": ttl.as_secs(),
        "sign": args.sign,
        "any_client": args.any_client,
    }]);
    if args.dry_run {
        let estimate: EstimateView = node.call("whisht_estimate", params).await?;
        let lifetime = Lifetime::of(ttl);
        levels::show_price(node, &estimate, Some(&lifetime)).await?;
        return Ok(Exit::Done);
    }
    // Before the message is sent, so that no stage is missed.
    node.client.subscribe().await?;
    let id: MessageId = node.call("whisht_send", params).await?;
    if args.no_wait {
        if node.printer.json {
            node.printer.value(&json!({"id": id}))?;
        } else {
            let accepted = format!("accepted as message {}", id.0);
            node.printer.line(accepted)?;
        }
        return Ok(Exit::Done);
    }
    follow(node, id, args.timeout).await
}

/// The lifetime that a message asks for, and the one that its envelope states.
#[derive(Serialize)]
pub(super) struct Lifetime {
    wanted_life_secs: u64,
    /// That of the shortest class which leaves the wanted one. `None` if there is none, which the node
    /// has refused.
    stated_life_secs: Option<u64>,
}

impl Lifetime {
    fn of(wanted: Duration) -> Self {
        let classes = Life::at_least(wanted).classes().unwrap_or_default();
        Self {
            wanted_life_secs: wanted.as_secs(),
            stated_life_secs: classes.first().map(|class| class.ttl().0.into()),
        }
    }

    /// What users read.
    pub(super) fn line(&self) -> Option<String> {
        Some(format!(
            "lifetime: the envelope states {}, the shortest that leaves the wanted {}",
            short_time(self.stated_life_secs?),
            short_time(self.wanted_life_secs)
        ))
    }
}

/// A time in the largest units, as options have it.
fn short_time(secs: u64) -> String {
    let parts = [(secs / 3_600, "h"), (secs / 60 % 60, "m"), (secs % 60, "s")];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    parts
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect()
}

/// Shows stages until one is final.
async fn follow(
    node: &mut RemoteNode,
    id: MessageId,
    limit: Option<Duration>,
) -> Result<Exit, Failure> {
    let mut progress = SendProgress::start(node.printer, id);
    let mut outcome = SendOutcome::new(id);
    let mut notices = NoticeWait::new(limit);
    let exit = loop {
        let Some(notice) = notices.next(node).await? else {
            break Exit::Pending;
        };
        let Some(stage) = stage_of(node, id, notice).await? else {
            continue;
        };
        progress.show(&stage);
        outcome.note(&stage);
        match stage {
            Stage::Delivered => break Exit::Done,
            Stage::HandedOver { .. } => break Exit::Pending,
            Stage::Failed { .. } => break Exit::Expired,
            _ => {}
        }
    };
    progress.end();
    if node.printer.json {
        node.printer.value(&outcome.ended(exit))?;
    } else if exit == Exit::Pending && outcome.handed_to.is_none() {
        node.printer.line(format_args!(
            "message {} has not come back yet; the node continues, see `whisht outbox`",
            id.0
        ))?;
    }
    Ok(exit)
}

/// The result of a message under `--json`, from the last report of each stage that it reached.
#[derive(Serialize)]
struct SendOutcome {
    id: MessageId,
    delivered: bool,
    exit: u8,
    attempts: Option<u32>,
    envelope: Option<String>,
    lanes: Option<Vec<usize>>,
    peers: Option<usize>,
    handed_to: Option<usize>,
    first_gossip: Option<bool>,
    reason: Option<String>,
}

impl SendOutcome {
    const fn new(id: MessageId) -> Self {
        Self {
            id,
            delivered: false,
            exit: Exit::Pending.code(),
            attempts: None,
            envelope: None,
            lanes: None,
            peers: None,
            handed_to: None,
            first_gossip: None,
            reason: None,
        }
    }

    fn note(&mut self, stage: &Stage) {
        match stage {
            Stage::Sealing { attempt, .. } => self.attempts = Some(*attempt),
            Stage::Sealed { envelope, .. } => self.envelope = Some(envelope.clone()),
            Stage::Planned { lanes, .. } => self.lanes = Some(lanes.clone()),
            Stage::Seen {
                peers,
                first_gossip,
            } => {
                self.peers = Some(*peers);
                self.first_gossip = Some(*first_gossip);
            }
            Stage::HandedOver { peers } => self.handed_to = Some(*peers),
            Stage::Failed { reason } => self.reason = Some(reason.clone()),
            Stage::Searching { .. }
            | Stage::Waiting { .. }
            | Stage::Blocked { .. }
            | Stage::Dispatched { .. }
            | Stage::Departing { .. }
            | Stage::SeenShards { .. }
            | Stage::Retrying { .. }
            | Stage::Delivered => {}
        }
    }

    fn ended(self, exit: Exit) -> Self {
        Self {
            delivered: exit == Exit::Done,
            exit: exit.code(),
            ..self
        }
    }
}

/// The stage of our message that a notice contains. After lost events, the outbox has it.
async fn stage_of(
    node: &mut RemoteNode,
    id: MessageId,
    notice: EventNotice,
) -> Result<Option<Stage>, Failure> {
    match notice {
        EventNotice::Event(Event::Outgoing(own, stage)) => Ok((own == id).then_some(stage)),
        EventNotice::Event(_) => Ok(None),
        EventNotice::Lost(_) => {
            let outbox: Vec<OutgoingView> = node.call("whisht_outbox", json!([])).await?;
            let mut messages = outbox.into_iter();
            let own = messages.find(|message| message.id == id);
            Ok(own.map(|message| message.stage))
        }
    }
}

/// Who a message goes to.
enum MessageRecipient {
    /// A key, or the name of a shared identity, as the node reads it.
    Whisper(String),
    /// A contact.
    Contact,
}

/// Finds the recipient of this name: the name of an own key pair stands for its public key.
async fn find_recipient(node: &mut RemoteNode, to: &str) -> Result<MessageRecipient, Failure> {
    if to.to_lowercase().starts_with("shh1") || to.to_lowercase().starts_with("shh:") {
        return Err(Failure::usage(
            "this is an address; name its owner with `whisht contact add shh1... --as NAME`, and send to \
             that name",
        ));
    }
    // No name begins with a digit.
    if to.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(MessageRecipient::Whisper(to.to_owned()));
    }
    let known: Vec<IdentityView> = node.call("whisht_identities", json!([])).await?;
    let own = known.into_iter().find(|identity| identity.name == to);
    let contacts: Result<Vec<ContactView>, Failure> = node.call("whisht_contacts", json!([])).await;
    let contacts = match contacts {
        // Without the key of the state, the identities are the recipients that are known.
        Err(failure) if failure.exit() == Exit::Locked && own.is_some() => Vec::new(),
        contacts => contacts?,
    };
    let is_contact = contacts.iter().any(|contact| contact.name == to);
    match (own, is_contact) {
        (Some(_), true) => Err(Failure::usage(format_args!(
            "`{to}` is the name of an identity and of a contact; write to the contact with `whisht reply \
             {to}`, and to the identity by its key"
        ))),
        (None, true) => Ok(MessageRecipient::Contact),
        (own, false) => {
            let key = own.and_then(|identity| identity.public_key);
            Ok(MessageRecipient::Whisper(
                key.unwrap_or_else(|| to.to_owned()),
            ))
        }
    }
}

/// Hands a file over to a contact.
async fn hand_over(node: &mut RemoteNode, args: Args) -> Result<Exit, Failure> {
    if let MessageRecipient::Whisper(_) = find_recipient(node, &args.to).await? {
        return Err(Failure::usage(format_args!(
            "`{}` is not a contact, and files are handed over to contacts; name one with `whisht contact add`",
            args.to
        )));
    }
    let options = args.message_options();
    attach::run(node, &args.to, &args.attachment, &options).await
}

/// Sends to a contact what the options of other recipients permit too.
async fn to_contact(node: &mut RemoteNode, args: Args, body: &[u8]) -> Result<Exit, Failure> {
    let refused = [
        (args.topic.is_some(), "--topic"),
        (args.sign.is_some(), "--sign"),
        (args.any_client, "--any-client"),
    ];
    if let Some((_, option)) = refused.into_iter().find(|(given, _)| *given) {
        return Err(Failure::usage(format_args!(
            "{option} is for messages of Whisper, and `{}` is a contact; leave it out",
            args.to
        )));
    }
    let text = contact::utf8(body, &args.file)?;
    let options = args.message_options();
    contact::send(node, &args.to, &text, &options).await
}

/// Reads the body of a message.
pub(super) fn body(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let fail = |error| {
        Failure::usage(format_args!(
            "cannot read the message from {}: {error}; name a readable file with -f",
            path.display()
        ))
    };
    let max = longest_payload();
    // One byte more, so that a longer body is noticed; the node checks the limit of this envelope.
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let mut body = Zeroizing::new(Vec::new());
    if path.as_os_str() == "-" {
        if std::io::stdin().is_terminal() {
            say("type the message, then end it with Ctrl-D");
        }
        std::io::stdin()
            .take(limit)
            .read_to_end(&mut body)
            .map_err(fail)?;
    } else {
        let file = std::fs::File::open(path).map_err(fail)?;
        file.take(limit).read_to_end(&mut body).map_err(fail)?;
    }
    if body.len() > max {
        return Err(Failure::usage(format_args!(
            "the message is longer than {} bytes, the most that an envelope holds; send it in parts",
            count(max)
        )));
    }
    Ok(body)
}

/// Lifetime of a message of Whisper without `--ttl`.
const DEFAULT_LIFE: Duration = Duration::from_secs(3_600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stated_life_is_the_shortest_class_that_leaves_the_wanted_life() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        for (wanted, stated) in [
            (7, "30m"),
            (10, "1h"),
            (60, "6h"),
            (300, "24h"),
            (1_440, "72h"),
        ] {
            let secs = Lifetime::of(minutes(wanted)).stated_life_secs.unwrap();
            assert_eq!(short_time(secs), stated, "{wanted} min");
        }
        assert_eq!(Lifetime::of(minutes(6_000)).stated_life_secs, None);
        assert_eq!(short_time(5_405), "1h30m5s");
    }
}
