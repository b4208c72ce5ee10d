//! The level of a message to a contact: the one that it names, a custom one too, else that of the entry of the
//! contact, else what contacts choose.
//!
//! An entry names a contact as it names a shared identity. The limits of a custom level are checked when the
//! message is written, and not for its further attempts.

use circuits::time::Now;

use super::command::Refusal;
use super::contacts::{ContactCommand, ContactContext, ContactSend};
use super::input::CommandId;
use super::{Node, send_context};

/// Hands a command about contacts to its component. A message is at the custom level of this name, if there is
/// one.
pub(super) fn on_command(
    node: &mut Node,
    now: Now,
    id: CommandId,
    custom: Option<&str>,
    mut command: ContactCommand,
) {
    if node.fx.state_is_open()
        && let Some(send) = command.message_mut()
        && let Err(refusal) = choose(node, now, custom, send)
    {
        return node.fx.reply(id, Err(refusal));
    }
    let (contacts, fx, context) = node.contacting();
    contacts.on_command(fx, now, id, command, context);
}

/// Writes the level that applies into a message, and checks the limits of a custom one.
fn choose(
    node: &Node,
    now: Now,
    custom: Option<&str>,
    send: &mut ContactSend,
) -> Result<(), Refusal> {
    let contact = node.contacts.contact_named(&send.to);
    let levels = &node.config.levels;
    let Some(chosen) = levels.choose_for_contact(custom, send.level, contact.as_deref())? else {
        return Ok(());
    };
    send.level = Some(chosen.level);
    if let Some(custom) = chosen.custom {
        let context = ContactContext {
            send: &node.send,
            others: send_context!(node),
            transfers: &node.transfers,
        };
        let price = node.contacts.price(now, send, context)?;
        if let Some(estimate) = price.estimate {
            let network = context.others.limited_network(now);
            custom.check(&estimate, &network)?;
        }
    }
    Ok(())
}
