//! Commands about talk lines, and what refuses them.

use circuits::level::Level;
use circuits::time::Now;
use rand_core::Rng;
use zeroize::Zeroizing;

use super::command::{TalkCommand, TalkReply};
use super::parts::{TalkMessage, TalkMessageKind};
use super::{MAX_TALKS, MAX_WANTED, OFFER_SECS, Talk, TalkContext, TalkProgress, Talks};
use crate::contact::conversation::ConversationId;
use crate::node::action::{Action, TalkAction};
use crate::node::circuits::{level_of_decline, level_without_circuits};
use crate::node::command::{Refusal, Reply};
use crate::node::contacts::MessageDirection;
use crate::node::directory::MeetingChoice;
use crate::node::effects::Effects;
use crate::node::input::CommandId;
use crate::node::meetings::{pick_places, pick_relays};
use crate::transfer::schedule::AttemptSchedule;
use crate::transfer::secret::FileSecret;
use crate::transfer::talk::{LineRefused, MAX_LINE_LEN, TalkLine};
use crate::transfer::talk_part::TalkId;

impl Talks {
    /// Carries out a command.
    pub(in crate::node) fn on_command(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        asked: TalkCommand,
        context: TalkContext<'_>,
    ) {
        if !fx.state_is_open() {
            let refusal = Refusal::locked("contacts and conversations are locked");
            return fx.reply(command, Err(refusal));
        }
        let done = match asked {
            TalkCommand::Talk { to, level } => {
                // Answered when the message is durable.
                match self.talk(fx, now, command, (&to, level), context) {
                    Ok(()) => return,
                    Err(refusal) => Err(refusal),
                }
            }
            TalkCommand::End(to) => match self.end(fx, now, command, &to, context) {
                Ok(true) => Ok(TalkReply::Done),
                Ok(false) => return,
                Err(refusal) => Err(refusal),
            },
            TalkCommand::Say { to, text } => self.say(now, &to, text, context),
            TalkCommand::List => {
                let talks = self.talks.iter();
                let views = talks.map(|(id, talk)| self.view(*id, talk, talk.stage(), context));
                Ok(TalkReply::Talks(views.collect()))
            }
        };
        fx.reply(command, done.map(|reply| Reply::Talk(Box::new(reply))));
    }

    /// Accepts the line that a contact offers, or offers one.
    fn talk(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        (to, level): (&str, Option<Level>),
        context: TalkContext<'_>,
    ) -> Result<(), Refusal> {
        check_level(level, context.send.default_level(), to)?;
        let id = context.contacts.talk_partner(now, to)?;
        let offered = self.talks.get(&id);
        if offered.is_some_and(Talk::is_wanted) {
            return Err(Refusal::usage(
                format!("there is a line with {to} already, or the offer of one"),
                format!("end it first (`whisht contact talk {to} --end`)"),
            ));
        }
        let wanted = self.talks.values().filter(|talk| talk.is_wanted());
        if wanted.count() >= MAX_WANTED {
            return Err(Refusal::policy(
                format!("{MAX_WANTED} lines are offered or open, the most at a time"),
                "end one first (`whisht contact talk NAME --end`)",
            ));
        }
        let message = match offered {
            Some(talk) => accept(fx, now, command, id, talk, context)?,
            None => self.offer(fx, now, command, id, context)?,
        };
        fx.request(Action::Talk(TalkAction::Write(Box::new(message))));
        Ok(())
    }

    fn offer(
        &self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        id: ConversationId,
        context: TalkContext<'_>,
    ) -> Result<TalkMessage, Refusal> {
        if self.is_full() {
            return Err(Refusal::policy(
                format!("{MAX_TALKS} lines are offered, the most that a node lists"),
                "decline some first (`whisht contact talk NAME --end`)",
            ));
        }
        let reach = (context.others.directory, context.others.peers);
        let relays = pick_relays(fx, now, &[], reach)?;
        let rng = fx.key_rng();
        let mut number = [0; 16];
        rng.fill_bytes(&mut number);
        let talk = Talk {
            id: TalkId(number),
            direction: MessageDirection::Out,
            secret: FileSecret::draw(rng),
            relays,
            until: now.unix.after(OFFER_SECS),
            step: TalkProgress::Offered,
        };
        Ok(TalkMessage::offer(command, id, talk))
    }

    /// Puts a line into the queue of its session.
    fn say(
        &mut self,
        now: Now,
        to: &str,
        text: Zeroizing<String>,
        context: TalkContext<'_>,
    ) -> Result<TalkReply, Refusal> {
        let id = context.contacts.talk_partner(now, to)?;
        let len = text.len();
        let line = TalkLine::new(text).ok_or_else(|| {
            Refusal::usage(
                format!("the line has {len} bytes, or a control character"),
                format!("say 1 to {MAX_LINE_LEN} bytes at a time, without line breaks and tabs"),
            )
        })?;
        let said = match self.talks.get_mut(&id).map(|talk| &mut talk.step) {
            Some(TalkProgress::Agreed {
                live: Some(live), ..
            }) => live.session.say(line),
            _ => Err(LineRefused::NotOpen),
        };
        let remedy = match said {
            Ok(()) => return Ok(TalkReply::Done),
            Err(LineRefused::NotOpen) => "wait until both ends have met (event `talk`)",
            Err(LineRefused::Full) => "one leaves each second: wait",
        };
        let cause = said.err().map(|error| error.to_string());
        Err(Refusal::policy(cause.unwrap_or_default(), remedy))
    }

    /// Ends a line. Returns whether the command can be answered now; otherwise a message is written first. An
    /// open line ends once its queued lines have left.
    fn end(
        &mut self,
        fx: &mut Effects,
        now: Now,
        command: CommandId,
        to: &str,
        context: TalkContext<'_>,
    ) -> Result<bool, Refusal> {
        let id = context.contacts.talk_partner(now, to)?;
        let Some(talk) = self.talks.get_mut(&id) else {
            return Err(Refusal::usage(
                format!("there is no line with {to}, and no offer of one"),
                "`whisht contact list` shows the offers",
            ));
        };
        if talk.is_open()
            && let TalkProgress::Agreed {
                live: Some(live), ..
            } = &mut talk.step
        {
            live.session.hang_up();
            self.run(fx, now, id, context);
            return Ok(true);
        }
        let kind = TalkMessageKind::Decline;
        let message = TalkMessage::answer(command, id, talk.id, kind);
        // Nothing follows through circuits, so that the user's level holds.
        let message = message.at(level_of_decline(context.send.default_level()));
        fx.request(Action::Talk(TalkAction::Write(Box::new(message))));
        Ok(false)
    }
}

/// The answer to an offer.
fn accept(
    fx: &mut Effects,
    now: Now,
    command: CommandId,
    id: ConversationId,
    talk: &Talk,
    context: TalkContext<'_>,
) -> Result<TalkMessage, Refusal> {
    let (directory, peers) = (context.others.directory, context.others.peers);
    let allowed = directory.allowed_meeting_relays(now, &talk.relays, peers, MeetingChoice::Last);
    let places = pick_places(fx, &allowed).ok_or_else(|| {
        Refusal::policy(
            "no relay of the offer can be used by this node: each is its guard, or exchanges gossip with it",
            "decline the offer, and offer a line yourself",
        )
    })?;
    let kind = TalkMessageKind::Accept(AttemptSchedule::answered_at(now.unix, places));
    Ok(TalkMessage::answer(command, id, talk.id, kind))
}

/// Refuses a level at which there are no talk lines.
fn check_level(asked: Option<Level>, default: Level, to: &str) -> Result<(), Refusal> {
    let Some(level) = level_without_circuits(asked, default) else {
        return Ok(());
    };
    let cause = if level.is_mixing() {
        format!(
            "at level `{level}` a cell waits for its slot among the cover traffic and is delayed at every \
             relay: a line with seconds of latency exists at level `normal` only"
        )
    } else {
        format!("talk lines exist at level `normal`, not at `{level}`")
    };
    Err(Refusal::policy(
        cause,
        format!(
            "write messages instead, or name the level (`whisht contact talk {to} --level normal`), at which an \
             observer of both ends recognises the line at once"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_other_than_normal_is_refused_with_the_reason_and_the_option_that_permits_it() {
        let check = |asked, default| check_level(asked, default, "desk");
        let refused = check(None, Level::Hush).unwrap_err();
        assert!(refused.cause.contains("`hush`"), "{}", refused.cause);
        let remedy = "whisht contact talk desk --level normal";
        assert!(refused.remedy.contains(remedy), "{}", refused.remedy);
        assert!(check(Some(Level::Dark), Level::Normal).is_err());
        assert!(check(Some(Level::Open), Level::Normal).is_err());
        assert!(check(None, Level::Normal).is_ok());
        assert!(check(Some(Level::Normal), Level::Dark).is_ok());
    }
}
