//! Messages of the hand-over: what is written into a conversation, and what follows once it is stored.
//!
//! A file changes its step in the record that stores the message. A message that is refused changes nothing.
//! A node writes one of them by itself: the sender of a file agrees to relays that the other end names, a few
//! times for each file.
//! The user asks for every other one; what a node reports by itself travels in the next message of the user.

use circuits::ids::RelayId;
use circuits::level::Level;
use circuits::time::Now;
use zeroize::Zeroizing;

use super::record::{FileRecord, FileStep, put_leaves, take_proposal};
use super::views::FileDirection;
use super::{TransferContext, Transfers, limits};
use crate::contact::conversation::{ConversationId, Part};
use crate::node::command::Refusal;
use crate::node::contacts::{ContactSend, WrittenMessage};
use crate::node::effects::Effects;
use crate::node::input::CommandId;
use crate::node::{hex, output::Output};
use crate::state::StateChange;
use crate::transfer::answer::{FileAnswer, FileVerdict};
use crate::transfer::offer::FileOffer;
use crate::transfer::schedule::AttemptSchedule;

/// A message about a file that is to be written.
pub(in crate::node) struct FileMessage {
    /// The command that asked for it.
    command: Option<CommandId>,
    number: u64,
    kind: FileMessageKind,
    send: ContactSend,
    part: Part,
    /// What its record changes besides, or the next record if the message is refused.
    changes: Vec<StateChange>,
}

/// What a message says about a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum FileMessageKind {
    /// It is offered, with these relays.
    Offer(Vec<RelayId>),
    /// It is accepted.
    Accept(AttemptSchedule),
    /// It is accepted, and other relays are proposed.
    Propose(Vec<RelayId>),
    /// The sender agrees to relays that the other end proposes.
    Agree(AttemptSchedule, Vec<RelayId>),
    /// It is declined.
    Decline,
}

impl FileMessage {
    /// The offer of a file.
    pub(super) fn offer(
        command: CommandId,
        number: u64,
        file: &FileRecord,
        offer: &FileOffer,
    ) -> Self {
        // A file that was offered before goes to the same conversation.
        let to = file.conversation.map(|id| hex(&id.0));
        Self {
            command: Some(command),
            number,
            kind: FileMessageKind::Offer(offer.relays.clone()),
            send: message_to(to.unwrap_or_else(|| file.to.clone())),
            part: Part::FileOffer(offer.encode().to_vec()),
            changes: Vec::new(),
        }
    }

    /// The answer to an offer.
    pub(super) fn answer(
        command: CommandId,
        number: u64,
        file: &FileRecord,
        kind: FileMessageKind,
    ) -> Self {
        Self::about(Some(command), number, file, kind, Vec::new())
    }

    /// The agreement to relays that the other end proposes. Its record has these changes too.
    pub(super) fn agreement(
        number: u64,
        file: &FileRecord,
        (schedule, relays): (AttemptSchedule, Vec<RelayId>),
        changes: Vec<StateChange>,
    ) -> Self {
        let kind = FileMessageKind::Agree(schedule, relays);
        Self::about(None, number, file, kind, changes)
    }

    fn about(
        command: Option<CommandId>,
        number: u64,
        file: &FileRecord,
        kind: FileMessageKind,
        changes: Vec<StateChange>,
    ) -> Self {
        let verdict = match &kind {
            FileMessageKind::Accept(schedule) | FileMessageKind::Agree(schedule, _) => {
                FileVerdict::Accepted(*schedule)
            }
            FileMessageKind::Propose(relays) => FileVerdict::OtherRelays(relays.clone()),
            FileMessageKind::Offer(_) | FileMessageKind::Decline => FileVerdict::Declined,
        };
        let answer = FileAnswer {
            id: file.id,
            verdict,
        };
        let to = file.conversation;
        Self {
            command,
            number,
            kind,
            send: message_to(to.map(|id| hex(&id.0)).unwrap_or_default()),
            part: Part::FileAnswer(answer.encode()),
            changes,
        }
    }

    /// The same message at another level than `normal`.
    pub(super) const fn at(mut self, level: Level) -> Self {
        self.send.level = Some(level);
        self
    }

    /// What is written, and to whom.
    pub(in crate::node) fn content(&self) -> (&ContactSend, Part) {
        (&self.send, self.part.clone())
    }
}

fn message_to(to: String) -> ContactSend {
    ContactSend {
        to,
        text: Zeroizing::default(),
        attachment: None,
        level: Some(Level::Normal),
        life: None,
    }
}

/// The step of a file after a message about it was written.
fn follow(file: &mut FileRecord, kind: &FileMessageKind) {
    match kind {
        FileMessageKind::Offer(relays) => {
            file.relays.clone_from(relays);
            file.is_in_vain = false;
            file.step = FileStep::Offered;
        }
        FileMessageKind::Accept(schedule) => {
            let last = match &file.step {
                FileStep::Accepted { last, .. } => *last,
                _ => None,
            };
            file.step = FileStep::Accepted {
                schedule: *schedule,
                last,
            };
        }
        FileMessageKind::Propose(relays) => {
            take_proposal(file, relays.clone());
            file.step = FileStep::Proposed;
        }
        FileMessageKind::Agree(schedule, relays) => {
            take_proposal(file, relays.clone());
            file.step = FileStep::Accepted {
                schedule: *schedule,
                last: None,
            };
        }
        FileMessageKind::Decline => file.step = FileStep::Declined,
    }
}

impl Transfers {
    /// A message was composed, or refused. Returns the message that now begins to travel.
    pub(in crate::node) fn on_message_written(
        &mut self,
        fx: &mut Effects,
        now: Now,
        message: FileMessage,
        written: Result<WrittenMessage, Refusal>,
        context: TransferContext<'_>,
    ) -> Option<(ConversationId, u64)> {
        let (command, number) = (message.command, message.number);
        let written = match written {
            Ok(written) => written,
            Err(refusal) => {
                match command {
                    Some(command) => fx.emit(Output::Reply(command, Err(refusal))),
                    None => self.on_agreement_refused(fx, now, message, &refusal, context),
                }
                return None;
            }
        };
        let sent = (written.conversation, written.number);
        let mut changes = written.changes;
        changes.extend(message.changes);
        let leaves = self.leaves.get(&number);
        if let Some(file) = self.files.get_mut(&number) {
            file.until = now.unix.after(limits::RETENTION_SECS);
            if matches!(message.kind, FileMessageKind::Offer(_)) {
                if file.step == FileStep::Storing {
                    changes.extend(leaves.map(|leaves| put_leaves(number, leaves)));
                }
                file.conversation = Some(written.conversation);
            }
            follow(file, &message.kind);
            self.met.remove(&number);
            changes.push(file.put(number));
        }
        if message.kind == FileMessageKind::Decline {
            self.end_attempt(fx, now.mono, number, context);
            self.erase_content(fx, number);
        }
        if let Some(command) = command {
            self.reply_file(fx, now, command, (number, changes), context);
        } else {
            fx.store_state(changes);
            self.notify(fx, now, number, context);
        }
        self.schedule(fx, now);
        Some(sent)
    }

    /// The agreement to other relays cannot be written: the file waits for its user.
    fn on_agreement_refused(
        &mut self,
        fx: &mut Effects,
        now: Now,
        message: FileMessage,
        refusal: &Refusal,
        context: TransferContext<'_>,
    ) {
        let mut changes = message.changes;
        if let Some(file) = self.files.get_mut(&message.number) {
            if let FileMessageKind::Agree(_, relays) = message.kind {
                take_proposal(file, relays);
            }
            file.step = FileStep::Paused(format!(
                "the other side names other relays, and the answer to it was refused: {}; offer the file again",
                refusal.cause
            ));
            changes.push(file.put(message.number));
        }
        fx.store_state(changes);
        self.notify(fx, now, message.number, context);
    }

    // -- reports

    /// The reports of files that arrived in a conversation, for its next message.
    pub(in crate::node) fn reports(&self, conversation: ConversationId) -> Vec<Part> {
        let unreported = self
            .files
            .values()
            .filter(|file| file.is_unreported && file.conversation == Some(conversation));
        let answers = unreported.take(MAX_REPORTS).map(|file| FileAnswer {
            id: file.id,
            verdict: FileVerdict::Received,
        });
        answers
            .map(|answer| Part::FileAnswer(answer.encode()))
            .collect()
    }

    /// A message with these reports is composed: they are not repeated.
    pub(in crate::node) fn on_reported(&mut self, fx: &mut Effects, conversation: ConversationId) {
        let mut changes = Vec::new();
        let unreported = self
            .files
            .iter_mut()
            .filter(|(_, file)| file.is_unreported && file.conversation == Some(conversation));
        for (number, file) in unreported.take(MAX_REPORTS) {
            file.is_unreported = false;
            changes.push(file.put(*number));
        }
        if !changes.is_empty() {
            fx.store_state(changes);
        }
    }

    /// How the user names the other end of a file.
    pub(super) fn contact_name(&self, file: &FileRecord, context: TransferContext<'_>) -> String {
        let contact = file
            .conversation
            .and_then(|id| context.contacts.name_of(id));
        match (contact, file.direction) {
            (Some(name), _) => name,
            (None, FileDirection::Out) => file.to.clone(),
            (None, FileDirection::In) => "the other side".to_owned(),
        }
    }
}

/// Maximum number of reports in one message.
const MAX_REPORTS: usize = 4;
