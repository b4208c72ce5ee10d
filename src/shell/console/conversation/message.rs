//! Messages as the page shows them, and the small files in them.
//!
//! A file is only ever offered for saving: a browser that rendered it would run what the other side
//! wrote.

use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::super::ask::PageError;
use super::super::visit::Visit;
use super::super::words;
use crate::contact::address::ContactAddress;
use crate::contact::id::ContactId;
use crate::node::{ContactStage, ConversationMessageView, MessageDirection, MessagePartView};

/// A message.
pub(super) struct MessageRow {
    pub(super) place: u64,
    pub(super) number: u64,
    pub(super) is_own: bool,
    /// Whether it is the first unread one of the page.
    pub(super) is_first_unread: bool,
    /// The day, where another one begins.
    pub(super) day: Option<String>,
    pub(super) time: String,
    pub(super) clock: String,
    /// The begin of what was written, for a list.
    pub(super) begin: String,
    pub(super) parts: Vec<PartRow>,
    /// Stage, and how far that is from 0 to 4, if this node sends it.
    pub(super) stage: Option<(String, u8)>,
    pub(super) level: Option<&'static str>,
    /// Whether it can be stopped.
    pub(super) can_cancel: bool,
    /// Whether it can leave again.
    pub(super) can_repeat: bool,
}

/// A part of a message.
pub(super) enum PartRow {
    /// What the other side or the user wrote.
    Text(String),
    /// A small file: its name, and its size in bytes.
    File(String, usize),
    /// A statement of the program about a part.
    Note(String),
}

/// The messages of a page, with the marks between them.
pub(super) fn rows(messages: &[ConversationMessageView]) -> Vec<MessageRow> {
    let first_unread = messages.iter().find(|message| !message.read);
    let first_unread = first_unread.map(|message| message.place);
    let mut shown = String::new();
    let row = |message: &ConversationMessageView| {
        let day = words::day(message.time);
        let is_other = day != shown;
        shown.clone_from(&day);
        MessageRow {
            is_first_unread: first_unread == Some(message.place),
            day: is_other.then_some(day),
            ..MessageRow::of(message)
        }
    };
    messages.iter().map(row).collect()
}

impl MessageRow {
    fn of(view: &ConversationMessageView) -> Self {
        let is_own = view.direction == MessageDirection::Out;
        let parts = view.parts.iter().map(|shown| part(shown, is_own));
        let parts: Vec<_> = parts.collect();
        Self {
            place: view.place,
            number: view.number,
            is_own,
            is_first_unread: false,
            day: None,
            time: words::minute(view.time),
            clock: words::clock(view.time),
            begin: parts.first().map(PartRow::begin).unwrap_or_default(),
            parts,
            stage: view
                .stage
                .as_ref()
                .map(|stage| (stage.words(), step(stage))),
            level: view.level.map(|level| level.word()),
            can_cancel: view.stage.as_ref().is_some_and(|stage| !stage.is_final()),
            can_repeat: matches!(view.stage, Some(ContactStage::Unanswered { .. })),
        }
    }

    /// Whether it can be erased: what is still being sent has to be stopped first.
    pub(super) const fn can_erase(&self) -> bool {
        !self.can_cancel
    }
}

impl PartRow {
    /// Its first letters, on one line.
    fn begin(&self) -> String {
        let (Self::Text(text) | Self::File(text, _) | Self::Note(text)) = self;
        let mut letters = text.chars();
        let begin = letters.by_ref().take(BEGIN_LEN);
        let begin: String = begin.map(|c| if c == '\n' { ' ' } else { c }).collect();
        let more = if letters.next().is_some() {
            "\u{2026}"
        } else {
            ""
        };
        format!("{}{more}", words::line(&begin))
    }
}

/// How far a message is: encrypted, left, in the network, answered. 0 if it was given up.
pub(in crate::shell::console) const fn step(stage: &ContactStage) -> u8 {
    match stage {
        ContactStage::Expired | ContactStage::Cancelled => 0,
        ContactStage::Sealing { .. } | ContactStage::Unanswered { reason: Some(_) } => 1,
        ContactStage::Dispatched { .. } => 2,
        ContactStage::Seen { .. } | ContactStage::Unanswered { reason: None } => 3,
        ContactStage::Answered => 4,
    }
}

fn part(part: &MessagePartView, is_own: bool) -> PartRow {
    PartRow::Note(match part {
        MessagePartView::Text { text } => return PartRow::Text(words::text(text)),
        MessagePartView::File { name, bytes } => {
            return PartRow::File(words::line(name), bytes.len() / 2);
        }
        MessagePartView::Address { id } => format!(
            "claims the address {}; compare the words before you believe it",
            address(id)
        ),
        MessagePartView::Introduction {
            id,
            name,
            how,
            note,
        } => how.introduction(&address(id), &words::line(name), &words::line(note)),
        MessagePartView::Continuity { .. } => {
            "a new session, which continues an earlier conversation".to_owned()
        }
        MessagePartView::FileOffer { name, size } if is_own => format!(
            "offers the file {:?}, {}; it is among the files",
            words::line(name),
            words::bytes(*size)
        ),
        MessagePartView::FileOffer { name, size } => format!(
            "offers the file {:?}, {}; it is among the files, and nothing is received before you accept it",
            words::line(name),
            words::bytes(*size)
        ),
        MessagePartView::FileAnswer { verdict } => verdict.words().to_owned(),
        MessagePartView::TalkOffer => {
            "offers a talk line; `whisht contact talk` opens it on the command line".to_owned()
        }
        MessagePartView::TalkAnswer { accepted } => {
            MessagePartView::talk_answer(*accepted).to_owned()
        }
        MessagePartView::Goodbye => "closes the conversation".to_owned(),
        MessagePartView::Unknown { kind } => MessagePartView::unknown(*kind),
    })
}

fn address(id: &str) -> String {
    let id = ContactId::from_hex(id);
    id.map_or_else(String::new, |id| ContactAddress::new(id).to_string())
}

/// Serves the small file in the message at a place, for saving.
pub(super) async fn file(
    visit: Visit,
    Path((number, place)): Path<(u32, u64)>,
) -> Result<Response, PageError> {
    let of = visit.conversation(number)?;
    let before = Some(place.saturating_add(1));
    let (_, messages) = super::part_of(&visit, of, before).await?;
    let message = messages.iter().find(|message| message.place == place);
    let file = message
        .and_then(|message| {
            message.parts.iter().find_map(|part| match part {
                MessagePartView::File { name, bytes } => Some((name, hex::decode(bytes).ok()?)),
                _ => None,
            })
        })
        .ok_or(PageError::NotFound)?;
    let (name, bytes) = file;
    let disposition = format!("attachment; filename=\"{}\"", saved_name(name));
    let disposition = HeaderValue::try_from(disposition).map_err(|_| PageError::Unexpected)?;
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        ),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    Ok((headers, bytes).into_response())
}

/// A name under which a file of another machine can be saved: letters, digits, and marks that no system
/// gives a meaning.
fn saved_name(name: &str) -> String {
    let fits = |c: char| {
        if c.is_ascii_alphanumeric() || ".-_".contains(c) {
            c
        } else {
            '_'
        }
    };
    let name: String = name.chars().map(fits).take(MAX_NAME).collect();
    let name = name.trim_start_matches('.');
    if name.is_empty() { "file" } else { name }.to_owned()
}

/// Letters of a message in a list.
const BEGIN_LEN: usize = 60;
/// Maximum length of such a name.
const MAX_NAME: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::HowKnown;

    #[test]
    fn introduction_without_a_note_ends_with_the_address() {
        let introduction = MessagePartView::Introduction {
            id: "00".repeat(32),
            name: "J\u{202e}".to_owned(),
            how: HowKnown::InPerson,
            note: String::new(),
        };
        let PartRow::Note(said) = part(&introduction, false) else {
            panic!("the introduction is not a note");
        };
        assert!(
            said.starts_with("introduces J?, whom the sender met, shh1"),
            "{said}"
        );
        assert_eq!(
            said.len(),
            "introduces J?, whom the sender met, ".len() + 63
        );
    }

    #[test]
    fn name_of_a_file_contains_no_path_and_no_header() {
        assert_eq!(saved_name("../../.bashrc"), "_.._.bashrc");
        assert_eq!(saved_name("a\"\r\nSet-Cookie: x"), "a___Set-Cookie__x");
        assert_eq!(saved_name("..."), "file");
        assert_eq!(saved_name(&"x".repeat(4_000)).len(), MAX_NAME);
    }
}
