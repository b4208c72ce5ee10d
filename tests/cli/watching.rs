//! Metrics and log of a running node, and the limits that a node refuses.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use crate::{Running, fails, run_node, scratch};

/// Sends one request to the endpoint of the metrics, and returns the whole answer.
fn request(url: &str, head: &str) -> String {
    let address = url.trim_start_matches("http://").split('/').next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{head}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn metrics_are_served_to_local_programs_and_not_to_web_pages() {
    let data = scratch();
    let file = data.parent.join("whisht.prom");
    let file_arg = file.to_str().unwrap().to_owned();
    let args = [
        "--no-listen",
        "--metrics-listen",
        "127.0.0.1:0",
        "--metrics-file",
        &file_arg,
    ];
    let mut node = Running::start(&data.path, &args);
    let url = node.banner["metrics"].as_str().unwrap().to_owned();
    assert!(url.ends_with("/metrics"), "{url}");

    let answer = request(&url, "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("version=0.0.4"), "{answer}");
    assert!(
        answer.contains("\nwhisper_envelopes_received_total 0\n"),
        "{answer}"
    );
    let (_, served) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), served);

    for (head, code) in [
        ("GET /metrics HTTP/1.1\r\nHost: attacker.example", "403"),
        (
            "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://attacker.example",
            "403",
        ),
        ("GET / HTTP/1.1\r\nHost: 127.0.0.1", "404"),
        (
            "POST /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0",
            "405",
        ),
    ] {
        let answer = request(&url, head);
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {code}")),
            "{head}: {answer}"
        );
        assert!(!answer.contains("whisper_"), "{answer}");
    }

    let pid = node.child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(node.child.wait().unwrap().code(), Some(0));
    assert!(!file.exists(), "the file of a node that has ended is gone");
}

#[test]
fn silent_connections_make_room_for_a_reader_of_metrics() {
    let data = scratch();
    let args = ["--no-listen", "--metrics-listen", "127.0.0.1:0"];
    let node = Running::start(&data.path, &args);
    let url = node.banner["metrics"].as_str().unwrap().to_owned();
    let address = url.trim_start_matches("http://").split('/').next().unwrap();
    let silent: Vec<_> = (0..20)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let answer = request(&url, "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop(silent);
}

#[test]
fn log_goes_to_the_file_and_a_missing_directory_costs_only_the_log() {
    let data = scratch();
    let log = data.parent.join("log");
    let log_arg = log.to_str().unwrap().to_owned();
    let args = [
        "--no-listen",
        "--log-file",
        &log_arg,
        "--log-level",
        "debug",
    ];
    let node = Running::start(&data.path, &args);
    drop(node);
    let text = fs::read_to_string(&log).unwrap();
    let line = text.lines().next().unwrap();
    let (time, _) = line.split_once(' ').unwrap_or_default();
    let is_minute = time.len() == "2026-01-31T23:59Z".len() && time.ends_with('Z');
    assert!(is_minute || line.starts_with('{'), "{line}");

    let other = scratch();
    let args = ["--no-listen", "--log-file", "/nowhere/log"];
    let node = Running::start(&other.path, &args);
    assert!(node.banner["ipc"].is_string());
}

#[test]
fn limit_below_the_need_of_cover_is_refused_at_the_start() {
    let data = scratch();
    for (limit, need) in [
        ("--bandwidth-max=10KB/s", "32KB/s"),
        ("--bandwidth-max-mb-day=40", "58 MB a day"),
    ] {
        let refused = fails(&run_node(&data.path, &["--no-listen", limit]), 2);
        assert!(refused.contains(need), "{refused}");
    }
}

#[test]
fn limited_node_shows_its_limits() {
    let data = scratch();
    let args = [
        "--no-listen",
        "--bandwidth-max",
        "200KB/s",
        "--bandwidth-max-mb-day",
        "500",
    ];
    let node = Running::start(&data.path, &args);
    let status = crate::succeeds(&node.run(&["status"]));
    assert!(status.contains("limit 200 KB/s, 500 MB a day"), "{status}");
}
