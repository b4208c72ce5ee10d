//! Lists with checkboxes: what the user has chosen, and the page that asks once more before it is erased.

use std::collections::BTreeMap;

use askama::Template;
use serde::{Deserialize, Deserializer, de};

use super::layout::Layout;

/// The chosen rows of a list, and the button that was pressed. A row with the number 3 has the field `s3`.
pub(super) struct Selection {
    chosen: Vec<u64>,
    action: SelectAction,
    is_confirmed: bool,
}

/// A button below a list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum SelectAction {
    /// Star the rows.
    Star,
    /// Take their stars away.
    Unstar,
    /// Mark them as read.
    Read,
    /// Erase them; needs a confirmation.
    Erase,
}

impl Selection {
    /// The numbers of the chosen rows, without repetition.
    pub(super) fn chosen(&self) -> impl Iterator<Item = u64> {
        self.chosen.iter().copied()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.chosen.is_empty()
    }

    pub(super) const fn action(&self) -> SelectAction {
        self.action
    }

    /// Whether the user has seen the list of what will be erased.
    pub(super) const fn is_confirmed(&self) -> bool {
        self.is_confirmed
    }
}

impl<'de> Deserialize<'de> for Selection {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let fields = BTreeMap::<String, String>::deserialize(from)?;
        let action = match fields.get("action").map(String::as_str) {
            Some("star") => SelectAction::Star,
            Some("unstar") => SelectAction::Unstar,
            Some("read") => SelectAction::Read,
            Some("erase") => SelectAction::Erase,
            _ => return Err(de::Error::custom("the form names no action of this list")),
        };
        let numbers = fields.keys().filter_map(|name| name.strip_prefix('s'));
        Ok(Self {
            chosen: numbers.filter_map(|number| number.parse().ok()).collect(),
            action,
            is_confirmed: fields.contains_key("confirmed"),
        })
    }
}

/// Asks once more before something is erased.
#[derive(Template)]
#[template(path = "confirm.html", config = "src/shell/console/askama.toml")]
pub(super) struct ConfirmPage {
    pub(super) layout: Layout,
    pub(super) title: &'static str,
    /// What will be erased, one line each.
    pub(super) items: Vec<String>,
    pub(super) warning: &'static str,
    /// Where the form goes.
    pub(super) path: String,
    /// The rows, by number.
    pub(super) chosen: Vec<u64>,
    /// Where a user goes who keeps them.
    pub(super) back: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &[(&str, &str)]) -> Result<Selection, de::value::Error> {
        let fields = fields.iter().copied();
        Selection::deserialize(de::value::MapDeserializer::new(fields))
    }

    #[test]
    fn selection_has_the_checked_rows_and_the_button() {
        let form = [
            ("s3", "yes"),
            ("s12", "yes"),
            ("token", "s4"),
            ("action", "read"),
        ];
        let selection = of(&form).unwrap();
        assert_eq!(selection.chosen().collect::<Vec<_>>(), [12, 3]);
        assert_eq!(selection.action(), SelectAction::Read);
        assert!(!selection.is_confirmed());
    }

    #[test]
    fn selection_without_a_known_button_is_refused() {
        assert!(of(&[("s3", "yes")]).is_err());
        assert!(of(&[("s3", "yes"), ("action", "publish")]).is_err());
    }

    #[test]
    fn erasure_is_confirmed_by_a_field_of_its_own() {
        let confirmed = [("s3", "yes"), ("action", "erase"), ("confirmed", "yes")];
        assert!(of(&confirmed).unwrap().is_confirmed());
        assert!(!of(&confirmed[..2]).unwrap().is_confirmed());
    }
}
