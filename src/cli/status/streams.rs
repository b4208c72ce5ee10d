//! The rows of the status about streams of cells: circuits, and cover traffic.

use super::super::output::{count, grouped};
use crate::node::{CircuitsView, EmissionView, FlowView};

/// The circuits, once there was one.
pub(super) fn circuits(circuits: &CircuitsView) -> Option<String> {
    let any = circuits.own > 0 || circuits.relayed > 0 || circuits.bytes_received > 0;
    any.then(|| {
        format!(
            "circuits  {} own, {} relayed, {} cells queued; {} bytes received, {} sent, {} cells dropped",
            count(circuits.own),
            count(circuits.relayed),
            count(circuits.queued_cells),
            grouped(circuits.bytes_received),
            grouped(circuits.bytes_sent),
            grouped(circuits.cells_dropped)
        )
    })
}

/// The cover traffic of this node.
pub(super) fn cover(emission: &EmissionView) -> Vec<String> {
    if emission.cover == "off" {
        return vec!["cover     off".to_owned()];
    }
    let EmissionView { cover, .. } = emission;
    let mut line = format!(
        "cover     {cover}, {} cells sent; {} loops back, {} lost",
        grouped(emission.sent),
        grouped(emission.loops_returned.into()),
        grouped(emission.loops_lost.into())
    );
    if emission.guard_down > 0 {
        line.push_str(&format!(
            "; {} cells dropped while the guard was down",
            grouped(emission.guard_down)
        ));
    }
    if emission.no_route > 0 {
        line.push_str(&format!(
            "; {} slots without a route",
            grouped(emission.no_route)
        ));
    }
    let mut lines = vec![line];
    lines.extend(loop_alarm(emission));
    lines
}

/// The traffic of all links, and that of a day.
pub(super) fn flow(flow: &FlowView) -> String {
    let megabytes = flow.bytes_per_day / 1_000_000;
    let basis = if flow.is_measured {
        "as since the start"
    } else {
        "by the settings, without gossip"
    };
    let of_second = flow
        .max_per_second
        .map(|max| format!("{} KB/s", grouped(max / 1_000)));
    let of_day = flow
        .max_per_day
        .map(|max| format!("{} MB a day", grouped(max / 1_000_000)));
    let limits: Vec<String> = of_second.into_iter().chain(of_day).collect();
    let limits = match limits.as_slice() {
        [] => String::new(),
        limits => format!("; limit {}", limits.join(", ")),
    };
    format!(
        "traffic   {} bytes received, {} sent; {} MB a day {basis}{limits}",
        grouped(flow.bytes_received),
        grouped(flow.bytes_sent),
        grouped(megabytes)
    )
}

/// A relay that drops or delays more than chance explains.
fn loop_alarm(emission: &EmissionView) -> Option<String> {
    let alarm = emission.alarm.as_ref()?;
    Some(format!(
        "          relay {} {} cells: {} of {} loops lost, {:.1} standard deviations",
        alarm.relay,
        alarm.fault,
        grouped(alarm.lost.into()),
        grouped(alarm.probes.into()),
        alarm.sigmas
    ))
}
