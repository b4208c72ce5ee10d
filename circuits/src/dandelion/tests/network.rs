//! Stems in a network: where they end, and what black holes and circles do to them.

use super::*;

const PEERS: usize = 8;
const HOP: Duration = Duration::from_millis(62);

struct StemNode {
    stem: StemRouter,
    embargo: Embargo,
    /// What each link leads to: the node there, and its name for the link.
    links: BTreeMap<LinkId, (usize, LinkId)>,
    /// Takes envelopes on the stem and passes none on.
    black_hole: bool,
}

/// How a stem ended.
struct StemEnd {
    hops: usize,
    /// When somebody flooded it, and who.
    flooded: Instant,
    by: usize,
}

/// Nodes that dialled `PEERS` random others each.
fn network(rng: &mut ChaCha20Rng, size: usize, black_holes: usize) -> Vec<StemNode> {
    let mut nodes: Vec<_> = (0..size)
        .map(|number| StemNode {
            stem: StemRouter::new(rng, Instant::ZERO),
            embargo: Embargo::new(1_000),
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

/// Sends one envelope on its stem and waits until somebody floods it.
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
        assert_eq!(node.embargo.watch(rng, now, hash), None);
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
fn stems_end_after_ten_hops_on_average_and_rarely_where_they_began() {
    let mut rng = rng(21);
    let (mut hops, mut at_home) = (0, 0);
    for _ in 0..20 {
        let mut nodes = network(&mut rng, 200, 0);
        for from in 0..100 {
            let end = send(&mut nodes, &mut rng, from, [7; 32]);
            assert!(end.hops > 0);
            hops += end.hops;
            at_home += usize::from(end.by == from);
        }
    }
    // Geometric with p = .1, shortened a little by circles.
    assert!(
        (15_000..22_000).contains(&hops),
        "{hops} hops of 2,000 stems"
    );
    assert!(at_home < 60, "{at_home} of 2,000 ended at home");
}

#[test]
fn black_holes_delay_envelopes_but_lose_none() {
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
    // Whoever is swallowed waits for the first of the embargoes of its stem.
    let at = |percent| late[late.len() * percent / 100];
    assert!(at(50) < Duration::from_secs(40), "median {:?}", at(50));
    assert!(at(99) < Duration::from_secs(300), "p99 {:?}", at(99));
}

#[test]
fn behind_a_black_hole_the_originator_is_one_of_those_that_may_flood() {
    let mut rng = rng(23);
    let (mut longer, mut by_originator) = (0_u32, 0_u32);
    for _ in 0..40 {
        let mut nodes = network(&mut rng, 100, 30);
        for from in 30..100 {
            let end = send(&mut nodes, &mut rng, from, [9; 32]);
            if end.flooded.since(secs(1)) > 40 * HOP && end.hops >= 3 {
                longer += 1;
                by_originator += u32::from(end.by == from);
            }
        }
    }
    // Of three nodes or more, each with the same chance.
    assert!(longer > 300, "{longer} swallowed after three hops or more");
    assert!(
        by_originator * 5 < longer * 2,
        "{by_originator} of {longer}"
    );
}
