//! `/network`: what this node sees of the network, as pictures and a table of facts on one screen.
//!
//! Not on the page: addresses and keys of peers, which relay is the guard, paths, times finer than a minute.
//! `/network/coarse` is for screenshots: counts are powers of two, and own cells are left out.

mod facts;

use std::collections::BTreeSet;

use askama::Template;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use circuits::level::Level;

use self::facts::{Fact, GuardState, facts};
use super::ask::PageError;
use super::layout::{Layout, Nav, html};
use super::picture::{LevelBar, PeerDot, Picture, history, levels, peers, relays, share};
use super::precision::Precision;
use super::server::Shared;
use super::visit::Visit;
use crate::node::{Command, LevelView, PeerView, RelayView, Reply, StatusView};

/// The routes of this page.
pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/network", get(exact))
        .route("/network/coarse", get(coarse))
}

#[derive(Template)]
#[template(path = "network.html", config = "src/shell/console/askama.toml")]
struct NetworkPage {
    layout: Layout,
    is_coarse: bool,
    facts: Vec<Fact>,
    levels: Picture,
    /// Why levels are not available.
    missing: Vec<(&'static str, String)>,
    peers: Picture,
    peer_counts: PeerCounts,
    relays: Picture,
    relay_counts: RelayCounts,
    history: Picture,
    loops: Option<Picture>,
    alarm: Option<String>,
}

struct PeerCounts {
    all: u64,
    relays: u64,
    inbound: u64,
}

struct RelayCounts {
    all: u64,
    usable: u64,
    subnets: u64,
}

/// What the page is drawn from.
struct Seen {
    status: StatusView,
    peers: Vec<PeerView>,
    relays: Vec<RelayView>,
}

async fn exact(visit: Visit) -> Result<Response, PageError> {
    page(&visit, Precision::Exact, "/network").await
}

async fn coarse(visit: Visit) -> Result<Response, PageError> {
    page(&visit, Precision::Coarse, "/network/coarse").await
}

async fn page(visit: &Visit, precision: Precision, path: &str) -> Result<Response, PageError> {
    let seen = Seen {
        status: visit.node().status().await?,
        peers: match visit.node().command(Command::Peers).await? {
            Reply::Peers(peers) => peers,
            _ => return Err(PageError::Unexpected),
        },
        relays: match visit.node().command(Command::Relays).await? {
            Reply::Relays(relays) => relays,
            _ => return Err(PageError::Unexpected),
        },
    };
    let layout = visit.layout(Nav::Network).refreshing(path);
    let history = history(&visit.state().traffic().series(precision));
    Ok(html(&draw(layout, &seen, history, precision)))
}

fn draw(layout: Layout, seen: &Seen, history: Picture, precision: Precision) -> NetworkPage {
    let Seen { status, .. } = seen;
    let emission = &status.emission;
    let of_u32 = |count: u32| u32::try_from(precision.of(u64::from(count))).unwrap_or(u32::MAX);
    let has_loops = emission.loops_returned > 0 || emission.loops_lost > 0;
    NetworkPage {
        layout,
        is_coarse: precision == Precision::Coarse,
        facts: facts(status, guard(seen), precision),
        levels: levels(&bars(status, precision)),
        missing: missing(status),
        peers: peers(&dots(&seen.peers, precision)),
        peer_counts: peer_counts(&seen.peers, precision),
        relays: relays(coarse_part(&seen.relays, precision)),
        relay_counts: relay_counts(&seen.relays, precision),
        history,
        loops: has_loops.then(|| {
            share(
                "Loops of cover traffic",
                (of_u32(emission.loops_returned), "returned"),
                (of_u32(emission.loops_lost), "lost"),
            )
        }),
        alarm: emission.alarm.as_ref().map(|alarm| alarm.fault.clone()),
    }
}

/// The first relays or peers, as many as the precision shows.
fn coarse_part<T>(all: &[T], precision: Precision) -> &[T] {
    all.get(..precision.of_len(all.len())).unwrap_or(all)
}

/// The levels that a user can choose.
fn chosen(status: &StatusView) -> impl Iterator<Item = &LevelView> {
    let levels = status.levels.iter();
    levels.filter(|view| view.level != Level::Bulletin)
}

fn bars(status: &StatusView, precision: Precision) -> Vec<LevelBar> {
    let bar = |view: &LevelView| LevelBar {
        word: view.level.word(),
        senders: view.senders.map(|count| precision.of_len(count)),
    };
    chosen(status).map(bar).collect()
}

fn missing(status: &StatusView) -> Vec<(&'static str, String)> {
    let reason = |view: &LevelView| Some((view.level.word(), view.missing.clone()?));
    chosen(status).filter_map(reason).collect()
}

fn dots(all: &[PeerView], precision: Precision) -> Vec<PeerDot> {
    let mut dots: Vec<_> = coarse_part(all, precision).iter().map(dot).collect();
    // In no order that tells which peer is which.
    dots.sort_unstable_by_key(|dot| (dot.outbound, dot.relays));
    dots
}

fn dot(peer: &PeerView) -> PeerDot {
    let speaks_onion = |name: &String| name.starts_with("onion/");
    PeerDot {
        outbound: peer.outbound,
        relays: peer.capabilities.iter().any(speaks_onion),
    }
}

fn peer_counts(all: &[PeerView], precision: Precision) -> PeerCounts {
    let count = |is: fn(&PeerView) -> bool| {
        let counted = all.iter().filter(|peer| is(peer)).count();
        precision.of(u64::try_from(counted).unwrap_or(u64::MAX))
    };
    PeerCounts {
        all: count(|_| true),
        relays: count(|peer| dot(peer).relays),
        inbound: count(|peer| !peer.outbound),
    }
}

fn relay_counts(all: &[RelayView], precision: Precision) -> RelayCounts {
    let subnets: BTreeSet<&str> = all.iter().map(|relay| &*relay.subnet).collect();
    let usable = all.iter().filter(|relay| relay.eligible).count();
    let [all, usable, subnets] = [all.len(), usable, subnets.len()]
        .map(|count| precision.of(u64::try_from(count).unwrap_or(u64::MAX)));
    RelayCounts {
        all,
        usable,
        subnets,
    }
}

/// Whether a guard is chosen, and whether its link is up. Which relay it is stays here.
fn guard(seen: &Seen) -> GuardState {
    let Some(chosen) = seen.relays.iter().find(|relay| relay.guard) else {
        return GuardState::NotSet;
    };
    let is_linked = seen
        .peers
        .iter()
        .any(|peer| facts::relay_id(&peer.key).as_deref() == Some(&*chosen.id));
    if is_linked {
        GuardState::Up
    } else {
        GuardState::Down
    }
}

#[cfg(test)]
mod tests;
