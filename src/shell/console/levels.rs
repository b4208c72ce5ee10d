//! The table in which the user chooses a level, with its price and what it hides.

use circuits::level::Level;
use zeroize::Zeroizing;

use super::ask::PageError;
use super::visit::Visit;
use super::words;
use crate::node::{ContactCommand, ContactReply, ContactSend, EstimateView, LevelView};

/// The table.
pub(super) struct LevelTable {
    /// One row for each level.
    pub(super) rows: Vec<LevelRow>,
    /// What the prices are for.
    pub(super) sample: String,
}

/// A level in the table.
pub(super) struct LevelRow {
    /// Its name.
    pub(super) word: &'static str,
    /// Whether it is chosen.
    pub(super) is_chosen: bool,
    /// Why it cannot be chosen, if it cannot.
    pub(super) missing: Option<String>,
    /// What the message costs, if it is known.
    pub(super) price: Option<LevelPrice>,
    /// How many nodes can be the sender.
    pub(super) senders: String,
}

/// The price of a message at a level, in words.
pub(super) struct LevelPrice {
    /// Until 95 of 100 messages are in the network.
    pub(super) time: String,
    /// Bytes that this node sends.
    pub(super) own: String,
    /// Bytes of cells over all hops.
    pub(super) hops: String,
    /// Time for the proof of work.
    pub(super) work: String,
    /// Whether the message leaves in place of cover.
    is_cover: bool,
}

impl LevelTable {
    /// The table for a text to a contact or conversation; without a text, for one of 500 letters. With
    /// no recipient there are no prices.
    pub(super) async fn of(
        visit: &Visit,
        to: Option<&str>,
        text: &str,
        chosen: Option<Level>,
    ) -> Result<Self, PageError> {
        let known = visit.node().levels().await?;
        let chosen = match chosen {
            Some(level) => level,
            None => visit.node().status().await?.level,
        };
        let (text, sample) = if to.is_none() {
            let sample = "\u{201c}Show price\u{201d} computes what your text costs at each level.";
            (String::new(), sample.to_owned())
        } else if text.is_empty() {
            let sample = "Prices are for a text of 500 letters.";
            ("x".repeat(SAMPLE_LEN), sample.to_owned())
        } else {
            let sample = format!("Prices are for this text of {} bytes.", text.len());
            (text.to_owned(), sample)
        };
        let text = Zeroizing::new(text);
        let mut rows = Vec::new();
        // `bulletin` is for cards only.
        let levels = known.levels.iter();
        for view in levels.filter(|view| view.level != Level::Bulletin) {
            let mut row = LevelRow::of(view, chosen);
            if let (Some(to), None) = (to, &row.missing) {
                row.add_price(visit, to, &text, view.level).await?;
            }
            rows.push(row);
        }
        choose_stronger(&mut rows);
        Ok(Self { rows, sample })
    }

    /// Whether a price is known.
    pub(super) fn has_prices(&self) -> bool {
        self.rows.iter().any(|row| row.price.is_some())
    }

    /// Whether a message at one of the levels leaves in place of cover.
    pub(super) fn replaces_cover(&self) -> bool {
        let mut prices = self.rows.iter().filter_map(|row| row.price.as_ref());
        prices.any(|price| price.is_cover)
    }
}

impl LevelPrice {
    fn of(price: &EstimateView) -> Self {
        Self {
            time: words::duration(price.wait_ms.saturating_add(price.p95_ms)),
            own: match price.own_bytes {
                0 => "nothing added".to_owned(),
                count => words::bytes(count),
            },
            hops: match price.network_bytes {
                0 => "no cells".to_owned(),
                count => words::bytes(count),
            },
            work: price
                .sealing_ms
                .map_or_else(|| "not measured yet".to_owned(), words::duration),
            is_cover: price.own_bytes == 0,
        }
    }
}

impl LevelRow {
    fn of(view: &LevelView, chosen: Level) -> Self {
        let senders = match view.senders {
            None => String::new(),
            Some(0 | 1) => "not hidden".to_owned(),
            Some(senders) => format!("{senders} nodes"),
        };
        Self {
            word: view.level.word(),
            is_chosen: view.level == chosen,
            missing: view.missing.as_deref().map(words::line),
            price: None,
            senders,
        }
    }

    async fn add_price(
        &mut self,
        visit: &Visit,
        to: &str,
        text: &Zeroizing<String>,
        level: Level,
    ) -> Result<(), PageError> {
        let send = ContactSend {
            to: to.to_owned(),
            text: text.clone(),
            attachment: None,
            level: Some(level),
            life: None,
        };
        match visit.node().contact(ContactCommand::Price(send)).await {
            Ok(ContactReply::Price(price)) => {
                self.price = price.estimate.as_ref().map(LevelPrice::of);
                Ok(())
            }
            Ok(_) => Err(PageError::Unexpected),
            // The level is not possible for this message, for example below the least level of a card.
            Err(PageError::Refused(refusal)) => {
                self.missing = Some(words::line(&refusal.to_string()));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// If the chosen level is missing, chooses the next stronger one that is there; never a weaker one.
fn choose_stronger(rows: &mut [LevelRow]) {
    let mut is_wanted = false;
    for row in rows {
        let was_chosen = core::mem::take(&mut row.is_chosen);
        if (was_chosen || is_wanted) && row.missing.is_none() {
            row.is_chosen = true;
            return;
        }
        is_wanted |= was_chosen;
    }
}

/// Length of the text that prices are for before there is a text.
const SAMPLE_LEN: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn row(word: &'static str, is_chosen: bool, is_missing: bool) -> LevelRow {
        LevelRow {
            word,
            is_chosen,
            missing: is_missing.then(|| "no path".to_owned()),
            price: None,
            senders: String::new(),
        }
    }

    fn chosen(mut rows: Vec<LevelRow>) -> Option<&'static str> {
        choose_stronger(&mut rows);
        let mut chosen = rows.iter().filter(|row| row.is_chosen);
        let word = chosen.next().map(|row| row.word);
        assert!(chosen.next().is_none());
        word
    }

    #[test]
    fn level_that_is_missing_is_replaced_by_a_stronger_one_only() {
        let rows = |missing: [bool; 3]| {
            let [swift, normal, hush] = missing;
            vec![
                row("swift", false, swift),
                row("normal", true, normal),
                row("hush", false, hush),
            ]
        };
        assert_eq!(chosen(rows([false, false, false])), Some("normal"));
        assert_eq!(chosen(rows([false, true, false])), Some("hush"));
        assert_eq!(chosen(rows([false, true, true])), None);
    }
}
