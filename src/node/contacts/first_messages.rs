//! First messages: what unknown people write to the cards of this node, and the requests that come of it.
//!
//! A first message is opened by a scan, its box by a job of its own. Its ephemeral keys become durable
//! together with its content, so that a replay is not opened again. Requests wait apart from accepted
//! conversations, in bounded memory; the one with the least work goes first. Everything that fails here
//! fails without a trace on the network.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use circuits::time::Now;
use zeroize::Zeroizing;

use super::Contacts;
use super::arrivals::ArrivedBody;
use super::letters::LetterBox;
use super::record::ConversationFacts;
use super::requests::WaitingRequests;
use crate::contact::codec::{BadState, StateReader, StateWriter};
use crate::contact::conversation::{Conversation, ConversationId};
use crate::contact::first_contact::{
    FirstBox, FirstContent, FirstMode, SeenKeys, SeenOutcome, Tau,
};
use crate::contact::generation::GenerationKeys;
use crate::contact::id::ContactId;
use crate::contact::job::{BoxOpening, ContactJob};
use crate::contact::period::KeyGeneration;
use crate::contact::plaintext::SealedBody;
use crate::contact::scan::{FirstRecipient, ScanKeys, ScanTag};
use crate::node::effects::Effects;
use crate::node::jobs::{Job, JobId, JobOwner};
use crate::scatter::SetId;
use crate::state::{StateChange, StateRow, StateTable};

/// The keys that first messages are opened with, and the first messages that are being opened.
#[derive(Default)]
pub(super) struct FirstMessages {
    recipients: Arc<ScanKeys>,
    by_tag: BTreeMap<ScanTag, OwnKeys>,
    seen: BTreeMap<OwnGeneration, SeenKeys>,
    /// Ephemeral keys of the shards of incomplete sets.
    sets: BTreeMap<(OwnGeneration, [u8; 8]), Vec<[u8; 32]>>,
    running: BTreeMap<JobId, FirstOpening>,
    waiting: VecDeque<(FirstOpening, Zeroizing<Vec<u8>>)>,
    searches: BTreeMap<JobId, ConversationId>,
    requests: WaitingRequests,
    last_tag: u64,
}

/// A generation of an own address.
pub(super) type OwnGeneration = (ContactId, KeyGeneration);

/// The keys of a generation.
#[derive(Clone)]
pub(super) struct OwnKeys {
    /// Whose keys these are.
    pub(super) of: OwnGeneration,
    recipient: Arc<FirstRecipient>,
}

/// A first message whose box is being opened.
pub(super) struct FirstOpening {
    keys: OwnKeys,
    tau: Tau,
    /// The ephemeral keys of its envelopes.
    seen: Vec<[u8; 32]>,
}

impl FirstMessages {
    /// Reads an ephemeral key that was seen in the last run.
    ///
    /// # Errors
    ///
    /// [`BadState`] if this version did not write the row.
    pub(super) fn restore(&mut self, row: &StateRow) -> Result<(), BadState> {
        let key = row.id.as_bytes().try_into().map_err(|_| BadState::Length)?;
        let mut reader = StateReader::new(&row.value, VERSION)?;
        let of = (ContactId(reader.array()?), KeyGeneration(reader.u32()?));
        reader.finish()?;
        let _new = self.seen.entry(of).or_default().note(&key);
        Ok(())
    }

    /// Replaces the keys that first messages are opened with: those of own addresses, and those of this node
    /// as a source of letters. Returns whether keys were added, to which the
    /// mempool may have first messages already.
    pub(super) fn set_keys<'a>(
        &mut self,
        keys: impl Iterator<Item = (ContactId, &'a GenerationKeys)>,
        sources: Vec<FirstRecipient>,
    ) -> bool {
        let before: BTreeMap<_, _> = core::mem::take(&mut self.by_tag)
            .into_iter()
            .map(|(tag, keys)| (keys.of, (tag, keys)))
            .collect();
        let mut has_added = false;
        let own = keys.map(|(id, keys)| ((id, keys.generation()), keys.recipient(id)));
        let sources = sources
            .into_iter()
            .map(|keys| ((*keys.id(), OF_LETTERS), keys));
        for (of, recipient) in own.chain(sources) {
            let (tag, keys) = before.get(&of).cloned().unwrap_or_else(|| {
                has_added = true;
                self.last_tag = self.last_tag.saturating_add(1);
                let recipient = Arc::new(recipient);
                (ScanTag(self.last_tag), OwnKeys { of, recipient })
            });
            self.by_tag.insert(tag, keys);
        }
        let recipients = self.by_tag.iter();
        let recipients = recipients.map(|(tag, keys)| (*tag, Arc::clone(&keys.recipient)));
        self.recipients = Arc::new(ScanKeys::new(recipients));
        has_added
    }

    /// The keys of a generation are erased: what was seen of it is not needed any more.
    pub(super) fn forget_generation(&mut self, of: OwnGeneration) -> Vec<StateChange> {
        self.sets.retain(|(own, _), _| *own != of);
        let seen = self.seen.remove(&of);
        let keys = seen.iter().flat_map(SeenKeys::iter);
        keys.map(|key| StateChange::delete(StateTable::SeenKey, *key))
            .collect()
    }

    /// The keys that envelopes are scanned with.
    pub(super) fn recipients(&self) -> Arc<ScanKeys> {
        Arc::clone(&self.recipients)
    }

    /// The keys of a tag.
    pub(super) fn of_tag(&self, tag: ScanTag) -> Option<OwnKeys> {
        self.by_tag.get(&tag).cloned()
    }

    // -- replays

    /// Notes the ephemeral key of an envelope. Returns whether it is new.
    pub(super) fn note(&mut self, of: OwnGeneration, key: &[u8; 32]) -> bool {
        let seen = self.seen.entry(of).or_default();
        // A forgotten key keeps its row until its generation ends.
        matches!(seen.note(key), SeenOutcome::New { .. })
    }

    /// Notes the ephemeral key of a shard of an incomplete set.
    pub(super) fn note_shard(&mut self, of: OwnGeneration, set: SetId, key: [u8; 32]) {
        if self.sets.len() < MAX_SETS || self.sets.contains_key(&(of, set.0)) {
            self.sets.entry((of, set.0)).or_default().push(key);
        }
    }

    /// The ephemeral keys of a set that has ended.
    pub(super) fn take_set(&mut self, of: OwnGeneration, set: SetId) -> Vec<[u8; 32]> {
        self.sets.remove(&(of, set.0)).unwrap_or_default()
    }

    // -- tickets of this node's own first messages

    /// Whether a ticket is being searched for a conversation.
    pub(super) fn is_searching(&self, id: ConversationId) -> bool {
        self.searches.values().any(|other| *other == id)
    }

    /// A search has begun.
    pub(super) fn note_search(&mut self, job: JobId, id: ConversationId) {
        self.searches.insert(job, id);
    }

    /// A search has ended.
    pub(super) fn end_search(&mut self, job: JobId) -> Option<ConversationId> {
        self.searches.remove(&job)
    }

    // -- boxes

    fn open(&mut self, fx: &mut Effects, opening: FirstOpening, body: Zeroizing<Vec<u8>>) {
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back((opening, body));
        }
        self.start_openings(fx);
    }

    fn start_openings(&mut self, fx: &mut Effects) {
        while self.running.len() < MAX_RUNNING
            && let Some((opening, body)) = self.waiting.pop_front()
        {
            let recipient = Arc::clone(&opening.keys.recipient);
            let job = ContactJob::Open(BoxOpening { recipient, body });
            let job = fx.start_job(JobOwner::Contact, Job::Contact(Box::new(job)));
            self.running.insert(job, opening);
        }
    }

    fn end_opening(&mut self, job: JobId) -> Option<FirstOpening> {
        self.running.remove(&job)
    }

    /// The requests that wait for the user.
    pub(super) const fn requests_mut(&mut self) -> &mut WaitingRequests {
        &mut self.requests
    }
}

impl FirstOpening {
    /// The changes that keep its envelopes from being opened again.
    fn seen_changes(&self) -> Vec<StateChange> {
        seen_changes(self.keys.of, &self.seen)
    }
}

/// The changes that keep envelopes with these keys from being opened again.
pub(super) fn seen_changes((id, generation): OwnGeneration, keys: &[[u8; 32]]) -> Vec<StateChange> {
    let keys = keys.iter();
    keys.map(|key| {
        let mut writer = StateWriter::new(VERSION);
        writer.array(&id.0);
        writer.u32(generation.0);
        StateChange::put(StateTable::SeenKey, *key, writer.finish())
    })
    .collect()
}

impl Contacts {
    /// The body of a first message is complete.
    pub(super) fn on_first_body(
        &mut self,
        fx: &mut Effects,
        now: Now,
        keys: OwnKeys,
        seen: Vec<[u8; 32]>,
        body: &SealedBody,
    ) {
        // A first message is not a step: it names no index.
        if body.resync.is_some() {
            return;
        }
        let (id, _) = keys.of;
        let Ok(tau) = FirstBox::tau_of(&id, keys.recipient.kappa(), &body.body) else {
            return;
        };
        let opening = FirstOpening { keys, tau, seen };
        let known = self.conversations.of_tau(&tau);
        let known = known.and_then(|id| self.conversations.get(id));
        let opened = known
            .and_then(|record| record.conversation.first_box())
            .map(|first_box| first_box.unwrap_body(&body.body));
        match opened {
            Some(Ok(content)) => self.on_first_content(fx, now, &opening, None, &content),
            Some(Err(_)) => {}
            None => self.first.open(fx, opening, body.body.clone()),
        }
    }

    /// A job that opens a box has ended.
    pub(super) fn on_box_opened(
        &mut self,
        fx: &mut Effects,
        now: Now,
        job: JobId,
        opened: Option<(FirstBox, FirstContent)>,
    ) {
        let Some(opening) = self.first.end_opening(job) else {
            return;
        };
        self.first.start_openings(fx);
        if let Some((first_box, content)) = opened {
            self.on_first_content(fx, now, &opening, Some(first_box), &content);
        }
    }

    fn on_first_content(
        &mut self,
        fx: &mut Effects,
        now: Now,
        opening: &FirstOpening,
        first_box: Option<FirstBox>,
        content: &FirstContent,
    ) {
        let (own, _) = opening.keys.of;
        if content.mode != FirstMode::Conversation {
            let within = LetterBox {
                own,
                tau: opening.tau,
                seen: opening.seen_changes(),
            };
            return self.on_letter(fx, now, within, content);
        }
        if content.ticket_bits < self.required_ticket_bits(&own, now.unix) {
            return;
        }
        let Ok(id) = Conversation::id_of_first(&opening.tau, &content.content) else {
            return;
        };
        let changes = opening.seen_changes();
        if self.conversations.get(id).is_some() {
            self.on_repeated_first(fx, now, id, content, changes);
        } else if let Some(first_box) = first_box {
            self.begin_request(fx, now, opening.keys.of, (first_box, content), changes);
        }
    }

    /// A further message in the form of the first, of a conversation that is there.
    fn on_repeated_first(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: ConversationId,
        content: &FirstContent,
        mut changes: Vec<StateChange>,
    ) {
        let rng = fx.key_rng();
        let update = self.conversations.update(id, now.unix, |record| {
            let conversation = &mut record.conversation;
            conversation.arrived_first(rng, now.unix, &content.content)
        });
        let Some(update) = update else {
            return;
        };
        changes.push(update.change);
        let arrived = ArrivedBody {
            conversation: id,
            arrived: update.result,
            is_new_request: false,
        };
        self.on_arrived(fx, now, arrived, changes);
        self.measure_request(id);
    }

    /// The first message of an unknown person, with the keys that it was written to.
    fn begin_request(
        &mut self,
        fx: &mut Effects,
        now: Now,
        (own, generation): (ContactId, KeyGeneration),
        (first_box, content): (FirstBox, &FirstContent),
        mut changes: Vec<StateChange>,
    ) {
        let rng = fx.key_rng();
        let Some(keys) = self.own.keys_mut(&own, generation) else {
            return;
        };
        let pre_keys = keys.pre_keys();
        let accepted = Conversation::accept(rng, now.unix, first_box, pre_keys, &content.content);
        let Ok((conversation, arrived)) = accepted else {
            return;
        };
        let mut facts = ConversationFacts::new(now.unix, content.ticket_bits);
        facts.own = Some(own);
        let (id, change) = self.conversations.add(conversation, facts);
        changes.push(change);
        let arrived = ArrivedBody {
            conversation: id,
            arrived,
            is_new_request: true,
        };
        self.on_arrived(fx, now, arrived, changes);
        self.note_request(fx, now, id, &own);
    }

    /// A further message of a request makes it larger.
    pub(super) fn measure_request(&mut self, id: ConversationId) {
        if let Some(bits) = self.request_bits(id) {
            let bytes = self.history.bytes_of(id);
            self.first.requests_mut().add(id, bits, bytes);
        }
    }

    /// The work of a request; `None` if the conversation is none.
    fn request_bits(&self, id: ConversationId) -> Option<u8> {
        let record = self.conversations.get(id);
        let record = record.filter(|record| record.is_request());
        let bits = record.map(|record| record.facts.ticket_bits);
        bits.or_else(|| self.letters.get(id)?.request_bits())
    }

    /// Counts a new request, and makes room if there are too many.
    pub(super) fn note_request(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: ConversationId,
        own: &ContactId,
    ) {
        let bits = self.request_bits(id);
        let bytes = self.history.bytes_of(id);
        let requests = self.first.requests_mut();
        requests.add(id, bits.unwrap_or(0), bytes);
        let harder = requests.count_today(now.unix);
        for evicted in self.first.requests_mut().overflow() {
            let changes = self.erase_conversation(fx, evicted);
            fx.store_state(changes);
        }
        if harder {
            self.raise_ticket_bits(fx, now, own);
        }
    }
}

/// A source of letters has one set of keys for each reader.
const OF_LETTERS: KeyGeneration = KeyGeneration(0);
/// Maximum number of boxes that are opened at once.
const MAX_RUNNING: usize = 2;
/// Maximum number of bodies whose boxes wait, 64 KB each. What is dropped stays in the mempool, and is opened
/// after a restart.
const MAX_WAITING: usize = 256;
/// Maximum number of incomplete sets whose ephemeral keys are kept.
const MAX_SETS: usize = 16_384;
const VERSION: u8 = 1;
