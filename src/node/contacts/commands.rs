//! Commands about contacts: each is refused, answered at once, or answered when its effect is durable.

use circuits::time::Now;

use super::book::{ContactEntry, ContactKey, MIN_ID_DIGITS, check_name};
use super::command::{ContactCommand, ContactReply};
use super::letters::{LetterDecision, LetterRecord};
use super::views::CardView;
use super::{ContactContext, Contacts};
use crate::contact::conversation::{ConversationId, ConversationState, Part};
use crate::contact::id::ContactId;
use crate::contact::kdf::Key32;
use crate::node::command::{Refusal, Reply};
use crate::node::effects::Effects;
use crate::node::hex;
use crate::node::input::CommandId;
use crate::state::StateChange;

impl Contacts {
    /// Carries out a command. It is answered when what it changed is durable.
    pub(in crate::node) fn on_command(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: CommandId,
        command: ContactCommand,
        context: ContactContext<'_>,
    ) {
        if !fx.state_is_open() {
            let refusal = Refusal::locked("contacts and conversations are locked");
            return fx.reply(id, Err(refusal));
        }
        let done = match command {
            ContactCommand::Send(send) => self.write(fx, now, id, &send, Vec::new(), context),
            ContactCommand::Close(send) => {
                self.write(fx, now, id, &send, vec![Part::Goodbye], context)
            }
            ContactCommand::Introduce(introduction) => {
                self.introduce(fx, now, id, &introduction, context)
            }
            ContactCommand::Renew { of, send } => self.renew(fx, now, id, (&of, &send), context),
            ContactCommand::SendAgain(message) => self.send_again(fx, now, id, &message, context),
            ContactCommand::Cancel(message) => self.cancel(fx, now, id, &message),
            command => self.change_or_answer(fx, now, id, command, context),
        };
        if let Err(refusal) = done {
            fx.reply(id, Err(refusal));
        }
    }

    fn change_or_answer(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: CommandId,
        command: ContactCommand,
        context: ContactContext<'_>,
    ) -> Result<(), Refusal> {
        if let Some(query) = self.change(fx, now, id, command, context)? {
            let reply = self.answer(now, &query, context)?;
            fx.reply(id, Ok(Reply::Contact(Box::new(reply))));
        }
        Ok(())
    }

    /// Carries out a command that changes contacts or conversations; gives back any other.
    fn change(
        &mut self,
        fx: &mut Effects,
        now: Now,
        id: CommandId,
        command: ContactCommand,
        context: ContactContext<'_>,
    ) -> Result<Option<ContactCommand>, Refusal> {
        match command {
            ContactCommand::CreateAddress { name, seed } => {
                self.create_address(fx, now, id, (name, seed))?;
            }
            ContactCommand::OpenLetters(root) => {
                self.open_letters(fx, now, root)?;
                Self::store_and_reply(fx, Vec::new(), id, ContactReply::Done);
            }
            ContactCommand::Add { id: address, name } => {
                self.add_contact(fx, now, id, (address, name), context)?;
                self.follow_letters(fx, now);
            }
            ContactCommand::Verify(name) => self.verify(fx, now, id, &name, context)?,
            ContactCommand::Forget(name) => {
                self.forget(fx, id, &name)?;
                self.follow_keys(fx, now);
            }
            ContactCommand::Accept { of, name } => {
                self.accept(fx, now, id, (&of, name), context)?;
                self.follow_letters(fx, now);
            }
            ContactCommand::Decline(of) => self.decline(fx, now, id, &of)?,
            ContactCommand::Mute { .. }
            | ContactCommand::Star { .. }
            | ContactCommand::MarkRead { .. }
            | ContactCommand::EraseMessages { .. } => self.mark(fx, now, id, command)?,
            ContactCommand::CardExport { name, days } => {
                let (file, prepared) = self.own.export(fx, now.unix, &name, days)?;
                self.store_prepared(fx, now, prepared);
                Self::store_and_reply(fx, Vec::new(), id, ContactReply::CardFile(file));
            }
            ContactCommand::CardPublish(file) => {
                let (count, prepared) = self.own.import(fx, now.unix, &file)?;
                self.store_prepared(fx, now, prepared);
                let reply = ContactReply::CardsPublished(count);
                Self::store_and_reply(fx, Vec::new(), id, reply);
                self.own.arm(fx, now);
            }
            query => return Ok(Some(query)),
        }
        Ok(None)
    }

    fn create_address(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        (name, seed): (String, Key32),
    ) -> Result<(), Refusal> {
        check_name(&name)?;
        let (own, prepared) = self.own.create(fx, now, name, seed)?;
        self.store_prepared(fx, now, prepared);
        let view = self.address_view(now, &own);
        let reply = view.map_or(ContactReply::Done, ContactReply::Address);
        Self::store_and_reply(fx, Vec::new(), command, reply);
        self.own.arm(fx, now);
        self.schedule(fx, now.mono);
        Ok(())
    }

    /// Records that the user has compared the words of a contact.
    fn verify(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        name: &str,
        context: ContactContext<'_>,
    ) -> Result<(), Refusal> {
        let (key, entry) = self.book.named(name)?;
        if entry.id.is_none() {
            return Err(Refusal::usage(
                format!("{name} has shown no address, so there are no words to compare"),
                "ask for the address",
            ));
        }
        let change = self.book.update(key, |entry| entry.is_verified = true);
        let changes = change.into_iter().collect();
        self.reply_contact(fx, now, command, (key, changes), context);
        Ok(())
    }

    /// Answers a query; it changes nothing.
    fn answer(
        &self,
        now: Now,
        query: &ContactCommand,
        context: ContactContext<'_>,
    ) -> Result<ContactReply, Refusal> {
        Ok(match query {
            ContactCommand::Addresses => {
                let ids = self.own.addresses().map(|address| *address.id());
                let views = ids.filter_map(|id| self.address_view(now, &id));
                ContactReply::Addresses(views.collect())
            }
            ContactCommand::Contacts => {
                let all = self.book.sorted().into_iter();
                let views = all.filter_map(|(key, _)| self.contact_view(now, key, context));
                ContactReply::Contacts(views.collect())
            }
            ContactCommand::Contact(name) => {
                let (key, _) = self.book.named(name)?;
                let view = self.contact_view(now, key, context);
                view.map_or(ContactReply::Done, ContactReply::Contact)
            }
            ContactCommand::Price(send) => ContactReply::Price(self.price(now, send, context)?),
            ContactCommand::Conversations => {
                let all = self.conversations.iter().map(|(id, _)| id);
                let all = all.chain(self.letters.iter().map(|(id, _)| id));
                let mut views: Vec<_> = all.filter_map(|id| self.conversation_view(id)).collect();
                views.sort_by_key(|view| core::cmp::Reverse(view.last));
                ContactReply::Conversations(views)
            }
            ContactCommand::Conversation { of, after } => {
                let after = *after;
                self.history_reply(now, of, |own, id| own.message_views(id, after), context)?
            }
            ContactCommand::ConversationPage { of, before, limit } => {
                let (before, limit) = (before.unwrap_or(u64::MAX), *limit);
                let page = |own: &Self, id| own.message_page(id, before, limit);
                self.history_reply(now, of, page, context)?
            }
            ContactCommand::History { of, query } => {
                let selected = |own: &Self, id| own.selected_messages(id, query);
                self.history_reply(now, of, selected, context)?
            }
            ContactCommand::UnderWay { limit } => {
                ContactReply::UnderWay(self.under_way(now, *limit, context))
            }
            ContactCommand::CardShow(name) => ContactReply::Card(self.known_card(now, name)?),
            _ => ContactReply::Done,
        })
    }

    fn known_card(&self, now: Now, name: &str) -> Result<CardView, Refusal> {
        if let Some(card) = self.card_of(now, name) {
            return Ok(card);
        }
        // A name that neither a contact nor an own address has is another mistake.
        if self.own.named(name).is_err() {
            self.book.named(name)?;
        }
        Err(Refusal::policy(
            format!("no card of {name:?} is known now"),
            "wait until one is found (`whisht contact show`)",
        ))
    }

    // -- contacts

    fn add_contact(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        (id, name): (ContactId, String),
        context: ContactContext<'_>,
    ) -> Result<(), Refusal> {
        if let Some(own) = self.own.addresses().find(|address| *address.id() == id) {
            return Err(Refusal::usage(
                format!("this is {}, an address of this node", own.name()),
                "name the address of another person",
            ));
        }
        // A contact that was introduced only is named by the user now.
        let pending = self.book.by_id(&id).filter(|(_, entry)| entry.is_pending);
        let (key, change) = match pending.map(|(key, _)| key) {
            Some(key) => {
                check_name(&name)?;
                self.book.check_free(&name, Some(key))?;
                let change = self.book.update(key, |entry| {
                    entry.is_pending = false;
                    entry.name = name;
                });
                (key, change)
            }
            None => {
                let (key, change) = self.book.add(ContactEntry::named(name, id))?;
                (key, Some(change))
            }
        };
        self.finder.watch(fx, now.mono, id);
        let changes = change.into_iter().collect();
        self.reply_contact(fx, now, command, (key, changes), context);
        Ok(())
    }

    fn reply_contact(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        (key, changes): (ContactKey, Vec<StateChange>),
        context: ContactContext<'_>,
    ) {
        let view = self.contact_view(now, key, context);
        let reply = view.map_or(ContactReply::Done, ContactReply::Contact);
        Self::store_and_reply(fx, changes, command, reply);
    }

    fn forget(&mut self, fx: &mut Effects, command: CommandId, name: &str) -> Result<(), Refusal> {
        let mut changes = Vec::new();
        match self.book.by_name(name).map(|(key, entry)| (key, entry.id)) {
            Some((key, id)) => {
                for conversation in self.conversations.of_contact(key) {
                    changes.extend(self.erase_conversation(fx, conversation));
                }
                if let Some(letters) = self.letters.of_contact(key) {
                    changes.extend(self.erase_conversation(fx, letters));
                }
                changes.push(self.book.remove(key));
                changes.extend(id.map(|id| self.finder.forget(&id)));
            }
            None => {
                let id = self.conversation_named(name)?;
                changes.extend(self.erase_conversation(fx, id));
            }
        }
        Self::store_and_reply(fx, changes, command, ContactReply::Done);
        Ok(())
    }

    // -- requests

    fn accept(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        (of, name): (&str, Option<String>),
        context: ContactContext<'_>,
    ) -> Result<(), Refusal> {
        let introduced = self.book.by_name(of).filter(|(_, entry)| entry.is_pending);
        match introduced.map(|(key, entry)| (key, entry.id)) {
            Some((key, id)) => self.accept_introduced(fx, now, command, (key, id, name), context),
            None => self.accept_request(fx, now, command, (of, name)),
        }
    }

    /// Accepts a contact that another one has introduced.
    fn accept_introduced(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        (key, id, name): (ContactKey, Option<ContactId>, Option<String>),
        context: ContactContext<'_>,
    ) -> Result<(), Refusal> {
        if let Some(name) = &name {
            check_name(name)?;
            self.book.check_free(name, Some(key))?;
        }
        let change = self.book.update(key, |entry| {
            entry.is_pending = false;
            if let Some(name) = name {
                entry.name = name;
            }
        });
        if let Some(id) = id {
            self.finder.watch(fx, now.mono, id);
        }
        let changes = change.into_iter().collect();
        self.reply_contact(fx, now, command, (key, changes), context);
        Ok(())
    }

    /// Accepts a request; nothing is sent.
    fn accept_request(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        (of, name): (&str, Option<String>),
    ) -> Result<(), Refusal> {
        let id = self.request_named(of)?;
        let (contact, added) = self.contact_of_request(id, of, name)?;
        let mut changes: Vec<_> = added.into_iter().collect();
        let update = self.conversations.update(id, now.unix, |record| {
            record.facts.contact = Some(contact);
            record.conversation.accept_request();
        });
        changes.extend(update.map(|update| update.change));
        changes.extend(self.letters.update(id, |record| record.accept(contact)));
        self.first.requests_mut().remove(id);
        changes.extend(self.settle_glare(now, id));
        let Some(conversation) = self.conversation_view(id) else {
            return Err(no_conversation(of));
        };
        let messages = self.message_views(id, 0);
        let reply = ContactReply::Conversation {
            conversation,
            messages,
        };
        Self::store_and_reply(fx, changes, command, reply);
        self.rescan(fx, now.mono, super::scan::Rescan::Topics);
        Ok(())
    }

    /// The contact whose conversation a request becomes, and the change that adds a new one.
    fn contact_of_request(
        &mut self,
        id: ConversationId,
        of: &str,
        name: Option<String>,
    ) -> Result<(ContactKey, Option<StateChange>), Refusal> {
        let record = self.conversations.get(id);
        let known = record.and_then(|record| record.facts.contact);
        let name = match (name, known) {
            (None, Some(contact)) => return Ok((contact, None)),
            (None, None) => {
                return Err(Refusal::usage(
                    "a request is accepted under a name",
                    format!("name the contact: `whisht contact accept {of} --as NAME`"),
                ));
            }
            (Some(name), _) => name,
        };
        // The user may say that the request is of a contact that is there already.
        if let Some((key, _)) = self.book.by_name(&name) {
            return Ok((key, None));
        }
        let entry = ContactEntry {
            id: None,
            ..ContactEntry::named(name, ContactId([0; 32]))
        };
        let (key, change) = self.book.add(entry)?;
        Ok((key, Some(change)))
    }

    fn decline(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        of: &str,
    ) -> Result<(), Refusal> {
        let id = self.request_named(of)?;
        let mut changes = self.history.forget(id);
        let update = self.conversations.update(id, now.unix, |record| {
            record.facts.is_declined = true;
            record.conversation.close(now.unix);
        });
        changes.extend(update.map(|update| update.change));
        changes.extend(self.letters.update(id, LetterRecord::decline));
        self.first.requests_mut().remove(id);
        Self::store_and_reply(fx, changes, command, ContactReply::Done);
        Ok(())
    }

    fn request_named(&self, of: &str) -> Result<ConversationId, Refusal> {
        let id = self.conversation_named(of)?;
        let record = self.conversations.get(id);
        let is_asked =
            record.is_some_and(|record| record.conversation.state() == ConversationState::Asked);
        let letters = self.letters.get(id);
        if is_asked || letters.is_some_and(|record| record.request_bits().is_some()) {
            return Ok(id);
        }
        Err(Refusal::usage(
            format!("the conversation {of} is not a request"),
            "`whisht inbox` lists the requests",
        ))
    }

    /// The conversation of a contact, or the one whose id begins with these digits.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if there is none, or several.
    pub(super) fn conversation_named(&self, of: &str) -> Result<ConversationId, Refusal> {
        if let Some((key, _)) = self.book.by_name(of) {
            let first = self.conversations.of_contact(key).first().copied();
            let first = first.or_else(|| self.letters.of_contact(key));
            return first.ok_or_else(|| not_begun(of));
        }
        let digits = of.to_ascii_lowercase();
        let shown = self.conversations.iter();
        let shown = shown.filter(|(_, record)| !record.facts.is_declined);
        let letters = self.letters.iter();
        let letters = letters.filter(|(_, record)| record.decision() != LetterDecision::Declined);
        let shown = shown.map(|(id, _)| id).chain(letters.map(|(id, _)| id));
        let named = shown.filter(|id| hex(&id.0).starts_with(&digits));
        let named: Vec<_> = named.take(2).collect();
        match named.as_slice() {
            [id] if digits.len() >= MIN_ID_DIGITS => Ok(*id),
            [_, _] => Err(Refusal::usage(
                format!("several conversations begin with {of}"),
                "give more digits",
            )),
            _ => Err(no_conversation(of)),
        }
    }
}

/// A contact to whom nothing was written, and from whom nothing came.
pub(super) fn not_begun(of: &str) -> Refusal {
    Refusal::usage(
        format!("there is no conversation with {of} yet"),
        "write the first message (`whisht send --to`)",
    )
}

pub(super) fn no_conversation(of: &str) -> Refusal {
    Refusal::usage(
        format!("there is neither a contact nor a conversation {of:?}"),
        "`whisht contact list` and `whisht inbox` list them",
    )
}
