//! `whisht sim`: the commands of docs/simulator.md, their figures, and a stop on request.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::{fails, program, stdout, succeeds};

/// The commands that the page shows.
fn documented() -> Vec<Vec<String>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/simulator.md");
    let page = std::fs::read_to_string(page).unwrap();
    let commands = page.lines().filter_map(|line| line.strip_prefix("whisht "));
    commands
        .map(|command| command.split_whitespace().map(str::to_owned).collect())
        .collect()
}

#[test]
fn documented_sim_commands_print_their_figures() {
    let commands = documented();
    assert!(commands.len() >= 4, "{commands:?}");
    for command in commands
        .into_iter()
        .filter(|command| command[1].starts_with("--"))
    {
        let args: Vec<&str> = command.iter().map(String::as_str).collect();
        let said = succeeds(&program().args(&args).output().unwrap());
        if args.contains(&"--json") {
            let report: Value = serde_json::from_str(&said).unwrap();
            assert_eq!(report["nodes"], 20, "{report}");
            assert!(report["delivered"].as_u64() <= report["sent"].as_u64());
            assert_eq!(report["interrupted"], false);
            continue;
        }
        for figure in [
            "delivered",
            "bytes per node",
            "simulated seconds per wall second",
        ] {
            assert!(said.contains(figure), "{args:?}: {said}");
        }
        let digits = |line: &&str| line.contains(|c: char| c.is_ascii_digit());
        let mut figures = said.lines().filter(digits);
        assert!(figures.all(|line| line.starts_with("LOCAL")), "{said}");
    }
}

#[test]
fn documented_receiver_command_prints_the_advantage() {
    let mut commands = documented().into_iter();
    let command = commands.find(|command| command[1] == "receiver").unwrap();
    let args = command.iter().map(String::as_str);
    let args: Vec<&str> = args.chain(["--json"]).collect();
    let report: Value =
        serde_json::from_str(&succeeds(&program().args(&args).output().unwrap())).unwrap();
    assert_eq!(report["envelopes"], 200, "{report}");
    assert_eq!(report["own"], report["decrypted"], "{report}");
    let advantage = report["advantage"]["value"].as_f64().unwrap();
    let error = report["advantage"]["plus_minus"].as_f64().unwrap();
    assert!(advantage.abs() < 2.0 * error, "{report}");
}

#[test]
fn documented_cover_command_traces_cells() {
    let mut commands = documented().into_iter();
    let command = commands.find(|command| command[1] == "cover").unwrap();
    let args = command.iter().map(String::as_str);
    let args: Vec<&str> = args.chain(["--json"]).collect();
    let report: Value =
        serde_json::from_str(&succeeds(&program().args(&args).output().unwrap())).unwrap();
    assert_eq!(
        (&report["clients"], &report["relays"]),
        (&8.into(), &15.into())
    );
    let best = report["known"]["best_guess"]["mean"].as_f64().unwrap();
    assert!((1.0 / 23.0..1.0).contains(&best), "{report}");
}

#[test]
fn sim_with_spies_bounds_what_they_learn() {
    let args = "sim --json --fast --clients 10 --relays 14 --seconds 80 --messages 10 --hostile 0,0.1,1e-3";
    let args: Vec<&str> = args.split(' ').collect();
    let report: Value =
        serde_json::from_str(&succeeds(&program().args(&args).output().unwrap())).unwrap();
    assert_eq!(
        (&report["nodes"], &report["sent"]),
        (&24.into(), &10.into())
    );
    assert_eq!(report["delivered"], 10, "{report}");
    let linked = |number: usize| report["spies"][number]["linked"]["mean"].as_f64().unwrap();
    assert!(linked(0) == 0.0 && linked(2) < 1e-5, "{report}");
    // One attempt each: a guard and a rendezvous, which differ.
    let retries = report["retries"].as_u64().unwrap();
    assert!(
        linked(1) >= 0.0099 && (retries > 0 || linked(1) < 0.0101),
        "{report}"
    );
    let refused = ["sim", "--nodes", "20", "--hostile", "0.1"];
    let said = fails(&program().args(refused).output().unwrap(), 2);
    assert!(said.contains("--fast"), "{said}");
}

#[test]
fn documented_anonymity_commands_print_their_figures() {
    let commands = documented().into_iter();
    let commands: Vec<_> = commands
        .filter(|command| command[1] == "anonymity")
        .collect();
    assert!(commands.len() >= 8, "{commands:?}");
    for command in commands {
        let report = small_study(&command);
        let kind = command.get(2).map_or("", String::as_str);
        match kind {
            "exclusion" => {
                let left = |place: usize| report[place]["remaining"]["mean"].as_f64().unwrap();
                assert!(left(0) > left(1) && left(1) > left(2), "{report}");
            }
            "table" => assert_eq!(report["worlds"], 2, "{report}"),
            "scatter" | "joint" => {
                let part = if kind == "joint" { "joint" } else { "keys" };
                let best = report[part]["best_guess"]["mean"].as_f64().unwrap();
                assert!(best > 0.0 && best <= 1.0, "{command:?}: {report}");
            }
            _ => {
                let best = report["best_guess"]["mean"].as_f64().unwrap();
                let blind = report["blind_guess"].as_f64().unwrap();
                assert!(blind <= best && best <= 1.0, "{command:?}: {report}");
                assert_eq!(report["worlds"], 2, "{report}");
            }
        }
    }
}

/// The first JSON value of a documented study, run with few worlds: its size takes time and proves
/// nothing here.
fn small_study(command: &[String]) -> Value {
    let size: &[&str] = match command.get(2).map(String::as_str) {
        Some("exclusion") => &["--json"],
        Some("table") => &["--json", "--worlds=2", "--targets=50", "--studies=1"],
        Some("scatter" | "joint") => &["--json", "--worlds=1", "--targets=2", "--senders=60"],
        _ => &["--json", "--worlds=2", "--targets=20", "--senders=60"],
    };
    let kept = |word: &&str| !size.iter().any(|own| own.split('=').next() == Some(word));
    let words = command.iter().map(String::as_str);
    let mut args: Vec<&str> = Vec::new();
    let mut skip = false;
    for word in words {
        if !skip && kept(&word) {
            args.push(word);
        }
        skip = !skip && !kept(&word);
    }
    args.extend(size);
    let said = succeeds(&program().args(&args).output().unwrap());
    serde_json::from_str(said.lines().next().unwrap()).unwrap()
}

#[test]
fn anonymity_plot_is_written_as_svg() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("linked.svg");
    let args = [
        "sim",
        "anonymity",
        "--senders=40",
        "--relays=10",
        "--delay=1",
        "--linked=3",
        "--worlds=1",
        "--targets=20",
        "--svg",
    ];
    succeeds(&program().args(args).arg(&file).output().unwrap());
    let svg = std::fs::read_to_string(&file).unwrap();
    assert!(
        svg.starts_with("<svg") && svg.contains("best guess"),
        "{svg}"
    );
}

#[test]
fn anonymity_of_a_network_without_paths_is_refused() {
    let args = ["sim", "anonymity", "--relays", "3"];
    let said = fails(&program().args(args).output().unwrap(), 2);
    assert!(said.contains("as many relays as a path has"), "{said}");
}

#[test]
fn sim_delivers_messages_and_repeats_with_equal_seed() {
    let args = [
        "sim",
        "--nodes",
        "20",
        "--seconds",
        "60",
        "--messages",
        "3",
        "--fast",
        "--json",
    ];
    let report = || -> Value {
        let said = succeeds(&program().args(args).output().unwrap());
        let mut report: Value = serde_json::from_str(&said).unwrap();
        let fields = report.as_object_mut().unwrap();
        for own in ["wall_seconds", "speed", "peak_memory_bytes"] {
            assert!(fields.remove(own).is_some(), "{own}");
        }
        report
    };
    let first = report();
    assert_eq!(
        (&first["sent"], &first["delivered"]),
        (&3.into(), &3.into()),
        "{first}"
    );
    assert!(first["latency"]["p50_ms"].as_u64() > Some(100), "{first}");
    assert!(first["cells"].as_u64() > Some(9), "{first}");
    assert_eq!(first, report());
}

#[test]
fn sim_at_unavailable_level_is_policy_error() {
    let few = "sim --nodes 20 --relays 3 --seconds 20 --messages 1 --fast --level dark";
    let said = fails(&program().args(few.split(' ')).output().unwrap(), 5);
    assert!(said.contains("level `dark` needs at least 1"), "{said}");
    let said = fails(
        &program().args(["sim", "--nodes", "1"]).output().unwrap(),
        2,
    );
    assert!(said.contains('1'), "{said}");
}

#[test]
fn interrupted_sim_prints_what_was_measured() {
    let child = program()
        .args(["sim", "--nodes", "20", "--seconds", "1000000", "--fast"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(3));
    let pid = child.id().to_string();
    let killed = Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(killed.success());
    let said = stdout(&child.wait_with_output().unwrap());
    assert!(said.contains("simulated seconds"), "{said}");
}
