//! `whisht demo --contact`: from an address to an answer, and what each party could see.
//!
//! The reader makes an address, and its node publishes the card. The source knows the address alone: it
//! finds the card in its own pool, writes a first message, and gets an answer. The nodes are real; the
//! ending counts what they report, and claims nothing that was not observed.

mod story;

use std::time::Duration;

use circuits::level::Level;
use tokio::time::Instant;

use self::story::Story;
use super::network::{Network, Role};
use super::report::DemoReport;
use crate::cli::contact::words;
use crate::cli::output::one_line;
use crate::cli::{Exit, Failure};
use crate::contact::address::ContactAddress;
use crate::contact::address_key::AddressKey;
use crate::contact::id::ContactId;
use crate::contact::mnemonic::Mnemonic;
use crate::contact::voice::VoiceWords;
use crate::node::{Command, ContactCommand, ContactReply, ContactSend, Reply};
use crate::shell::seeded_rng;

/// Plays the demonstration.
///
/// # Errors
///
/// [`Failure`] if the network does not start, or a node refuses.
pub(super) async fn play(
    report: &DemoReport,
    relays: usize,
    level: Level,
) -> Result<Exit, Failure> {
    report.started(relays, level)?;
    let network = Network::start(relays, level).await?;
    let mut demo = ContactDemo {
        report,
        level,
        story: Story::new(network.names()),
        network,
        begun: Instant::now(),
    };
    let played = demo.converse(relays).await;
    demo.network.stop().await;
    let is_complete = played?;
    demo.story.show(report, level)?;
    Ok(if is_complete {
        Exit::Done
    } else {
        Exit::Pending
    })
}

/// A demonstration in progress.
struct ContactDemo<'a> {
    report: &'a DemoReport,
    level: Level,
    story: Story,
    network: Network,
    begun: Instant,
}

impl ContactDemo<'_> {
    /// Runs the conversation. Returns whether it came to its end.
    async fn converse(&mut self, relays: usize) -> Result<bool, Failure> {
        let known = |story: &Story| story.source_relays.min(story.reader_relays) >= relays;
        self.wait(DISCOVERY_TIMEOUT, known).await;
        self.report.gathered(self.story.source_relays)?;
        let id = self.make_address().await?;
        let named = ContactCommand::Add {
            id,
            name: "desk".to_owned(),
        };
        self.ask(Role::Source, named).await?;
        self.say("source: names the owner of the address, and asks no node for the card")?;
        if !self
            .wait(self.timeout(), |story| story.card.is_some())
            .await
        {
            return Ok(false);
        }
        if let Some(card) = &self.story.card {
            let line = words::card_line(card);
            self.say(&format!("source: found the card in its own pool; {line}"))?;
        }
        let sent = self.send(Role::Source, "desk", QUESTION).await?;
        self.say(&format!(
            "source: sends a first message of {} bytes",
            QUESTION.len()
        ))?;
        let asked =
            |story: &Story| story.reader.text.is_some() && story.reader.conversation.is_some();
        if !self.wait(self.timeout(), asked).await {
            return Ok(false);
        }
        self.answer().await?;
        let answered = |story: &Story| story.source.text.is_some() && story.is_answered(&sent);
        if !self.wait(self.timeout(), answered).await {
            return Ok(false);
        }
        // The answer is read before its envelope has reached every node. What has not arrived by then is
        // counted as missing.
        self.wait(SPREADING_TIMEOUT, Story::is_spread).await;
        Ok(true)
    }

    /// Makes the reader's address.
    async fn make_address(&self) -> Result<ContactId, Failure> {
        let mut rng = seeded_rng().map_err(|error| Failure::new(Exit::Failed, error))?;
        let key = AddressKey::from_mnemonic(&Mnemonic::draw(&mut rng));
        let id = key.id();
        let create = ContactCommand::CreateAddress {
            name: "desk".to_owned(),
            seed: key.seed().clone(),
        };
        self.ask(Role::Reader, create).await?;
        self.say(&format!("reader: address {}", ContactAddress::new(id)))?;
        let words = VoiceWords::of(&id).words().join(" ");
        self.say(&format!("reader: six words to compare: {words}"))?;
        Ok(id)
    }

    /// The reader reads the request, accepts it and answers.
    async fn answer(&self) -> Result<(), Failure> {
        let text = self.story.reader.text.as_deref().unwrap_or_default();
        let request = self.story.reader.conversation.clone().unwrap_or_default();
        self.say(&format!(
            "reader: request {} from an unknown person: {:?}",
            words::short_id(&request),
            one_line(text)
        ))?;
        let accept = ContactCommand::Accept {
            of: request,
            name: Some("heron".to_owned()),
        };
        self.ask(Role::Reader, accept).await?;
        self.send(Role::Reader, "heron", ANSWER).await?;
        self.say("reader: accepts it as `heron`, and answers")
    }

    /// Sends a text; returns the id of its conversation and its number.
    async fn send(&self, from: Role, to: &str, text: &str) -> Result<(String, u64), Failure> {
        let send = ContactCommand::Send(ContactSend {
            to: to.to_owned(),
            text: text.to_owned().into(),
            attachment: None,
            level: Some(self.level),
            life: None,
        });
        match self.ask(from, send).await? {
            ContactReply::Sent(sent) => Ok((sent.conversation, sent.number)),
            other => Err(Failure::new(
                Exit::Failed,
                format_args!("the node answers {other:?} to a message; please report this"),
            )),
        }
    }

    async fn ask(&self, role: Role, command: ContactCommand) -> Result<ContactReply, Failure> {
        match self.network.ask(role, Command::Contact(command)).await? {
            Reply::Contact(reply) => Ok(*reply),
            other => Err(Failure::new(
                Exit::Failed,
                format_args!("the node answers {other:?} about a contact; please report this"),
            )),
        }
    }

    /// Takes events until the condition holds. Returns whether it does before the time is over.
    async fn wait(&mut self, limit: Duration, until: impl Fn(&Story) -> bool) -> bool {
        let started = Instant::now();
        while !until(&self.story) {
            let left = limit.saturating_sub(started.elapsed());
            let Some((from, event)) = self.network.next(left).await else {
                return false;
            };
            self.story.take(from, &event, self.begun.elapsed());
        }
        true
    }

    fn say(&self, text: &str) -> Result<(), Failure> {
        Ok(self.report.say(text)?)
    }

    const fn timeout(&self) -> Duration {
        super::delivery_timeout(self.level)
    }
}

/// The first message.
const QUESTION: &str = "I have seen the file on the hedge. Do you want it?";
/// The answer.
const ANSWER: &str = "Yes. Write nothing about where you saw it.";
/// Maximum time until the last envelope has reached every node.
const SPREADING_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time until all relays know each other.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(20);
