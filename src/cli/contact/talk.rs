//! `whisht contact talk`: a talk line with a contact, for up to ten minutes.
//!
//! The cost and what is given up are shown first. What is typed leaves in the frames that leave anyway, one
//! a second; what arrives is shown as it comes, and stored nowhere.

use std::io::{BufRead, IsTerminal, stdin};
use std::time::Duration;

use serde::de::IgnoredAny;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::decide::ask;
use crate::cli::output::{grouped, one_line, say};
use crate::cli::remote_node::RemoteNode;
use crate::cli::{Exit, Failure};
use crate::node::{Event, MessageDirection, TALK_BYTES_PER_MINUTE, TalkEvent, TalkStage, TalkView};
use crate::rpc::EventNotice;
use crate::transfer::talk::{FRAME_INTERVAL, MAX_LINE_LEN};

/// Options of `whisht contact talk`.
#[derive(Debug, clap::Args)]
pub(super) struct TalkArgs {
    /// Name of the contact
    name: String,
    /// Offer or accept the line without asking [default: ask]
    #[arg(long)]
    yes: bool,
    /// End the line, withdraw the offer, or decline the one of the contact
    #[arg(long, conflicts_with_all = ["yes", "level"])]
    end: bool,
    /// Privacy level; only `normal` has talk lines [default: that of the node]
    #[arg(long, value_name = "LEVEL")]
    level: Option<String>,
}

/// Offers a line, or accepts the one that the contact offers, and talks until it ends.
///
/// # Errors
///
/// [`Failure`] if the node refuses, or does not answer.
pub(super) async fn run(node: &mut RemoteNode, args: TalkArgs) -> Result<Exit, Failure> {
    if args.end {
        let _: IgnoredAny = node.call("whisht_talkEnd", json!([args.name])).await?;
        if node.printer.json {
            node.printer.value(&json!({"ended": args.name}))?;
        } else {
            node.printer.line("the line, or its offer, is ended")?;
        }
        return Ok(Exit::Done);
    }
    say(price());
    if !args.yes && ask("begin? type yes: ", "--yes")? != "yes" {
        return Err(Failure::new(Exit::Refused, "nothing was sent"));
    }
    // Before the line is offered, so that no stage is missed.
    node.client.subscribe().await?;
    let params = json!([{"to": args.name, "level": args.level}]);
    let view: TalkView = node.call("whisht_talk", params).await?;
    show_stage(node, &view)?;
    talk(node, &args.name, view).await
}

/// What a line costs, and what it gives up.
fn price() -> String {
    format!(
        "a talk line lasts up to ten minutes and sends {} bytes a minute in each direction, the same whether \
         you type or not. It protects less than messages do: an observer of both ends recognises the line \
         at once, your guard and an observer of your connection see that you keep a circuit, and for how \
         long. It exists only at level `normal`. Nothing that is said is stored by whisht",
        grouped(TALK_BYTES_PER_MINUTE)
    )
}

/// The line that tells of an offer of a contact; `None` for any other stage.
pub(in crate::cli) fn offer_line(view: &TalkView) -> Option<String> {
    let is_offer = view.direction == MessageDirection::In && view.stage == TalkStage::Offered;
    let name = one_line(&view.contact);
    is_offer.then(|| {
        format!(
            "{name} offers a talk line; `whisht contact talk {name}` accepts it, and with --end declines it"
        )
    })
}

/// Lets both users talk until the line ends.
async fn talk(node: &mut RemoteNode, name: &str, view: TalkView) -> Result<Exit, Failure> {
    let id = view.conversation.clone();
    let mut typed = TypedLines::start();
    let mut shown = ShownTalk::new(view);
    let mut is_leaving = false;
    loop {
        let next = tokio::select! {
            notice = node.client.next_notice() => Heard::Notice(notice?),
            line = typed.next(), if shown.is_open() && !is_leaving => Heard::Typed(line),
            _ = tokio::signal::ctrl_c() => Heard::Typed(None),
        };
        let view = match next {
            Heard::Typed(Some(line)) => {
                let params = json!([{"to": id, "text": line}]);
                let _: IgnoredAny = node.call("whisht_talkSay", params).await?;
                continue;
            }
            // A second Ctrl-C does not wait for the end.
            Heard::Typed(None) if is_leaving => return Ok(Exit::Done),
            Heard::Typed(None) => {
                is_leaving = true;
                let _: IgnoredAny = node.call("whisht_talkEnd", json!([id])).await?;
                continue;
            }
            Heard::Notice(EventNotice::Event(Event::Talk(event))) => match *event {
                TalkEvent::Stage(view) if view.conversation == id => view,
                TalkEvent::Line {
                    conversation, text, ..
                } if conversation == id => {
                    show_line(node, name, &text)?;
                    continue;
                }
                _ => continue,
            },
            Heard::Notice(EventNotice::Lost(count)) => {
                say(format_args!(
                    "{count} reports of the node were lost, perhaps with lines of the other side"
                ));
                let talks = node.call("whisht_talks", json!([])).await?;
                shown.after_loss(talks)
            }
            Heard::Notice(_) => continue,
        };
        if let Some(exit) = shown.on_stage(node, view)? {
            return Ok(exit);
        }
    }
}

/// A line as it was last shown.
struct ShownTalk {
    view: TalkView,
    has_opened: bool,
}

impl ShownTalk {
    fn new(view: TalkView) -> Self {
        let has_opened = view.stage == TalkStage::Open;
        Self { view, has_opened }
    }

    fn is_open(&self) -> bool {
        self.view.stage == TalkStage::Open
    }

    /// Shows a stage, unless it is the one that was shown last. Returns the exit code once the line has ended.
    fn on_stage(&mut self, node: &RemoteNode, view: TalkView) -> Result<Option<Exit>, Failure> {
        if view.stage == self.view.stage {
            return Ok(None);
        }
        show_stage(node, &view)?;
        self.view = view;
        self.has_opened |= self.is_open();
        let exit = if self.has_opened {
            Exit::Done
        } else {
            Exit::Expired
        };
        Ok(matches!(self.view.stage, TalkStage::Ended { .. }).then_some(exit))
    }

    /// The line after reports were lost, from the list of all lines. A line that is not in the list has ended; a
    /// line that was open is not opened again, so another stage is that of a later offer.
    fn after_loss(&self, talks: Vec<TalkView>) -> TalkView {
        let mut talks = talks.into_iter();
        let listed = talks.find(|talk| {
            let is_same = talk.conversation == self.view.conversation;
            is_same && (!self.has_opened || talk.stage == TalkStage::Open)
        });
        listed.unwrap_or_else(|| TalkView {
            stage: TalkStage::Ended {
                reason: "the report of its end was lost".to_owned(),
            },
            ..self.view.clone()
        })
    }
}

/// What happened next.
enum Heard {
    Notice(EventNotice),
    /// A line, or the end of the input.
    Typed(Option<String>),
}

/// Lines of standard input, one for each frame.
struct TypedLines {
    lines: mpsc::Receiver<String>,
    /// When the next line may leave: the node sends one a second.
    ready: Instant,
}

impl TypedLines {
    /// Reads in a thread of its own, which ends with the process: reading a terminal cannot be stopped.
    fn start() -> Self {
        let (sender, lines) = mpsc::channel(1);
        std::thread::spawn(move || {
            for line in stdin().lock().lines() {
                let Ok(line) = line else {
                    return;
                };
                for text in frames_of(&one_line(&line)) {
                    if sender.blocking_send(text).is_err() {
                        return;
                    }
                }
            }
        });
        Self {
            lines,
            ready: Instant::now(),
        }
    }

    async fn next(&mut self) -> Option<String> {
        sleep_until(self.ready).await;
        let line = self.lines.recv().await;
        self.ready = Instant::now() + PACE;
        line
    }
}

/// A text in the lengths that fit into frames, cut between characters.
fn frames_of(text: &str) -> Vec<String> {
    let mut frames = Vec::new();
    let mut frame = String::new();
    for character in text.chars() {
        if frame.len() + character.len_utf8() > MAX_LINE_LEN {
            frames.push(core::mem::take(&mut frame));
        }
        frame.push(character);
    }
    if !frame.is_empty() {
        frames.push(frame);
    }
    frames
}

fn show_stage(node: &RemoteNode, view: &TalkView) -> Result<(), Failure> {
    if node.printer.json {
        return Ok(node.printer.value(&json!({"talk": view}))?);
    }
    let name = one_line(&view.contact);
    let line = match &view.stage {
        TalkStage::Offered => {
            format!("the line is offered; waiting for {name} (Ctrl-C withdraws it)")
        }
        TalkStage::Meeting { attempt } => {
            format!("accepted; attempt {attempt}: both ends meet within two minutes")
        }
        TalkStage::Open if stdin().is_terminal() => {
            format!("the line with {name} is open: type, and Ctrl-D ends it")
        }
        TalkStage::Open => format!("the line with {name} is open"),
        TalkStage::Ended { reason } => format!("the line has ended: {}", one_line(reason)),
    };
    Ok(node.printer.line(line)?)
}

fn show_line(node: &RemoteNode, name: &str, text: &str) -> Result<(), Failure> {
    if node.printer.json {
        return Ok(node.printer.value(&json!({"line": text}))?);
    }
    let line = format!("{}: {}", one_line(name), one_line(text));
    Ok(node.printer.line(line)?)
}

/// Time between two lines: above the interval of frames, so that none waits in the node.
const PACE: Duration = Duration::from_millis(1_050);
const _: () = assert!(PACE.as_millis() > FRAME_INTERVAL.as_millis());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_between_characters_and_an_empty_one_is_not_sent() {
        let text = "ä".repeat(1_000);
        let frames = frames_of(&text);
        assert_eq!(frames.len(), 3);
        assert!(frames.iter().all(|frame| frame.len() <= MAX_LINE_LEN));
        assert_eq!(frames.concat(), text);
        assert!(frames_of("").is_empty());
    }

    #[test]
    fn line_whose_end_was_not_reported_has_ended() {
        let view = |stage| TalkView {
            contact: "desk".to_owned(),
            conversation: "ab".to_owned(),
            direction: MessageDirection::Out,
            stage,
            bytes_per_minute: 1,
            seconds: 1,
        };
        let is_ended = |view: TalkView| matches!(view.stage, TalkStage::Ended { .. });
        let offered = ShownTalk::new(view(TalkStage::Offered));
        assert_eq!(
            offered.after_loss(vec![view(TalkStage::Open)]).stage,
            TalkStage::Open
        );
        assert!(is_ended(offered.after_loss(Vec::new())));
        let open = ShownTalk::new(view(TalkStage::Open));
        assert_eq!(
            open.after_loss(vec![view(TalkStage::Open)]).stage,
            TalkStage::Open
        );
        assert!(is_ended(open.after_loss(vec![view(TalkStage::Offered)])));
    }

    #[test]
    fn price_names_bytes_time_and_what_is_given_up() {
        let price = price();
        for word in [
            "58,560",
            "ten minutes",
            "observer of both ends",
            "guard",
            "`normal`",
        ] {
            assert!(price.contains(word), "{word}: {price}");
        }
    }
}
