//! `/card`: the own addresses, as text and as QR codes, and their cards.
//!
//! The page shows what the user gives away. The twelve words behind an address are not shown: `whisht id new`
//! prints them once.

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;

use super::ask::PageError;
use super::layout::{Layout, Nav, html};
use super::picture::{Picture, qr};
use super::server::Shared;
use super::visit::Visit;
use super::words::duration;
use crate::contact::address::ContactAddress;
use crate::contact::id::ContactId;
use crate::contact::voice::VoiceWords;
use crate::node::{AddressView, ContactCommand, ContactReply};

/// The routes of this page.
pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/card", get(show))
}

#[derive(Template)]
#[template(path = "card.html", config = "src/shell/console/askama.toml")]
struct CardPage {
    layout: Layout,
    addresses: Vec<AddressPanel>,
}

/// An own address, in words.
struct AddressPanel {
    name: String,
    text: String,
    /// In groups of four, to be read aloud.
    grouped: String,
    words: String,
    code: Option<Picture>,
    published: String,
    level: &'static str,
    ticket_bits: u8,
    requests: usize,
}

async fn show(visit: Visit) -> Result<Response, PageError> {
    let addresses = match visit.node().contact(ContactCommand::Addresses).await? {
        ContactReply::Addresses(views) => views.iter().map(own_address).collect(),
        _ => return Err(PageError::Unexpected),
    };
    Ok(html(&CardPage {
        layout: visit.layout(Nav::Card).refreshing("/card"),
        addresses,
    }))
}

fn own_address(view: &AddressView) -> AddressPanel {
    let address = ContactId::from_hex(&view.id).map(ContactAddress::new);
    let code = address.and_then(|address| qr(&address.qr_text(), "QR code of the address").ok());
    AddressPanel {
        name: view.name.clone(),
        text: address.map_or_else(|| view.id.clone(), |address| address.to_string()),
        grouped: address.map_or_else(String::new, |address| address.grouped()),
        words: address.map_or_else(String::new, |address| {
            VoiceWords::of(&address.id()).to_string()
        }),
        code,
        published: published(view),
        level: view.least_level.word(),
        ticket_bits: view.ticket_bits,
        requests: view.requests,
    }
}

/// How many cards are in the network, and what comes next.
fn published(view: &AddressView) -> String {
    let alive = match view.cards {
        0 => "no current card is in the network".to_owned(),
        1 => "1 current card is in the network".to_owned(),
        count => format!("{count} current cards are in the network"),
    };
    let next = match (&view.obstacle, view.next_card_secs) {
        (Some(obstacle), _) => format!("the next one waits: {obstacle}"),
        (None, Some(0)) => "the next one is published now".to_owned(),
        (None, Some(secs)) => format!(
            "the next one is published in {}",
            duration(secs.saturating_mul(1_000))
        ),
        (None, None) => "none is planned".to_owned(),
    };
    format!("{alive}; {next}")
}

#[cfg(test)]
mod tests {
    use circuits::level::Level;

    use super::*;

    fn view() -> AddressView {
        AddressView {
            name: "<desk>".into(),
            id: "ab".repeat(32),
            cards: 2,
            next_card_secs: Some(7_300),
            obstacle: None,
            least_level: Level::Normal,
            ticket_bits: 18,
            requests: 3,
        }
    }

    #[test]
    fn own_address_shows_code_and_words_of_its_id() {
        let own = own_address(&view());
        assert!(own.text.starts_with("shh1") && own.text.len() == ContactAddress::LEN);
        assert_eq!(own.grouped.replace(' ', ""), own.text);
        assert_eq!(own.words.split(' ').count(), VoiceWords::COUNT);
        assert!(own.code.is_some());
        assert_eq!(
            own.published,
            "2 current cards are in the network; the next one is published in 3 h"
        );
    }

    #[test]
    fn obstacle_of_next_card_is_told() {
        let obstacle = Some("no guard".into());
        let own = own_address(&AddressView { obstacle, ..view() });
        assert!(own.published.ends_with("the next one waits: no guard"));
    }
}
