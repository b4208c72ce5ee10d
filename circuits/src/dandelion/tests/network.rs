//! Stems in a network: stem length, black holes and routing loops.

use super::*;

const PEERS: usize = 8;
const HOP: Duration = Duration::from_millis(62);

struct StemNode {
    stem: StemRouter,
    embargo: Embargo,
    /// For each link, the node at its other end and the id of the link there.
    links: BTreeMap<LinkId, (usize, LinkId)>,
    /// Accepts envelopes on the stem and forwards none.
    black_hole: bool,
}

/// Result of one stem.
struct StemEnd {
    hops: usize,
    /// Time of the flood.
    flooded: Instant,
    /// The node that flooded the envelope.
    by: usize,
}

/// A network in which each node dialled `PEERS` random other nodes.
fn network(rng: &mut ChaCha20Rng, size: usize, black_holes: usize) -> Vec<StemNode> {
    let mut nodes: Vec<_> = (0..size)
        .map(|number| StemNode {
            stem: StemRouter::new(rng, Instant::ZERO),
            embargo: Embargo::default(),
            links: BTreeMap::new(),
            black_hole: number < black_holes,
        })
        .collect();
    for dialler in 0..size {
        let mut outbound = Vec::new();
        while outbound.len() < PEERS {
            let bound = u32::try_from(size).unwrap();
            let peer = usize::try_from(distributions::below(rng, bound)).unwrap();
            if peer == dialler {
                continue;
            }
            let here = LinkId(u64::try_from(nodes[dialler].links.len()).unwrap());
            let there = LinkId(u64::try_from(nodes[peer].links.len()).unwrap());
            nodes[dialler].links.insert(here, (peer, there));
            nodes[peer].links.insert(there, (dialler, here));
            outbound.push(here);
        }
        nodes[dialler].stem.set_successor_candidates(rng, &outbound);
    }
    nodes
}

/// Sends one envelope on its stem and waits until a node floods it.
fn send(nodes: &mut [StemNode], rng: &mut ChaCha20Rng, from: usize, hash: [u8; 32]) -> StemEnd {
    let mut now = secs(1);
    let (mut place, mut origin) = (from, StemOrigin::Own);
    let mut crossed = BTreeSet::new();
    let mut hops = 0;
    let ended = loop {
        let node = &mut nodes[place];
        if node.black_hole && hops > 0 {
            break None;
        }
        node.embargo.watch(rng, now, hash);
        if let StemOrigin::From(link) = origin
            && !crossed.insert((place, link))
        {
            break Some((now, place));
        }
        match node.stem.route(rng, now, origin) {
            StemRoute::Fluff => break Some((now, place)),
            StemRoute::NoSuccessors => panic!("every node has successors"),
            StemRoute::To(link) => {
                let (peer, there) = node.links[&link];
                (place, origin) = (peer, StemOrigin::From(there));
                now = now.after(HOP);
                hops += 1;
            }
        }
    };
    let (flooded, by) = ended.unwrap_or_else(|| {
        let watching = nodes.iter().enumerate();
        watching
            .filter_map(|(number, node)| Some((node.embargo.next_due()?, number)))
            .min()
            .unwrap()
    });
    for node in nodes {
        node.embargo.seen(&hash);
    }
    StemEnd { hops, flooded, by }
}

#[test]
fn stem_ends_after_ten_hops_on_average_and_rarely_at_origin() {
    let mut rng = rng(21);
    let (mut hops, mut at_origin) = (0, 0);
    for _ in 0..20 {
        let mut nodes = network(&mut rng, 200, 0);
        for from in 0..100 {
            let end = send(&mut nodes, &mut rng, from, [7; 32]);
            assert!(end.hops > 0);
            hops += end.hops;
            at_origin += usize::from(end.by == from);
        }
    }
    // Geometric with p = .1, shortened slightly by loops.
    assert!(
        (15_000..22_000).contains(&hops),
        "{hops} hops of 2,000 stems"
    );
    assert!(at_origin < 60, "{at_origin} of 2,000 ended at the origin");
}

#[test]
fn black_holes_delay_envelopes_and_lose_none() {
    let mut rng = rng(22);
    let mut late = Vec::new();
    for _ in 0..20 {
        let mut nodes = network(&mut rng, 100, 20);
        for from in 20..100 {
            let end = send(&mut nodes, &mut rng, from, [8; 32]);
            late.push(end.flooded.since(secs(1)));
        }
    }
    late.sort_unstable();
    // An envelope lost in a black hole waits for the first embargo of its stem.
    let at = |percent| late[late.len() * percent / 100];
    assert!(at(50) < Duration::from_secs(40), "median {:?}", at(50));
    assert!(at(99) < Duration::from_secs(300), "p99 {:?}", at(99));
}

#[test]
fn embargo_flood_does_not_reveal_originator() {
    let mut rng = rng(23);
    let (mut lost, mut by_originator) = (0_u32, 0_u32);
    for _ in 0..40 {
        let mut nodes = network(&mut rng, 100, 30);
        for from in 30..100 {
            let end = send(&mut nodes, &mut rng, from, [9; 32]);
            if end.flooded.since(secs(1)) > 40 * HOP && end.hops >= 3 {
                lost += 1;
                by_originator += u32::from(end.by == from);
            }
        }
    }
    // Three or more nodes may flood, each with the same probability.
    assert!(lost > 300, "{lost} envelopes lost after three hops or more");
    assert!(by_originator * 5 < lost * 2, "{by_originator} of {lost}");
}
