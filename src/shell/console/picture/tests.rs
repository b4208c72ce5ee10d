use super::*;
use crate::node::RelayView;

fn relay(number: usize, subnet: &str, eligible: bool, guard: bool) -> RelayView {
    RelayView {
        id: format!("{number:064x}"),
        subnet: subnet.to_owned(),
        eligible,
        guard,
        ticket_bits: 18,
    }
}

fn dots(count: usize) -> Vec<PeerDot> {
    (0..count)
        .map(|number| PeerDot {
            outbound: number % 3 == 0,
            relays: number % 2 == 0,
        })
        .collect()
}

/// The numbers of all attributes of one name.
fn numbers(svg: &str, attribute: &str) -> Vec<f64> {
    svg.split(&format!(" {attribute}=\""))
        .skip(1)
        .filter_map(|rest| rest.split('"').next()?.parse().ok())
        .collect()
}

#[test]
fn relay_picture_does_not_show_the_guard() {
    let plain: Vec<_> = (0..9)
        .map(|n| relay(n, "10.0.0.0/16", n % 2 == 0, false))
        .collect();
    for guard in 0..plain.len() {
        let mut marked = plain.clone();
        marked[guard].guard = true;
        assert_eq!(relays(&plain), relays(&marked));
    }
    // Nor does the picture tell relays apart by their ids.
    let mut other = plain.clone();
    other[0].id = "ff".repeat(32);
    assert_eq!(relays(&plain), relays(&other));
}

#[test]
fn relay_picture_counts_usable_relays() {
    let known: Vec<_> = (0..20)
        .map(|n| relay(n, &format!("10.{}.0.0/16", n / 4), n < 7, false))
        .collect();
    let svg = relays(&known).to_string();
    assert_eq!(svg.matches("class=\"dot\"").count(), 7);
    assert_eq!(svg.matches("class=\"dot hollow\"").count(), 13);
}

#[test]
fn pictures_of_huge_networks_stay_small_and_inside_their_frame() {
    let known: Vec<_> = (0..10_000)
        .map(|n| relay(n, &format!("s{}", n / 3), true, false))
        .collect();
    for svg in [relays(&known).to_string(), peers(&dots(5_000)).to_string()] {
        assert!(svg.len() < 60_000, "{} bytes", svg.len());
        assert!(svg.contains("more</text>"), "{svg}");
        for (axis, limit) in [("cx", 360.0), ("cy", 180.0), ("x2", 360.0), ("y2", 180.0)] {
            let outside = numbers(&svg, axis)
                .into_iter()
                .find(|at| !(0.0..=limit).contains(at));
            assert_eq!(outside, None, "{axis}");
        }
    }
}

#[test]
fn peer_picture_draws_a_link_for_each_peer() {
    let svg = peers(&dots(12)).to_string();
    assert_eq!(svg.matches("<line").count(), 12);
    assert_eq!(svg.matches("class=\"link in\"").count(), 8);
    assert_eq!(svg.matches("class=\"dot hollow\"").count(), 6);
    assert!(peers(&[]).to_string().contains("no peers are connected"));
}

#[test]
fn level_bars_grow_with_the_logarithm_of_senders() {
    let bar = |word, senders| LevelBar { word, senders };
    let svg = levels(&[
        bar("open", Some(1)),
        bar("hush", Some(4)),
        bar("dark", Some(256)),
        bar("normal", None),
    ])
    .to_string();
    let widths: Vec<_> = svg
        .split("<rect class=\"bar\"")
        .skip(1)
        .map(|rest| numbers(rest, "width")[0])
        .collect();
    assert_eq!(widths, [3.0, 50.0, 200.0]);
    assert!(
        svg.contains("not hidden") && svg.contains("1 in 256") && svg.contains("not available")
    );
}

#[test]
fn history_draws_the_last_hour_with_the_present_at_the_right() {
    let minutes: Vec<u64> = (0..100).collect();
    let svg = history(&[Series {
        name: "cells",
        minutes,
    }])
    .to_string();
    let bars = svg.matches("<rect class=\"bar\"").count();
    assert_eq!(bars, 60, "{svg}");
    assert!(svg.contains("max 99") && svg.contains(">99</text>"));
    let heights = numbers(&svg, "height");
    assert!((heights.iter().copied().fold(0.0, f64::max) - 28.0).abs() < 0.1);

    let empty = history(&[Series {
        name: "cells",
        minutes: vec![],
    }]);
    assert!(!empty.to_string().contains("NaN") && !empty.to_string().contains("<rect"));
    let huge = history(&[Series {
        name: "cells",
        minutes: vec![u64::MAX, 1],
    }]);
    assert!(huge.to_string().contains("height=\"28.0\""));
}

#[test]
fn share_of_nothing_is_an_empty_bar() {
    let svg = share("Loops", (0, "returned"), (0, "lost")).to_string();
    assert!(!svg.contains("class=\"bar\"") && !svg.contains("NaN"));
    let svg = share("Loops", (3, "returned"), (1, "lost")).to_string();
    assert_eq!(
        numbers(svg.split("class=\"bar\"").nth(1).unwrap(), "width")[0],
        270.0
    );
}

#[test]
fn markup_in_a_title_is_inert() {
    let svg = share("<script>x</script>\u{202e}\"'&", (1, "<b>"), (1, "b")).to_string();
    assert!(!svg.contains("<script") && !svg.contains("<b>") && !svg.contains('\u{202e}'));
    assert!(svg.contains("&lt;script&gt;") && svg.contains("&quot;&#39;&amp;"));
}

#[test]
fn picture_has_no_style_of_its_own() {
    // The content policy would refuse it, and report it.
    for picture in [relays(&[]), peers(&dots(3)), share("a", (1, "b"), (1, "c"))] {
        let svg = picture.to_string();
        assert!(!svg.contains("style") && !svg.contains("href"));
    }
}

#[test]
fn qr_picture_covers_the_dark_modules_of_the_code() {
    let text = "SHH:SHH1Q8Z7Y0G0D69EKU582FFHK0PC4NW8HVLEXG9PQ3KW0ZVL79JSZ9NHSA46GRY";
    let code = crate::contact::qr::QrMatrix::new(text).unwrap();
    let svg = qr(text, "Address").unwrap().to_string();
    let mut covered = std::collections::BTreeSet::new();
    for run in svg.split('M').skip(1) {
        let mut numbers = run.split(|c: char| !c.is_ascii_digit());
        let mut next = || {
            numbers
                .next()
                .and_then(|digits| digits.parse::<usize>().ok())
        };
        let (Some(start), Some(row), Some(length)) = (next(), next(), next()) else {
            panic!("{run}")
        };
        covered.extend((start..start + length).map(|column| (column, row)));
    }
    let side = code.side();
    let dark = (0..side * side)
        .map(|at| (at % side, at / side))
        .filter(|(column, row)| code.is_dark(*column, *row));
    assert_eq!(dark.collect::<std::collections::BTreeSet<_>>(), covered);
}
