//! Whether others can connect to the node: what peers report that dialled it, and the links that others
//! opened.
//!
//! A peer that reports success is checked by the node, which saw the connection. Any other report is the word
//! of one peer: when reports differ, the doctor warns and decides nothing.

use super::Finding;
use super::node::NodeCondition;
use crate::config::{Config, Listen};
use crate::node::{DialBackOutcome, DialBackView};

/// Judges whether others reach the node.
pub(super) fn judge(condition: &NodeCondition, config: &Config) -> Finding {
    let accepts = config.listen != Listen::Nowhere || (config.node.relay && config.tor.is_on());
    if !accepts {
        return Finding::ok(CHECK, "this node accepts no connections, as configured");
    }
    match condition.dial_back.as_ref().and_then(DialCount::of) {
        Some(count) => by_dials(&count, condition.inbound),
        None => by_links(condition, config),
    }
}

/// The reports of peers that dialled.
struct DialCount {
    reached: usize,
    tried: usize,
    /// The port that they were asked to dial: of a failure, if there is one.
    port: u16,
    /// The first failure.
    failure: Option<DialBackOutcome>,
    /// How long ago, if it was not just now.
    age: String,
}

impl DialCount {
    /// `None` if no peer tried.
    fn of(view: &DialBackView) -> Option<Self> {
        let reports = view.peers.iter().filter(|peer| peer.outcome.is_evidence());
        let (reached, failed): (Vec<_>, Vec<_>) =
            reports.partition(|peer| peer.outcome == DialBackOutcome::Reached);
        let failure = failed.first();
        let shown = failure.or_else(|| reached.first())?;
        Some(Self {
            reached: reached.len(),
            tried: reached.len().saturating_add(failed.len()),
            port: shown.port,
            failure: failure.map(|peer| peer.outcome),
            age: match view.secs_ago / 60 {
                0 => String::new(),
                1.. => format!(", {} min ago", view.secs_ago / 60),
            },
        })
    }
}

fn by_dials(count: &DialCount, inbound: usize) -> Finding {
    let DialCount {
        reached,
        tried,
        port,
        failure,
        age,
    } = count;
    let Some(failure) = failure else {
        let text = format!("dialled back by {reached} of {tried} peers at port {port}{age}");
        return Finding::ok(CHECK, text);
    };
    let words = failure.words();
    if *reached > 0 {
        return Finding::warning(
            CHECK,
            format!("{reached} of {tried} peers reached port {port}{age}; one {words}"),
            "ask again in ten minutes: a peer may be wrong, or a firewall closes the port to some networks",
        );
    }
    let text = format!("none of {tried} peers reached port {port}{age}: one {words}");
    if inbound > 0 {
        return Finding::warning(
            CHECK,
            format!("{text}; links that others opened: {inbound}"),
            "ask again in ten minutes: the peers may be wrong, or others use another address of this node",
        );
    }
    Finding::wrong(CHECK, text, remedy(*failure, *port))
}

fn remedy(failure: DialBackOutcome, port: u16) -> String {
    match failure {
        DialBackOutcome::Refused | DialBackOutcome::OtherKey => format!(
            "forward TCP port {port} of the public address to the listener of this node, or correct the port in \
             `advertise`"
        ),
        DialBackOutcome::Contradicted => format!(
            "find out which machine answers at TCP port {port} of the public address: it may use a copy of the \
             key of this node, or the peer is wrong"
        ),
        _ => format!(
            "open TCP port {port} in the firewall of this machine, and forward it to this machine in the router"
        ),
    }
}

/// Links that others opened prove that the node can be reached; their absence proves nothing.
fn by_links(condition: &NodeCondition, config: &Config) -> Finding {
    if condition.inbound > 0 {
        let text = format!("links that others opened: {}", condition.inbound);
        return Finding::ok(CHECK, text);
    }
    let why = match (&condition.not_asked, &condition.dial_back) {
        (Some(reason), _) => reason.clone(),
        (None, Some(view)) => match view.peers.first() {
            Some(peer) => format!(
                "no peer dialled it on request: one {}",
                peer.outcome.words()
            ),
            None => "no peer was asked to dial it".to_owned(),
        },
        (None, None) => "no peer was asked to dial it".to_owned(),
    };
    if config.node.relay {
        return Finding::warning(
            CHECK,
            format!("no peer has a link that it opened to this relay; {why}"),
            "allow the port in the firewall, forward it in the router, and ask another operator to add the \
             enode URL that `whisht run` prints",
        );
    }
    let text = format!("no peer has a link that it opened to this node; {why}");
    Finding::not_checked(CHECK, text)
}

const CHECK: &str = "reachability";
