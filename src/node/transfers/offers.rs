//! Offers and answers that arrive in conversations.
//!
//! An offer is listed and starts nothing. An answer moves a file of this node on. Both are authentic, and
//! their author may be hostile: what exceeds a limit, repeats an id or belongs to another conversation is
//! dropped, and the row of the part is erased either way.

use circuits::ids::RelayId;
use circuits::time::Now;

use super::arrived::ArrivedPart;
use super::live::LiveAttempt;
use super::messages::FileMessage;
use super::record::{FileRecord, FileStep};
use super::views::FileDirection;
use super::{MAX_FILES, MAX_LIVE_PER_CONTACT, MAX_PROPOSALS, TransferContext, Transfers, limits};
use crate::contact::conversation::{ConversationId, Part};
use crate::node::action::{Action, TransferAction};
use crate::node::directory::MeetingChoice;
use crate::node::effects::{Counter, Effects};
use crate::node::meetings::pick_places;
use crate::sealed_file::{FileKey, StoredFileId};
use crate::state::StateChange;
use crate::transfer::FileId;
use crate::transfer::answer::{FileAnswer, FileVerdict};
use crate::transfer::offer::FileOffer;
use crate::transfer::schedule::AttemptSchedule;

impl Transfers {
    /// A part arrived, and is durable together with its message.
    pub(in crate::node) fn on_part(
        &mut self,
        fx: &mut Effects,
        now: Now,
        arrived: &ArrivedPart,
        context: TransferContext<'_>,
    ) {
        let conversation = arrived.conversation();
        let mut changes = vec![arrived.delete()];
        let number = match arrived.part() {
            Part::FileOffer(bytes) => match FileOffer::decode(bytes) {
                Ok(offer) => self.on_offer(fx, now, conversation, offer, &mut changes),
                Err(_) => malformed(fx),
            },
            Part::FileAnswer(bytes) => match FileAnswer::decode(bytes) {
                Ok(answer) => {
                    self.on_answer(fx, now, (conversation, answer), &mut changes, context)
                }
                Err(_) => malformed(fx),
            },
            _ => None,
        };
        if !changes.is_empty() {
            fx.store_state(changes);
        }
        if let Some(number) = number {
            self.notify(fx, now, number, context);
            self.schedule(fx, now);
            fx.expedite(crate::node::timers::TimerId::Transfers, now.mono);
        }
    }

    fn on_offer(
        &mut self,
        fx: &mut Effects,
        now: Now,
        conversation: ConversationId,
        offer: FileOffer,
        changes: &mut Vec<StateChange>,
    ) -> Option<u64> {
        if let Some((number, file)) = self.by_id(offer.id) {
            let is_same = file.direction == FileDirection::In
                && file.conversation == Some(conversation)
                && file.size == offer.size
                && file.root == Some(offer.root)
                && file.secret.expose() == offer.secret.expose();
            return is_same
                .then(|| self.on_repeated_offer(number, offer, changes))
                .flatten();
        }
        let open = self.files.values().filter(|file| {
            file.direction == FileDirection::In
                && file.conversation == Some(conversation)
                && !file.step.is_final()
        });
        let has_room = open.count() < MAX_LIVE_PER_CONTACT && self.files.len() < MAX_FILES;
        let admitted = has_room.then(|| self.offers.admit(now.unix, conversation));
        let Some(counted) = admitted.flatten() else {
            fx.count(Counter::OffersDropped);
            return None;
        };
        changes.extend(counted);
        let rng = fx.key_rng();
        let place = (StoredFileId::draw(rng), FileKey::draw(rng));
        let until = now.unix.after(limits::RETENTION_SECS);
        let file = FileRecord::offered(conversation, offer, place, until);
        let (number, stored) = self.add(file);
        changes.extend(stored);
        Some(number)
    }

    /// A file is offered again, with other relays.
    fn on_repeated_offer(
        &mut self,
        number: u64,
        offer: FileOffer,
        changes: &mut Vec<StateChange>,
    ) -> Option<u64> {
        let file = self.files.get_mut(&number)?;
        let waits = matches!(
            file.step,
            FileStep::Offered | FileStep::Proposed | FileStep::Paused(_)
        );
        if !waits {
            return None;
        }
        file.relays = offer.relays;
        file.is_in_vain = false;
        file.step = FileStep::Offered;
        changes.push(file.put(number));
        Some(number)
    }

    fn on_answer(
        &mut self,
        fx: &mut Effects,
        now: Now,
        (conversation, answer): (ConversationId, FileAnswer),
        changes: &mut Vec<StateChange>,
        context: TransferContext<'_>,
    ) -> Option<u64> {
        let (number, file) = self.by_id(answer.id)?;
        let is_expected = match (file.direction, &answer.verdict) {
            (FileDirection::Out, _) => !file.step.is_final(),
            // The sender agrees to the relays that this node has named.
            (FileDirection::In, FileVerdict::Accepted(_)) => file.step == FileStep::Proposed,
            (FileDirection::In, _) => false,
        };
        if !is_expected || file.conversation != Some(conversation) {
            return None;
        }
        match answer.verdict {
            FileVerdict::Accepted(schedule) => self.on_accepted(now, number, schedule)?,
            FileVerdict::OtherRelays(relays) => {
                self.on_other_relays(fx, now, number, relays, changes, context)?;
            }
            FileVerdict::Declined => {
                self.files.get_mut(&number)?.step = FileStep::Declined;
                self.end_attempt(fx, now.mono, number, context);
                self.erase_content(fx, number);
            }
            FileVerdict::Received => {
                self.files.get_mut(&number)?.step = FileStep::Complete;
                self.end_attempt(fx, now.mono, number, context);
                self.erase_content(fx, number);
            }
        }
        let file = self.files.get_mut(&number)?;
        file.until = now.unix.after(limits::RETENTION_SECS);
        changes.push(file.put(number));
        Some(number)
    }

    /// The other end accepts a file of this node, and names other relays. This node agrees by itself: to set
    /// the start tells no more than the attempts that follow an answer. `None` if nothing is stored now. A further
    /// list while the ends exchange chunks is an old one that comes late.
    fn on_other_relays(
        &mut self,
        fx: &mut Effects,
        now: Now,
        number: u64,
        relays: Vec<RelayId>,
        changes: &mut Vec<StateChange>,
        context: TransferContext<'_>,
    ) -> Option<()> {
        let has_met =
            self.met.contains(&number) || self.live.get(&number).is_some_and(LiveAttempt::has_met);
        let file = self.files.get_mut(&number)?;
        let is_repeated = file.proposals > 0 && file.relays == relays;
        let is_running = has_met && matches!(file.step, FileStep::Accepted { .. });
        if !is_repeated && (is_running || file.proposals >= MAX_PROPOSALS) {
            return None;
        }
        let (directory, peers) = (context.others.directory, context.others.peers);
        let allowed = directory.allowed_meeting_relays(now, &relays, peers, MeetingChoice::Last);
        let Some(places) = pick_places(fx, &allowed) else {
            file.step = FileStep::Failed(NO_COMMON_RELAY.to_owned());
            return Some(());
        };
        let schedule = AttemptSchedule::answered_at(now.unix, places);
        // The row of the part is erased in the record of the message: a crash repeats both.
        let message =
            FileMessage::agreement(number, file, (schedule, relays), core::mem::take(changes));
        fx.request(Action::Transfer(TransferAction::Write(Box::new(message))));
        None
    }

    /// An end accepts: that which receives a file, or its sender the relays of the other one. `None` if the
    /// answer is too old or not honest.
    fn on_accepted(&mut self, now: Now, number: u64, schedule: AttemptSchedule) -> Option<()> {
        let file = self.files.get_mut(&number)?;
        if schedule.is_too_far_ahead(now.unix) || !schedule.fits(file.relays.len()) {
            return None;
        }
        let last = match &file.step {
            // An older answer that comes late changes nothing.
            FileStep::Accepted { schedule: held, .. } if held.start() >= schedule.start() => {
                return None;
            }
            FileStep::Accepted { last, .. } => *last,
            _ => None,
        };
        file.step = if schedule.end() <= now.unix {
            let too_late = match file.direction {
                FileDirection::Out => TOO_LATE,
                FileDirection::In => AGREED_TOO_LATE,
            };
            FileStep::Paused(too_late.to_owned())
        } else {
            self.met.remove(&number);
            FileStep::Accepted { schedule, last }
        };
        file.is_in_vain = false;
        Some(())
    }

    fn by_id(&self, id: FileId) -> Option<(u64, &FileRecord)> {
        let mut files = self.files.iter();
        let (number, file) = files.find(|(_, file)| file.id == id)?;
        Some((*number, file))
    }
}

fn malformed(fx: &mut Effects) -> Option<u64> {
    fx.count(Counter::Malformed);
    None
}

const NO_COMMON_RELAY: &str = "no relay that the other side names can be used by this node";
const TOO_LATE: &str =
    "the answer of the other side came after its time; the other side has to accept again";
const AGREED_TOO_LATE: &str = "the answer of the other side came after its time";
