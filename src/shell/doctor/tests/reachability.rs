//! What the doctor makes of the reports of peers.

use super::{CheckResult, Finding, NodeCondition, judged, sound_node};
use crate::node::{DialBackOutcome, DialBackView, DialedBackView};

/// The finding on a relay whose peers report this, with so many links that others opened.
fn finding(outcomes: &[DialBackOutcome], inbound: usize) -> Finding {
    let peers = outcomes.iter().map(|outcome| DialedBackView {
        peer: "ab".repeat(64),
        port: 20_819,
        outcome: *outcome,
    });
    let condition = NodeCondition {
        inbound,
        dial_back: Some(DialBackView {
            secs_ago: 3,
            peers: peers.collect(),
        }),
        ..sound_node()
    };
    of_relay(&condition)
}

fn of_relay(condition: &NodeCondition) -> Finding {
    let settings = "relay = true\nlisten = ['127.0.0.1:1']\nadvertise = ['203.0.113.7:20819']\n";
    let mut found = judged(condition, settings).into_iter();
    found
        .find(|finding| finding.check == "reachability")
        .unwrap()
}

#[test]
fn reached_node_is_ok_whatever_peers_that_did_not_dial_report() {
    use DialBackOutcome::{Busy, NeverDials, Reached, Silent};
    let found = finding(&[Reached, Reached, Reached], 0);
    assert_eq!(found.result, CheckResult::Ok);
    assert_eq!(found.text, "dialled back by 3 of 3 peers at port 20819");
    let found = finding(&[Reached, Busy, Silent], 0);
    assert_eq!(found.text, "dialled back by 1 of 1 peers at port 20819");
    let found = finding(&[NeverDials, Silent], 0);
    assert_eq!(found.result, CheckResult::Warning);
    assert!(
        found
            .text
            .contains("no peer dialled it on request: one never dials")
    );
    let found = finding(&[NeverDials, Silent], 2);
    assert_eq!(found.text, "links that others opened: 2");
}

#[test]
fn unreached_port_is_wrong_with_the_remedy_of_its_cause() {
    use DialBackOutcome::{Contradicted, NoAnswer, OtherKey, Refused};
    for (outcome, text, remedy) in [
        (
            NoAnswer,
            "got no answer",
            "open TCP port 20819 in the firewall",
        ),
        (Refused, "was refused", "correct the port in `advertise`"),
        (OtherKey, "found another program", "forward TCP port 20819"),
        (
            Contradicted,
            "reports a connection that never arrived here",
            "copy of the key",
        ),
    ] {
        let found = finding(&[outcome, outcome], 0);
        assert_eq!(found.result, CheckResult::Wrong, "{found:?}");
        let named = format!("none of 2 peers reached port 20819: one {text}");
        assert_eq!(found.text, named);
        assert!(found.remedy.unwrap().contains(remedy), "{outcome:?}");
    }
}

/// Attack: a peer lies about its dial.
#[test]
fn reports_that_differ_are_a_warning() {
    use DialBackOutcome::{Contradicted, NoAnswer, Reached};
    let found = finding(&[Reached, NoAnswer, Reached], 0);
    assert_eq!(found.result, CheckResult::Warning);
    assert!(
        found.text.contains("2 of 3 peers reached port 20819"),
        "{found:?}"
    );
    let found = finding(&[Reached, Contradicted], 0);
    assert_eq!(found.result, CheckResult::Warning);
    let found = finding(&[NoAnswer], 4);
    assert_eq!(found.result, CheckResult::Warning);
    assert!(found.text.contains("links that others opened: 4"));
}

#[test]
fn reason_why_no_peer_was_asked_is_shown() {
    let condition = NodeCondition {
        inbound: 0,
        not_asked: Some("no peer that this node dialled can dial it".to_owned()),
        ..sound_node()
    };
    let found = of_relay(&condition);
    assert_eq!(found.result, CheckResult::Warning);
    assert!(
        found
            .text
            .ends_with("no peer that this node dialled can dial it")
    );
}
