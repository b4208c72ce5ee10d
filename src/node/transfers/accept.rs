//! The decision about an offered file: what accepts it, what declines it, and which relays an answer names.
//!
//! An answer names two relays of the list, both of which this node can use now, so that no window of the schedule
//! is lost. If it cannot use two, or if all windows of an earlier answer passed in vain, it proposes relays of its
//! own, a few times for each file.

use circuits::level::Level;
use circuits::time::Now;

use super::disk::DiskPurpose;
use super::messages::{FileMessage, FileMessageKind};
use super::record::{FileRecord, FileStep};
use super::views::FileDirection;
use super::{MAX_PROPOSALS, TransferContext, Transfers, limits};
use crate::node::action::{Action, TransferAction};
use crate::node::circuits::level_of_decline;
use crate::node::command::Refusal;
use crate::node::directory::MeetingChoice;
use crate::node::effects::Effects;
use crate::node::file_storage::FileRequest;
use crate::node::input::CommandId;
use crate::node::meetings::{pick_places, pick_relays};
use crate::transfer::schedule::AttemptSchedule;

impl Transfers {
    /// Accepts a file, if there is room for it.
    pub(super) fn accept(
        &mut self,
        fx: &mut Effects,
        command: CommandId,
        (number, level): (u64, Option<Level>),
        context: TransferContext<'_>,
    ) -> Result<(), Refusal> {
        let file = self.file(number)?;
        let may_accept = matches!(
            file.step,
            FileStep::Offered
                | FileStep::Paused(_)
                | FileStep::Proposed
                | FileStep::Accepted { .. }
        );
        if file.direction != FileDirection::In || !may_accept || self.live.contains_key(&number) {
            return Err(Refusal::usage(
                format!("file {number} waits for no answer"),
                "`whisht file list` shows the files that are offered",
            ));
        }
        if file.size.bytes() > self.max_size {
            return Err(Refusal::policy(
                format!(
                    "file {number} has {} bytes, and this node accepts {}",
                    file.size.bytes(),
                    self.max_size
                ),
                "raise `contact.max-file-mb`, or decline the file",
            ));
        }
        let default = context.send.default_level();
        let asked_by = format!("whisht file accept {number}");
        limits::check_level(level, default, file.size, &asked_by)?;
        let live = self.files.iter().filter(|(other, file)| {
            **other != number && file.direction == FileDirection::In && file.step.is_accepted()
        });
        let of_contact = live.filter(|(_, other)| other.conversation == file.conversation);
        let name = self.contact_name(file, context);
        limits::check_live(of_contact.count(), &name)?;
        let needed = limits::missing_bytes(file);
        let purpose = DiskPurpose::Accept(command, number);
        self.disk.ask(fx, FileRequest::CheckRoom(needed), purpose);
        Ok(())
    }

    /// There is room for a file that is accepted: answers the offer.
    pub(super) fn on_accept_room(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        number: u64,
        context: TransferContext<'_>,
    ) -> Result<(), Refusal> {
        let file = self.file(number)?;
        let kind = match file.step {
            // The proposal, or the answer to it, may be lost: the sender has to know the list first.
            FileStep::Proposed => FileMessageKind::Propose(file.relays.clone()),
            _ => answer_to(fx, now, file, context)?,
        };
        let message = FileMessage::answer(command, number, file, kind);
        fx.request(Action::Transfer(TransferAction::Write(Box::new(message))));
        Ok(())
    }

    /// Declines a file that a contact offered.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if the file waits for no answer.
    pub(super) fn decline(
        &mut self,
        fx: &mut Effects,
        command: CommandId,
        number: u64,
        context: TransferContext<'_>,
    ) -> Result<(), Refusal> {
        let file = self.file(number)?;
        if file.direction != FileDirection::In || file.step.is_final() {
            return Err(Refusal::usage(
                format!("file {number} waits for no answer"),
                "`whisht file list` shows the files that are offered",
            ));
        }
        let message = FileMessage::answer(command, number, file, FileMessageKind::Decline);
        // Nothing follows through circuits, so that the user's level holds.
        let message = message.at(level_of_decline(context.send.default_level()));
        fx.request(Action::Transfer(TransferAction::Write(Box::new(message))));
        Ok(())
    }
}

/// What an answer that accepts a file says about relays.
fn answer_to(
    fx: &mut Effects,
    now: Now,
    file: &FileRecord,
    context: TransferContext<'_>,
) -> Result<FileMessageKind, Refusal> {
    let reach = (context.others.directory, context.others.peers);
    let may_propose = file.proposals < MAX_PROPOSALS;
    if file.is_in_vain && may_propose {
        let relays = pick_relays(fx, now, &file.relays, reach)?;
        return Ok(FileMessageKind::Propose(relays));
    }
    let (directory, peers) = reach;
    let choice = if may_propose {
        MeetingChoice::First
    } else {
        MeetingChoice::Last
    };
    let allowed = directory.allowed_meeting_relays(now, &file.relays, peers, choice);
    // One relay that withholds must not hold the file up.
    let is_enough = allowed.len() >= file.relays.len().min(2);
    if may_propose && !is_enough {
        let relays = pick_relays(fx, now, &file.relays, reach)?;
        return Ok(FileMessageKind::Propose(relays));
    }
    let places = pick_places(fx, &allowed).ok_or_else(|| {
        Refusal::policy(
            format!(
                "this node can use no relay that is named for the file, and has proposed others {MAX_PROPOSALS} \
                 times"
            ),
            "decline the file, and ask for it again",
        )
    })?;
    Ok(FileMessageKind::Accept(AttemptSchedule::answered_at(
        now.unix, places,
    )))
}
