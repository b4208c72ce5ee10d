//! What a user decides about a contact: compare, accept, mute, introduce, renew, forget.

use std::io::{IsTerminal, stdin};
use std::path::PathBuf;

use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::show_view;
use crate::cli::output::{one_line, say};
use crate::cli::remote_node::RemoteNode;
use crate::cli::send::contact::{MessageOptions, deliver};
use crate::cli::{Exit, Failure};
use crate::node::{ContactView, HowKnown};

/// Options of `whisht contact verify`.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// Name of the contact
    name: String,
    /// The six words that the owner read out, in quotes [default: ask]
    #[arg(long, value_name = "WORDS")]
    words: Option<String>,
}

/// Records that words were compared.
pub(super) async fn verify(node: &mut RemoteNode, args: VerifyArgs) -> Result<Exit, Failure> {
    let contact: ContactView = node.call("whisht_contact", json!([args.name])).await?;
    let Some(known) = &contact.words else {
        return Err(Failure::usage(format_args!(
            "{} has shown no address, so there are no words to compare; ask for the address, and name it \
             with `whisht contact add`",
            one_line(&contact.name)
        )));
    };
    let heard = match args.words {
        Some(words) => words,
        None => ask(
            "let the owner read out six words, and type them: ",
            "--words",
        )?,
    };
    if !is_equal(known, &heard) {
        return Err(Failure::new(
            Exit::Refused,
            format_args!(
                "these are not the words of {}: it is another address, or a word was misheard; nothing was \
                 recorded",
                one_line(&contact.name)
            ),
        ));
    }
    let contact: ContactView = node
        .call("whisht_verifyContact", json!([args.name]))
        .await?;
    show_view(node, &contact)?;
    Ok(Exit::Done)
}

/// Whether two lists of words are equal, whatever the spaces and capital letters between them.
fn is_equal(known: &str, heard: &str) -> bool {
    let heard = heard.to_lowercase();
    let heard = heard.split(|c: char| c.is_whitespace() || c == ',' || c == '-');
    let known = known.split(|c: char| c.is_whitespace() || c == '-');
    known
        .filter(|word| !word.is_empty())
        .eq(heard.filter(|word| !word.is_empty()))
}

/// Options of `whisht contact accept`.
#[derive(Debug, clap::Args)]
pub(super) struct AcceptArgs {
    /// First digits of the request's id, as `whisht inbox` shows it, or the name of an introduced contact
    #[arg(value_name = "NAME|ID")]
    of: String,
    /// Name of the contact [default: that of the introduction]
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
}

/// Accepts a request or an introduced contact.
pub(super) async fn accept(node: &mut RemoteNode, args: AcceptArgs) -> Result<Exit, Failure> {
    let params = json!([{"of": args.of, "name": args.name}]);
    let accepted: Value = node.call("whisht_acceptContact", params).await?;
    if node.printer.json {
        node.printer.value(&accepted)?;
    } else {
        let name = args.name.as_deref().unwrap_or(&args.of);
        let name = one_line(name);
        node.printer.line(format_args!(
            "{name} is accepted; nothing was sent, and `whisht reply {name}` answers"
        ))?;
    }
    Ok(Exit::Done)
}

/// Erases a request.
pub(super) async fn decline(node: &mut RemoteNode, request: &str) -> Result<Exit, Failure> {
    let _: IgnoredAny = node.call("whisht_declineContact", json!([request])).await?;
    done(
        node,
        &json!({"declined": request}),
        "the request is erased; its sender is not told",
    )
}

/// Options of `whisht contact mute`.
#[derive(Debug, clap::Args)]
pub(super) struct MuteArgs {
    /// Name of the contact, or first digits of the conversation's id
    #[arg(value_name = "NAME|ID")]
    of: String,
    /// Show the messages again
    #[arg(long)]
    off: bool,
}

/// Mutes a conversation, or ends that.
pub(super) async fn mute(node: &mut RemoteNode, args: MuteArgs) -> Result<Exit, Failure> {
    let (method, text) = if args.off {
        (
            "whisht_unmuteContact",
            "messages are shown again as they arrive",
        )
    } else {
        (
            "whisht_muteContact",
            "messages are stored, and not shown as they arrive",
        )
    };
    let _: IgnoredAny = node.call(method, json!([args.of])).await?;
    done(node, &json!({"of": args.of, "muted": !args.off}), text)
}

/// Options of `whisht contact introduce`.
#[derive(Debug, clap::Args)]
pub(super) struct IntroduceArgs {
    /// Name of the contact that is introduced
    about: String,
    /// Name of the contact that is told
    #[arg(long, value_name = "NAME")]
    to: String,
    /// How you know the person: unsaid, voice (you compared words by voice) or in-person
    #[arg(long, value_parser = how, default_value = "unsaid")]
    how: HowKnown,
    /// File with a note of up to 512 bytes; `-` reads standard input [default: no note]
    #[arg(long, value_name = "FILE")]
    note_file: Option<PathBuf>,
    #[command(flatten)]
    options: MessageOptions,
}

fn how(text: &str) -> Result<HowKnown, String> {
    match text {
        "unsaid" => Ok(HowKnown::Unsaid),
        "voice" => Ok(HowKnown::Voice),
        "in-person" => Ok(HowKnown::InPerson),
        _ => Err("expected unsaid, voice or in-person".to_owned()),
    }
}

/// Tells one contact of another.
pub(super) async fn introduce(node: &mut RemoteNode, args: IntroduceArgs) -> Result<Exit, Failure> {
    let note = match &args.note_file {
        Some(path) => crate::cli::send::contact::text(path)?,
        None => String::new().into(),
    };
    let mut params = args.options.params(&args.to, "");
    if let Some(fields) = params.as_object_mut() {
        fields.remove("attachment");
        fields.insert("about".to_owned(), json!(args.about));
        fields.insert("how".to_owned(), json!(args.how));
        fields.insert("note".to_owned(), json!(note.as_str()));
    }
    deliver(node, "whisht_introduce", params, &args.options).await
}

/// Options of `whisht contact renew`.
#[derive(Debug, clap::Args)]
pub(super) struct RenewContactArgs {
    /// Name of the contact
    name: String,
    /// File with the text of the first message of the new session; `-` reads standard input
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    options: MessageOptions,
}

/// Starts a new session with a contact.
pub(super) async fn renew(node: &mut RemoteNode, args: RenewContactArgs) -> Result<Exit, Failure> {
    let text = crate::cli::send::contact::text(&args.file)?;
    let params = args.options.params(&args.name, &text);
    deliver(node, "whisht_renewContact", params, &args.options).await
}

/// Options of `whisht contact forget`.
#[derive(Debug, clap::Args)]
pub(super) struct ForgetArgs {
    /// Name of the contact, or first digits of a conversation's id
    #[arg(value_name = "NAME|ID")]
    of: String,
    /// Erase without asking [default: ask]
    #[arg(long)]
    yes: bool,
}

/// Erases a contact or a conversation.
pub(super) async fn forget(node: &mut RemoteNode, args: ForgetArgs) -> Result<Exit, Failure> {
    if !args.yes {
        let question = format!(
            "erase {} and all messages of it on this machine? type yes: ",
            one_line(&args.of)
        );
        if ask(&question, "--yes")? != "yes" {
            return Err(Failure::new(Exit::Refused, "nothing was erased"));
        }
    }
    let _: IgnoredAny = node.call("whisht_forget", json!([args.of])).await?;
    done(
        node,
        &json!({"forgotten": args.of}),
        "erased from the state of this node; backups, and what flash memory keeps, are not reached",
    )
}

fn done(node: &RemoteNode, value: &Value, text: &str) -> Result<Exit, Failure> {
    if node.printer.json {
        node.printer.value(value)?;
    } else {
        node.printer.line(text)?;
    }
    Ok(Exit::Done)
}

/// A line that the user types at a terminal; `option` answers without one.
pub(super) fn ask(question: &str, option: &str) -> Result<String, Failure> {
    if !stdin().is_terminal() {
        return Err(Failure::usage(format_args!(
            "there is no terminal for the question; answer it with {option}"
        )));
    }
    say(question);
    let mut line = String::new();
    stdin().read_line(&mut line).map_err(|error| {
        Failure::new(
            Exit::Failed,
            format_args!("cannot read the answer: {error}; type it at a terminal"),
        )
    })?;
    Ok(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_compared_without_regard_to_spaces_and_capital_letters() {
        let known = "abandon ability able about above absent";
        assert!(is_equal(
            known,
            " Abandon  ability,able about above\nabsent "
        ));
        assert!(!is_equal(known, "abandon ability able about above"));
        assert!(!is_equal(known, "abandon ability able about above absorb"));
        assert!(!is_equal(known, ""));
    }
}
