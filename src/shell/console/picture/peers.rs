//! This node and its peers, without names or addresses.

use core::f64::consts::TAU;

use super::svg::{Anchor, Canvas, Picture, length};

/// A peer in the picture.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::shell::console) struct PeerDot {
    /// Whether this node dialled it.
    pub(in crate::shell::console) outbound: bool,
    /// Whether it relays cells: it speaks `onion/1`.
    pub(in crate::shell::console) relays: bool,
}

/// This node in the middle, its peers around it: a filled circle relays cells, a hollow square does not. A
/// solid line was dialled by this node, a dashed one by the peer.
pub(in crate::shell::console) fn peers(peers: &[PeerDot]) -> Picture {
    let mut canvas = Canvas::new(WIDTH, HEIGHT, "Links of this node");
    let drawn = peers.len().min(MAX_DRAWN);
    let centre = (WIDTH / 2.0, HEIGHT / 2.0);
    let places: Vec<_> = (0..drawn).map(|index| place(index, drawn)).collect();
    for (peer, at) in peers.iter().zip(&places) {
        let class = if peer.outbound { "link" } else { "link in" };
        canvas.line(class, centre, *at);
    }
    for (peer, at) in peers.iter().zip(&places) {
        if peer.relays {
            canvas.circle("dot", *at, 6.0);
        } else {
            canvas.rect("dot hollow", (at.0 - 5.0, at.1 - 5.0), (10.0, 10.0));
        }
    }
    canvas.circle("self", centre, 22.0);
    canvas.text("on-self", (centre.0, centre.1 + 4.0), Anchor::Middle, "you");
    if peers.is_empty() {
        canvas.text(
            "label",
            (centre.0, HEIGHT - 8.0),
            Anchor::Middle,
            "no peers are connected",
        );
    } else if peers.len() > drawn {
        let more = format!("and {} more", peers.len() - drawn);
        canvas.text("label", (WIDTH, HEIGHT - 6.0), Anchor::End, &more);
    }
    canvas.finish()
}

/// Where a peer stands on the ellipse around this node. Every second one stands farther out, so that many
/// peers do not touch.
fn place(index: usize, count: usize) -> (f64, f64) {
    let angle = TAU * length(index) / length(count.max(1)) - TAU / 4.0;
    let reach = if count > CROWDED && index % 2 == 1 {
        0.74
    } else {
        1.0
    };
    let (across, down) = (WIDTH / 2.0 - 14.0, HEIGHT / 2.0 - 12.0);
    (
        WIDTH / 2.0 + across * reach * angle.cos(),
        HEIGHT / 2.0 + down * reach * angle.sin(),
    )
}

const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 180.0;
/// Peers that are drawn; a number stands for the others.
const MAX_DRAWN: usize = 56;
/// From so many peers on, they stand in two rings.
const CROWDED: usize = 24;
