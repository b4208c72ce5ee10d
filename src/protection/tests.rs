//! The choice of a row, on rows of known networks, and the table of the program.

use super::*;

fn exactly(mean: f64) -> Figure {
    Figure {
        mean,
        plus_minus: 0.0,
    }
}

/// The row of a network whose relays receive equally much.
fn row(senders: u32, relays: u32, delay: u32, linked: u32, best: f64) -> Row {
    let same = network(f64::from(senders), relays, delay.into());
    Row {
        senders,
        relays,
        delay,
        rate: same.rate,
        pool: same.pool(),
        hostile: 0.2,
        linked,
        best: exactly(best),
        right: exactly(best),
        entropy: exactly(9.0),
        above_tenth: exactly(0.0),
        above_half: exactly(0.0),
    }
}

/// A network whose relays receive what these senders emit.
fn network(senders: f64, relays: u32, delay: u64) -> MeasuredNetwork {
    MeasuredNetwork {
        relays: usize::try_from(relays).unwrap(),
        rate: senders * CELLS_PER_SENDER * RELAYS_PER_CELL / f64::from(relays),
        delay: Duration::from_secs(delay),
    }
}

fn one_in(rows: &[Row], network: &MeasuredNetwork) -> Option<u32> {
    choose(rows, network, 0.2).map(|known| known.single.one_in())
}

#[test]
fn measured_traffic_gives_the_senders_that_make_it() {
    let network = network(600.0, 60, 3);
    assert!((network.senders() - 600.0).abs() < 1e-6);
    // 600 senders, .5045 cells a second, five relays of 60: 25.2 a second, three seconds.
    assert!((network.pool() - 75.7).abs() < 0.1, "{}", network.pool());
}

#[test]
fn network_gets_the_figure_of_a_smaller_one_and_never_a_better_one() {
    let rows = [row(100, 30, 5, 1, 0.02), row(600, 60, 3, 1, 0.005)];
    assert_eq!(one_in(&rows, &network(600.0, 60, 3)), Some(200));
    // A sender fewer, a relay more for the same senders, or a shorter delay: the weaker row.
    assert_eq!(one_in(&rows, &network(599.0, 60, 5)), Some(50));
    assert_eq!(one_in(&rows, &network(600.0, 61, 20)), Some(50));
    assert_eq!(one_in(&rows, &network(600.0, 60, 2)), Some(50));
    // More of everything is not extrapolated.
    assert_eq!(one_in(&rows, &network(90_000.0, 60, 20)), Some(200));
}

#[test]
fn network_below_every_row_has_no_figure() {
    let rows = [row(100, 30, 5, 1, 0.02)];
    assert_eq!(one_in(&rows, &network(99.0, 29, 5)), None);
    assert_eq!(one_in(&rows, &network(0.0, 0, 20)), None);
    let other_share = choose(&rows, &network(600.0, 60, 20), 0.3);
    assert_eq!(other_share, None);
}

#[test]
fn linked_messages_never_protect_better_than_fewer() {
    let rows = [
        row(100, 30, 5, 1, 0.02),
        row(100, 30, 5, 3, 0.01),
        row(100, 30, 5, 10, 0.2),
    ];
    let known = choose(&rows, &network(600.0, 60, 20), 0.2).unwrap();
    let linked: Vec<u32> = known.linked.iter().map(|row| row.linked).collect();
    assert_eq!(linked, [10]);
}

#[test]
fn stated_figure_is_the_upper_end_of_belief_or_the_frequency_of_success() {
    let figure = |mean, plus_minus| Figure { mean, plus_minus };
    let sure = Row {
        best: figure(0.004, 0.001),
        right: figure(0.004, 0.01),
        ..row(600, 60, 3, 1, 0.0)
    };
    assert_eq!(sure.one_in(), 200);
    let overtaken = Row {
        right: exactly(0.01),
        ..sure
    };
    assert_eq!(overtaken.one_in(), 100);
    let certain = row(600, 60, 3, 1, 1.0);
    assert_eq!(certain.one_in(), 1);
    // A figure below a blind guess is noise of the simulation.
    assert!(row(600, 60, 3, 1, 0.0001).one_in() <= 600);
}

#[test]
fn every_line_of_the_table_is_read() {
    let lines: Vec<&str> = table::lines().collect();
    assert!(!lines.is_empty());
    for line in lines {
        assert!(table::parse(line).is_some(), "{line}");
    }
}

#[test]
fn rows_of_the_table_are_consistent() {
    for row in table::rows() {
        let blind = 1.0 / f64::from(row.senders);
        assert!(row.guess() >= blind * 0.9 && row.guess() <= 1.0, "{row:?}");
        assert!(row.above_half.mean <= row.above_tenth.mean, "{row:?}");
        let most = f64::from(row.senders).log2();
        assert!(row.entropy.mean <= most + 0.01, "{row:?}");
        assert!((0.0..=1.0).contains(&row.hostile) && row.delay > 0);
        assert!(
            (row.rate * f64::from(row.delay) - row.pool).abs() <= 0.2,
            "{row:?}"
        );
    }
}

/// Adjacent rows may differ by chance, so only the ends of their intervals are compared.
#[test]
fn more_hostile_relays_never_look_better_in_the_table() {
    let rows = table::rows();
    for one in &rows {
        for other in &rows {
            let same = one.senders == other.senders && one.relays == other.relays;
            let harder = same && one.linked == other.linked && one.hostile < other.hostile;
            let lowest = one.best.mean - one.best.plus_minus;
            assert!(!harder || lowest <= other.best.upper(), "{one:?} {other:?}");
        }
    }
}

#[test]
fn table_states_the_command_and_the_seed_that_made_it() {
    let head = include_str!("../sim/anonymity/table.tsv")
        .lines()
        .next()
        .unwrap();
    assert!(head.starts_with("# whisht sim anonymity") && head.contains("--seed"));
}
