use super::*;

fn cell(number: u8) -> Cell {
    let mut bytes = [number; CELL_LEN];
    bytes[0] = 0x10;
    Cell::parse(&bytes).unwrap()
}

fn number(cell: &Cell) -> u8 {
    cell.as_bytes()[1]
}

fn offer(
    ingress: &mut IngressQueue,
    now: Instant,
    from: u64,
    number: u8,
) -> Result<(), DropReason> {
    offer_as(ingress, now, from, LinkClass::Unlisted, number)
}

fn offer_as(
    ingress: &mut IngressQueue,
    now: Instant,
    from: u64,
    class: LinkClass,
    number: u8,
) -> Result<(), DropReason> {
    ingress.admit(now, LinkId(from), class)?;
    ingress.push(LinkId(from), class, cell(number))
}

/// Cells per second that one link gets through, of 1,000 offered, over a minute.
fn sustained(class: LinkClass) -> usize {
    let mut ingress = IngressQueue::new(RelayLimits::default());
    let mut admitted = 0;
    for tick in 0..60_000 {
        let now = second(1).after(Duration::from_millis(tick));
        let cell = offer_as(&mut ingress, now, 1, class, 0);
        // The burst is over after twenty seconds.
        admitted += usize::from(tick >= 20_000 && cell.is_ok());
        drain(&mut ingress, now);
    }
    admitted / 40
}

#[test]
fn rate_of_listed_relay_follows_number_of_relays() {
    let rate = |relays| sustained(LinkClass::Listed { relays });
    assert_eq!(sustained(LinkClass::Unlisted), 20);
    // Ten clients of a relay in a network of 60: 30 KB/s in all, over the relays of one layer.
    for (relays, expected) in [(2, 250), (11, 250), (26, 100), (61, 41), (1_000, 20)] {
        let got = rate(relays);
        assert!(got.abs_diff(expected) <= 1, "{relays} relays: {got}/s");
    }
}

#[test]
fn flood_from_links_of_unknown_peers_leaves_half_of_peeling_to_relays() {
    let mut ingress = IngressQueue::new(RelayLimits::default());
    let relay = LinkClass::Listed { relays: 12 };
    let (mut offered, mut served, mut peeled) = (0, 0, 0);
    for tick in 0..10_000 {
        let now = second(1).after(Duration::from_millis(tick));
        // 200 links of 20 cells a second are eight times what a relay peels.
        for link in 0..200 {
            if tick % 50 == link % 50 {
                let _ = offer(&mut ingress, now, 1_000 + link, 0);
            }
        }
        if tick % 5 == 0 {
            offer_as(&mut ingress, now, 1, relay, 1).unwrap();
            offered += 1;
        }
        let cells = drain(&mut ingress, now);
        peeled += cells.len();
        served += cells.iter().filter(|(from, _)| *from == 1).count();
    }
    assert!(peeled > 4_900, "{peeled}");
    assert!(offered - served <= 2, "{served} of {offered} were peeled");
}

/// All cells that can be popped at `now`, as (link, number).
fn drain(ingress: &mut IngressQueue, now: Instant) -> Vec<(u64, u8)> {
    let pop = || ingress.pop(now);
    std::iter::from_fn(pop)
        .map(|(from, cell)| (from.0, number(&cell)))
        .collect()
}

fn second(n: u64) -> Instant {
    Instant::from_micros(n * 1_000_000)
}

#[test]
fn peers_are_served_in_turn_and_their_cells_in_order() {
    let mut ingress = IngressQueue::new(RelayLimits::default());
    for n in 0..3 {
        offer(&mut ingress, second(1), 1, n).unwrap();
    }
    offer(&mut ingress, second(1), 2, 9).unwrap();
    let order = drain(&mut ingress, second(1));
    assert_eq!(order, [(1, 0), (2, 9), (1, 1), (1, 2)]);
}

#[test]
fn a_flood_from_one_peer_costs_the_others_nothing() {
    let mut ingress = IngressQueue::new(RelayLimits::default());
    let mut served = 0;
    let mut honest = 0;
    for tick in 0..10_000 {
        let now = Instant::from_micros(tick * 1_000);
        for _ in 0..5 {
            let _ = offer(&mut ingress, now, 666, 0);
        }
        if tick % 100 == 0 {
            offer(&mut ingress, now, tick % 7, 1).unwrap();
            honest += 1;
        }
        served += drain(&mut ingress, now)
            .iter()
            .filter(|(_, n)| *n == 1)
            .count();
    }
    assert_eq!(served, honest);
}

#[test]
fn many_flooding_peers_leave_room_for_one_that_does_not() {
    let mut ingress = IngressQueue::new(RelayLimits {
        waiting: 200,
        peel_rate: 50,
        ..RelayLimits::default()
    });
    let mut served = 0;
    for tick in 0..600 {
        let now = Instant::from_micros(tick * 100_000);
        for sybil in 0..40 {
            let _ = offer(&mut ingress, now, 1_000 + sybil, 0);
            let _ = offer(&mut ingress, now, 1_000 + sybil, 0);
        }
        if tick % 30 == 0 {
            offer(&mut ingress, now, 1, 1).unwrap();
        }
        assert!(ingress.len() <= 200);
        served += drain(&mut ingress, now)
            .iter()
            .filter(|(from, _)| *from == 1)
            .count();
    }
    assert!(served >= 19, "served {served} of 20");
    assert!(ingress.evicted() > 0);
}

#[test]
fn a_burst_passes_and_more_is_dropped_not_queued() {
    let mut ingress = IngressQueue::new(RelayLimits::default());
    for n in 0..100 {
        assert_eq!(offer(&mut ingress, second(1), 1, n), Ok(()));
    }
    assert_eq!(
        offer(&mut ingress, second(1), 1, 100),
        Err(DropReason::Flooding)
    );
    assert_eq!(ingress.len(), 100);
}

#[test]
fn one_peer_never_has_more_than_its_burst_waiting() {
    let mut ingress = IngressQueue::new(RelayLimits {
        peel_rate: 0,
        ..RelayLimits::default()
    });
    let mut last = Ok(());
    for tick in 0..1_000 {
        last = offer(&mut ingress, Instant::from_micros(tick * 50_000), 1, 0);
    }
    assert_eq!(last, Err(DropReason::Crowded));
    assert_eq!(ingress.len(), 100);
}

#[test]
fn peeling_keeps_its_rate_whatever_waits() {
    let mut ingress = IngressQueue::new(RelayLimits::default());
    let mut peeled = 0;
    for tick in 0..1_000 {
        let now = Instant::from_micros(tick * 10_000);
        for link in 0..100 {
            let _ = offer(&mut ingress, now, link, 0);
        }
        peeled += drain(&mut ingress, now).len();
    }
    assert!((4_990..=5_030).contains(&peeled), "{peeled} in ten seconds");
}

#[test]
fn the_next_instant_of_work_is_told_and_is_right() {
    let mut ingress = IngressQueue::new(RelayLimits::default());
    assert_eq!(ingress.next_due(), None);
    for n in 0..100 {
        offer(&mut ingress, second(1), 1, n).unwrap();
    }
    drain(&mut ingress, second(1));
    let due = ingress.next_due().unwrap();
    assert!(due > second(1));
    assert!(
        ingress
            .pop(Instant::from_micros(due.as_micros() - 1))
            .is_none()
    );
    assert!(ingress.pop(due).is_some());
}

#[test]
fn idle_peers_are_forgotten() {
    let mut ingress = IngressQueue::new(RelayLimits::default());
    for link in 0..1_000 {
        let now = Instant::from_micros(link * 100_000);
        offer(&mut ingress, now, link, 0).unwrap();
        drain(&mut ingress, now);
    }
    assert!(ingress.rates.len() < 10, "{} links", ingress.rates.len());
}

#[test]
fn peer_that_reconnects_gains_no_share() {
    let mut ingress = IngressQueue::new(RelayLimits::default());
    for link in 1..=20 {
        offer(&mut ingress, Instant::ZERO, link, 7).unwrap();
        offer(&mut ingress, Instant::ZERO, link, 7).unwrap();
        ingress.on_link_closed(LinkId(link));
    }
    for _ in 0..5 {
        offer(&mut ingress, Instant::ZERO, 99, 9).unwrap();
    }
    let mut now = Instant::ZERO;
    let mut served = Vec::new();
    while served.len() < 10 {
        now = now.after(Duration::from_millis(10));
        served.extend(ingress.pop(now).map(|(_, cell)| number(&cell)));
    }
    let honest = served.iter().filter(|number| **number == 9).count();
    assert_eq!(
        honest, 5,
        "every other cell is the honest peer's: {served:?}"
    );
}

/// The links of the next cells, of which so many are those of a relay and of an unknown peer.
fn order_of_turns(listed: u8, unlisted: u8) -> Vec<u64> {
    let mut ingress = IngressQueue::new(RelayLimits::default());
    let relay = LinkClass::Listed { relays: 12 };
    for number in 0..listed {
        offer_as(&mut ingress, second(1), 1, relay, number).unwrap();
    }
    for number in 0..unlisted {
        offer(&mut ingress, second(1), 2, number).unwrap();
    }
    let order = drain(&mut ingress, second(1));
    assert_eq!(ingress.len(), 0);
    order.into_iter().map(|(from, _)| from).collect()
}

#[test]
fn classes_take_turns_until_one_has_no_cell() {
    assert_eq!(order_of_turns(3, 3), [1, 2, 1, 2, 1, 2]);
    assert_eq!(order_of_turns(1, 3), [1, 2, 2, 2]);
    assert_eq!(order_of_turns(3, 1), [1, 2, 1, 1]);
    assert_eq!(order_of_turns(2, 0), [1, 1]);
    assert_eq!(order_of_turns(0, 2), [2, 2]);
}

/// A relay that connects again and again would leave a bucket for each link.
#[test]
fn rates_of_closed_links_are_forgotten() {
    let mut ingress = IngressQueue::new(RelayLimits::default());
    let relay = LinkClass::Listed { relays: 12 };
    for link in 0..3 {
        while !ingress.listed_rates.contains_key(&LinkId(link)) {
            ingress.admit(second(1), LinkId(link), relay).unwrap();
        }
    }
    assert_eq!(ingress.listed_rates.len(), 3);
    for link in 0..3 {
        ingress.on_link_closed(LinkId(link));
    }
    assert!(ingress.listed_rates.is_empty());
}
