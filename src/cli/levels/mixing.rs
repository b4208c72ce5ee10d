//! What mixing protects from, in words.
//!
//! Every figure comes from the node, which takes it from the simulator's table. The words state who the
//! adversary is before what it learns.

use crate::cli::output::{grouped, one_line};
use crate::node::{EstimateView, MixingView, ProtectionView};
use crate::protection::ASSUMPTIONS;

/// The network that mixes, and an adversary's success in it.
pub(super) fn lines(mixing: Option<&MixingView>) -> Vec<String> {
    let Some(mixing) = mixing else {
        return vec![
            "mixing network: relays have not stated yet how many cells they receive, so no figure exists"
                .to_owned(),
        ];
    };
    let MixingView {
        delay_secs,
        rate,
        pool,
        relays,
        smallest_layer,
        senders,
        protection,
    } = mixing;
    let mut lines = vec![format!(
        "mixing network: {relays} relays, {smallest_layer} in the smallest of five layers; {rate:.1} cells a \
         second at a typical relay, a mean delay of {delay_secs} s at each, so {pool:.0} cells wait together; \
         about {} senders",
        grouped((*senders).into())
    )];
    if protection.is_empty() {
        lines.push(
            "no figure exists for a network as small as this: the simulator's table begins with larger ones"
                .to_owned(),
        );
    }
    lines.extend(protection.iter().map(success));
    if !protection.is_empty() {
        lines.push(
            "these are upper bounds for an adversary that only watches; --assumptions lists what they assume"
                .to_owned(),
        );
    }
    lines
}

/// One adversary's success.
fn success(view: &ProtectionView) -> String {
    let linked: Vec<String> = view
        .linked
        .iter()
        .map(|linked| format!("{} with {} linked messages", linked.one_in, linked.messages))
        .collect();
    let linked = if linked.is_empty() {
        String::new()
    } else {
        format!("; once in {}", linked.join(", "))
    };
    format!(
        "an observer of every line with {} of the relays and every rendezvous would guess the sender of a \
         message right once in {}; with more than 10 % certainty for {} of the messages, with more than 50 % \
         for {}{linked} (simulated: {} senders, {} relays, {} s)",
        share(view.hostile),
        view.one_in,
        percent(view.above_tenth),
        percent(view.above_half),
        grouped(view.senders.into()),
        grouped(view.relays.into()),
        view.delay_secs,
    )
}

/// A share of the relays in words.
fn share(hostile: f64) -> String {
    let known = [(0.1, "a tenth"), (0.2, "a fifth"), (0.25, "a quarter")];
    let known = known
        .iter()
        .find(|(value, _)| (value - hostile).abs() < 1e-6);
    known.map_or_else(|| percent(hostile), |(_, words)| (*words).to_owned())
}

/// A share as a percentage with two significant digits, rounded up.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let digits = match percent {
        10.0.. => 0,
        1.0.. => 1,
        _ => 2,
    };
    let scale = 10_f64.powi(digits);
    let precision = usize::try_from(digits).unwrap_or(0);
    format!(
        "{:.precision$} %",
        (percent * scale - 1e-9).max(0.0).ceil() / scale
    )
}

/// What every figure assumes.
pub(super) fn assumptions() -> Vec<String> {
    ASSUMPTIONS.iter().map(|line| format!("- {line}")).collect()
}

/// What one message costs, beyond the table of costs.
pub(super) fn price(estimate: &EstimateView) -> Option<String> {
    let arrives = estimate.first_attempt?;
    let envelopes = match estimate.envelopes {
        1 => "1 envelope".to_owned(),
        many => format!("{many} envelopes"),
    };
    let own = match estimate.own_bytes {
        0 => "its cells leave in place of cover, so your line carries nothing more".to_owned(),
        bytes => format!("your line carries {} bytes more", grouped(bytes)),
    };
    Some(one_line(&format!(
        "{}: {envelopes}, each with its own proof of work; the first cell leaves after {:.1} s on average; {own}; \
         every node receives {} bytes; {:.0} % of first attempts arrive, later ones take longer",
        estimate.level,
        std::time::Duration::from_millis(estimate.wait_ms).as_secs_f64(),
        grouped(estimate.flood_bytes),
        (arrives * 100.0).floor(),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::LinkedView;

    fn mixing(protection: Vec<ProtectionView>) -> MixingView {
        MixingView {
            delay_secs: 3,
            rate: 26.9,
            pool: 80.7,
            relays: 60,
            smallest_layer: 11,
            senders: 1_533,
            protection,
        }
    }

    #[test]
    fn success_names_the_adversary_the_tail_and_linked_messages() {
        let view = ProtectionView {
            hostile: 0.2,
            one_in: 192,
            above_tenth: 0.000_31,
            above_half: 0.0,
            linked: vec![
                LinkedView {
                    messages: 3,
                    one_in: 90,
                },
                LinkedView {
                    messages: 10,
                    one_in: 40,
                },
            ],
            senders: 600,
            relays: 60,
            delay_secs: 3,
        };
        let lines = lines(Some(&mixing(vec![view])));
        assert!(lines[0].contains("60 relays") && lines[0].contains("1,533 senders"));
        assert!(lines[1].contains("with a fifth of the relays and every rendezvous"));
        assert!(lines[1].contains("right once in 192"));
        assert!(lines[1].contains("for 0.04 % of the messages"), "{lines:?}");
        assert!(lines[1].contains("once in 90 with 3 linked messages, 40 with 10 linked"));
        assert!(lines[2].contains("--assumptions"));
    }

    #[test]
    fn network_outside_of_the_table_has_no_figure() {
        let lines = lines(Some(&mixing(Vec::new())));
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[1].starts_with("no figure exists"), "{lines:?}");
    }

    #[test]
    fn share_is_rounded_up_to_a_percentage() {
        assert_eq!(percent(0.0), "0.00 %");
        assert_eq!(percent(0.000_31), "0.04 %");
        assert_eq!(percent(0.0411), "4.2 %");
        assert_eq!(percent(0.25), "25 %");
        assert_eq!(share(0.1), "a tenth");
        assert_eq!(share(0.3), "30 %");
    }
}
