//! The cells of the program by the clock of an observer: they follow the law of the emission stream
//! while the node is idle, and while its threads search for a proof of work.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::node::{NodeProcess, until};

/// Time for which cells are observed.
const OBSERVED: Duration = Duration::from_secs(80);
/// Length of a cell on a link (docs/wire.md).
const CELL_FRAME: usize = 976;
/// Relays: one for each layer, and one more, so that paths have a choice.
const RELAYS: usize = 6;

/// When cells went from which port into the network.
type Log = Arc<Mutex<Vec<(Instant, u16)>>>;

#[test]
fn cells_of_the_program_follow_their_law_while_it_searches() {
    let scratch = tempfile::tempdir().unwrap();
    let log = Log::default();
    let mut relays: Vec<NodeProcess> = Vec::new();
    for number in 0..RELAYS {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let advertised = listener.local_addr().unwrap().to_string();
        let peers: Vec<&str> = relays
            .iter()
            .rev()
            .take(2)
            .map(NodeProcess::enode)
            .collect();
        let peers = peers.join(",");
        let name = format!("relay{number}");
        let mut args = vec!["--relay", "--cover", "off", "--listen", "127.0.0.1:0"];
        args.extend(["--advertise", &advertised]);
        if number > 0 {
            args.extend(["--peer", &peers]);
        }
        let relay = NodeProcess::start(scratch.path(), &name, &args);
        tap(listener, relay.address().parse().unwrap(), Arc::clone(&log));
        relays.push(relay);
    }
    // The first two had too few peers to dial when they started, and a relay without a stem is not listed.
    for (relay, peers) in [(0, [3, 5]), (1, [4, 2])] {
        for peer in peers {
            relays[relay].ask(&["peers", "--add", relays[peer].enode()]);
        }
    }
    let client = |name, numbers: [usize; 2]| {
        let peers = numbers.map(|number| relays[number].enode()).join(",");
        let args = [
            "--no-listen",
            "--cover",
            "full",
            "--level",
            "open",
            "--peer",
            &peers,
        ];
        NodeProcess::start(scratch.path(), name, &args)
    };
    let (idle, busy) = (client("idle", [0, 2]), client("busy", [1, 3]));
    for node in [&idle, &busy] {
        until("cells leave", || {
            let sent = node.ask(&["status"])["emission"]["sent"].as_u64();
            (sent.unwrap() > 0).then_some(())
        });
    }
    let key = busy.ask(&["rpc", "shh_newSymKey"]);
    // No search reaches this target: it takes all of its time.
    let post = json!({
        "symKeyID": key, "ttl": 600, "topic": "0x01020304", "payload": "0x00",
        "powTarget": 1e12, "powTime": OBSERVED.as_secs(),
    });
    let began = Instant::now();
    let searching = busy.begin(&["rpc", "shh_post", &post.to_string()]);
    thread::sleep(OBSERVED);
    drop(searching);
    for (node, name) in [(&idle, "idle"), (&busy, "busy")] {
        let times = cells(node, &log, began);
        assert!(times.len() > 15, "{name}: {} cells", times.len());
        let distance = distance_to_law(&times);
        println!("{name}: {} cells, distance {distance:.3}", times.len());
        // 2.7 / sqrt(n) is exceeded once in a million runs.
        let limit = 2.7 / f64::from(u32::try_from(times.len()).unwrap()).sqrt();
        assert!(distance < limit, "{name}: {distance} of {limit}");
    }
}

/// The times of the cells that a node gave to the network.
fn cells(node: &NodeProcess, log: &Log, began: Instant) -> Vec<Instant> {
    let ports = ports(node.id());
    let log = log.lock().unwrap();
    let own = log.iter().filter(|(_, port)| ports.contains(port));
    let mut times: Vec<Instant> = own.map(|(at, _)| *at).filter(|at| *at >= began).collect();
    times.sort_unstable();
    times
}

/// The local ports of the connections of a process.
fn ports(process: u32) -> BTreeSet<u16> {
    let files = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let sockets: BTreeSet<String> = files
        .filter_map(|file| fs::read_link(file.ok()?.path()).ok())
        .filter_map(|link| {
            let name = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']');
            name.map(str::to_owned)
        })
        .collect();
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let lines = table.lines().skip(1);
    lines
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (_, port) = fields.get(1)?.split_once(':')?;
            let own = sockets.contains(*fields.get(9)?);
            u16::from_str_radix(port, 16).ok().filter(|_| own)
        })
        .collect()
}

/// The Kolmogorov-Smirnov distance of the gaps to the exponential law of both streams together.
fn distance_to_law(times: &[Instant]) -> f64 {
    let mut gaps: Vec<f64> = times
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs_f64())
        .collect();
    gaps.sort_by(f64::total_cmp);
    let count = f64::from(u32::try_from(gaps.len()).unwrap());
    let rate = 1.0 / 2.2 + 1.0 / 20.0;
    let distances = (1_u32..).zip(&gaps).map(|(rank, gap)| {
        let law = 1.0 - (-gap * rate).exp();
        let (after, before) = (f64::from(rank) / count, f64::from(rank - 1) / count);
        (law - after).abs().max((law - before).abs())
    });
    distances.fold(0.0, f64::max)
}

/// Forwards connections to a relay, and writes down the cells that go to it.
fn tap(listener: TcpListener, relay: SocketAddr, log: Log) {
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let Ok(far) = TcpStream::connect(relay) else {
                continue;
            };
            let port = near.peer_addr().map_or(0, |peer| peer.port());
            let (back, forth) = (far.try_clone().unwrap(), near.try_clone().unwrap());
            let log = Arc::clone(&log);
            thread::spawn(move || {
                forward(near, far, |len| {
                    if len == CELL_FRAME {
                        log.lock().unwrap().push((Instant::now(), port));
                    }
                });
            });
            thread::spawn(move || forward(back, forth, |_| {}));
        }
    });
}

fn forward(mut from: TcpStream, mut to: TcpStream, note: impl Fn(usize)) {
    let mut buffer = [0; 65_536];
    // An error ends the connection, as its end does.
    while let Ok(len @ 1..) = from.read(&mut buffer) {
        note(len);
        if to.write_all(&buffer[..len]).is_err() {
            break;
        }
    }
    // The other side may be gone.
    let _closed = to.shutdown(Shutdown::Both);
}
