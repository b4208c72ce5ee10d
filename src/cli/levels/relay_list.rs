//! Which rule decides whose relays a path may use, and whether a signed list is about to expire.

use crate::cli::date::UtcTime;
use crate::cli::output::{count, one_line};
use crate::node::{ListInForceView, RelayListView};

/// The rule in one line.
pub(in crate::cli) fn rule(view: Option<&RelayListView>) -> String {
    let Some(view) = view else {
        return "relays: those that this node has known for a day; no signers are pinned \
                (`directory.signers`)"
            .to_owned();
    };
    match &view.in_force {
        Some(list) => format!(
            "relays: the {} that {} list, and no others; list {} of {}, until {}",
            count(list.relays),
            view.rule(),
            short(&list.id),
            UtcTime(list.from).day(),
            UtcTime(list.until).day()
        ),
        None => format!(
            "relays: none, because there is no valid list of {}; levels above `open` wait for one",
            view.rule()
        ),
    }
}

/// The lines of the status: the list in force, and what is wrong with it.
pub(in crate::cli) fn lines(view: Option<&RelayListView>, is_relay: bool) -> Vec<String> {
    let Some(view) = view else {
        return Vec::new();
    };
    let mut lines = vec![match &view.in_force {
        Some(list) => format!(
            "list      {} of {}, signed by {} ({} needed), until {}",
            short(&list.id),
            UtcTime(list.from).day(),
            count(list.signed),
            view.rule(),
            UtcTime(list.until)
        ),
        None => format!("list      none of {}: no path is drawn", view.rule()),
    }];
    let warnings = [
        view.in_force.as_ref().and_then(|list| expiry(view, list)),
        view.expired.map(|until| {
            format!(
                "the last list expired on {}; get the newest from the signers, and give it to the node \
                 with `whisht directory publish`",
                UtcTime(until)
            )
        }),
        view.next_from
            .map(|from| format!("a newer list comes into force on {}", UtcTime(from))),
        view.in_force
            .as_ref()
            .filter(|list| is_relay && !list.names_this_relay)
            .map(|_| "this relay is not on the list, so no node that follows it uses it".to_owned()),
    ];
    let conflicts = view.conflicts.iter().map(|from| {
        format!(
            "two lists are signed for {}, and neither is used; ask the signers",
            UtcTime(*from)
        )
    });
    let warnings = warnings.into_iter().flatten().chain(conflicts);
    lines.extend(warnings.map(|line| format!("          {line}")));
    lines
}

/// The warning before a list expires, if there is no newer one.
fn expiry(view: &RelayListView, list: &ListInForceView) -> Option<String> {
    let days = list.left_secs / 86_400;
    (view.next_from.is_none() && list.left_secs < EXPIRY_WARNING_SECS).then(|| {
        format!(
            "the list expires in {days} days, and no path is drawn then; a peer or `whisht directory \
             publish` must bring a newer one"
        )
    })
}

/// The first 16 digits of an id, which people compare.
fn short(id: &str) -> String {
    one_line(id).chars().take(16).collect()
}

/// Seconds before the end of a list at which the status begins to warn: a week.
const EXPIRY_WARNING_SECS: u32 = 7 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> RelayListView {
        RelayListView {
            signers: 5,
            threshold: 3,
            in_force: Some(ListInForceView {
                id: "ab".repeat(32),
                from: 1_764_547_200,
                until: 1_766_966_400,
                left_secs: 20 * 86_400,
                relays: 43,
                signed: 4,
                names_this_relay: false,
            }),
            next_from: None,
            expired: None,
            conflicts: Vec::new(),
        }
    }

    #[test]
    fn list_in_force_is_named_with_its_signers_and_its_end() {
        let view = view();
        assert_eq!(
            rule(Some(&view)),
            "relays: the 43 that 3 of 5 signers list, and no others; list abababababababab of \
             2025-12-01, until 2025-12-29"
        );
        let lines = lines(Some(&view), false);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(rule(None).contains("known for a day"));
    }

    #[test]
    fn list_near_its_end_and_relay_beside_it_are_warned_of() {
        let mut view = view();
        let list = view.in_force.as_mut().unwrap();
        list.left_secs = 3 * 86_400 + 5;
        view.conflicts = vec![1_764_590_400];
        let lines = lines(Some(&view), true).join("\n");
        for part in [
            "expires in 3 days",
            "this relay is not on the list",
            "two lists are signed",
        ] {
            assert!(lines.contains(part), "{part}: {lines}");
        }
    }

    #[test]
    fn missing_list_stops_paths_and_says_why() {
        let mut view = view();
        (view.in_force, view.expired) = (None, Some(1_764_547_200));
        assert!(rule(Some(&view)).contains("no valid list of 3 of 5 signers"));
        let lines = lines(Some(&view), false).join("\n");
        assert!(lines.contains("no path is drawn"), "{lines}");
        assert!(lines.contains("expired on 2025-12-01"), "{lines}");
    }
}
