//! Contacts, cards and conversations in words.

use crate::cli::date::UtcTime;
use crate::cli::output::{count, one_line};
use crate::contact::address::ContactAddress;
use crate::contact::id::ContactId;
use crate::node::{
    CardView, ContactStage, ContactState, ContactView, ConversationView, HowKnown, IntroducedView,
};

/// First digits of a conversation's id: enough to name it. Two of 4,096 conversations have equal digits
/// with probability 2^-9; the node then asks for more.
pub(in crate::cli) fn short_id(id: &str) -> String {
    one_line(id).chars().take(SHORT_ID).collect()
}

/// The address with this id, which views contain in hexadecimal digits.
pub(in crate::cli) fn address(id: &str) -> Option<String> {
    Some(ContactAddress::new(ContactId::from_hex(id)?).to_string())
}

/// Address and words of a contact.
pub(super) fn identity_lines(contact: &ContactView) -> Vec<String> {
    let Some(id) = &contact.id else {
        return vec![
            "no address: this person wrote first, and nothing but the conversation shows who it is"
                .to_owned(),
        ];
    };
    let address = address(id).unwrap_or_else(|| one_line(id));
    let words = contact.words.as_deref().map(one_line).unwrap_or_default();
    let advice = if contact.verified {
        "compared with the owner"
    } else {
        "compare them with the owner, by voice or in print; they are for comparison only (66 bits)"
    };
    vec![
        format!("address: {address}"),
        format!("words: {words}"),
        format!("words: {advice}"),
    ]
}

/// Whether the words were compared.
pub(super) const fn verified_word(contact: &ContactView) -> &'static str {
    match (&contact.id, contact.verified) {
        (None, _) => "no address",
        (Some(_), true) => "compared",
        (Some(_), false) => "not compared",
    }
}

/// The state of a contact.
pub(super) fn state_words(contact: &ContactView) -> String {
    match (contact.state, &contact.introduced) {
        (ContactState::Introduced, Some(by)) => introduced(by),
        (ContactState::Introduced, None) => "introduced".to_owned(),
        (ContactState::Named, _) if contact.id.is_none() => "in conversation".to_owned(),
        (ContactState::Named, _) => "no card of now".to_owned(),
        (ContactState::Ready, _) => "has a card of now".to_owned(),
    }
}

fn introduced(by: &IntroducedView) -> String {
    let how = match by.how {
        HowKnown::Unsaid => "",
        HowKnown::Voice => ", who compared words by voice",
        HowKnown::InPerson => ", who met the person",
    };
    let note = match by.note.as_str() {
        "" => String::new(),
        note => format!(": {}", one_line(note)),
    };
    let day = UtcTime(by.day.saturating_mul(SECONDS_PER_DAY)).day();
    format!("introduced on {day} by {}{how}{note}", one_line(&by.by))
}

/// What a card says.
pub(in crate::cli) fn card_line(card: &CardView) -> String {
    let accepts = match (card.letters, card.files) {
        (true, true) => "; letters and files accepted",
        (true, false) => "; letters accepted",
        (false, true) => "; files accepted",
        (false, false) => "",
    };
    let ends = UtcTime(u32::try_from(card.ends).unwrap_or(u32::MAX));
    format!(
        "card: valid until {ends}; level `{}` or a stronger one; a first message needs a ticket of {} \
         bits{accepts}",
        card.least_level.word(),
        card.ticket_bits
    )
}

/// Why there is no card.
pub(super) fn missing_card(contact: &ContactView) -> String {
    let Some(missing) = &contact.missing_card else {
        return "card: none of now".to_owned();
    };
    let since = match missing.since_secs {
        None => "none was ever seen".to_owned(),
        Some(secs) => format!("the last one ended {} h ago", secs / 3_600),
    };
    let peers = match missing.peers {
        1 => "1 peer".to_owned(),
        peers => format!("{} peers", count(peers)),
    };
    format!(
        "card: none of now, {since}; the owner is away, or the peers hide it: this node has {peers} and {} \
         envelopes in its pool",
        count(missing.pool_envelopes)
    )
}

/// The state of a conversation.
pub(in crate::cli) const fn conversation_state(view: &ConversationView) -> &'static str {
    view.state.words()
}

/// The stage of a message.
pub(in crate::cli) fn stage(stage: &ContactStage) -> String {
    stage.words()
}

const SECONDS_PER_DAY: u32 = 86_400;
const SHORT_ID: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::MissingCardView;

    fn contact(state: ContactState) -> ContactView {
        ContactView {
            name: "desk".to_owned(),
            id: Some("00".repeat(32)),
            state,
            words: None,
            verified: false,
            card: None,
            missing_card: None,
            introduced: None,
            conversations: Vec::new(),
        }
    }

    #[test]
    fn missing_card_names_both_causes_and_what_the_node_sees() {
        let mut contact = contact(ContactState::Named);
        contact.missing_card = Some(MissingCardView {
            peers: 1,
            pool_envelopes: 1_200,
            since_secs: Some(7_200),
        });
        let said = missing_card(&contact);
        for part in ["away", "hide it", "1 peer", "1,200 envelopes", "2 h ago"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }

    #[test]
    fn introduction_shows_who_when_and_how_without_control_characters() {
        let mut contact = contact(ContactState::Introduced);
        contact.introduced = Some(IntroducedView {
            by: "heron".to_owned(),
            how: HowKnown::InPerson,
            day: 20_786,
            note: "ask for\u{1b}[31m J".to_owned(),
        });
        assert_eq!(
            state_words(&contact),
            "introduced on 2026-11-29 by heron, who met the person: ask for?[31m J"
        );
    }

    #[test]
    fn address_of_an_id_is_the_text_that_its_owner_prints() {
        let address = address(&"00".repeat(32)).unwrap();
        assert!(
            address.starts_with("shh1") && address.len() == 63,
            "{address}"
        );
        assert_eq!(super::address("00"), None);
    }

    #[test]
    fn no_stage_says_sent_or_read() {
        let stages = [
            ContactStage::Sealing { attempt: 1 },
            ContactStage::Dispatched { attempt: 1 },
            ContactStage::Seen {
                attempt: 1,
                first_gossip: false,
            },
            ContactStage::Seen {
                attempt: 1,
                first_gossip: true,
            },
            ContactStage::Answered,
            ContactStage::Unanswered { reason: None },
            ContactStage::Expired,
            ContactStage::Cancelled,
        ];
        for one in &stages {
            let said = stage(one);
            let words = said.split(|c: char| !c.is_alphanumeric());
            for word in words {
                assert!(!["delivered", "received", "read"].contains(&word), "{said}");
            }
        }
    }
}
