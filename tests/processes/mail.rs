//! Mail servers in processes: killed again and again, and two of them on one database.
//!
//! The hour of mail is the same in every run but for the clock: one envelope for each second of the
//! last hour, with a ttl long enough to be flooded today. All are messages to one shared key, and
//! each contains its number, so that the reader's inbox shows which envelopes returned.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use circuits::time::UnixSecs;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::Value;
use whisht::envelope::{EncryptionHint, Envelope, Topic, Ttl, UnminedEnvelope};
use whisht::message::{Padding, Plaintext, SymKey, seal_symmetric};
use whisht::pow::{Generations, PowJob};

use crate::cluster::Cluster;
use crate::node::{NodeProcess, lines};
use crate::statusim::StatusImPeer;

#[test]
fn acknowledged_mail_survives_repeated_kills() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    let hour = hour(SECONDS);
    let mut server = serve(dir, "server", "127.0.0.1:0", &[]);
    let address = server.address().to_owned();
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let mut acknowledged = BTreeSet::new();
    let mut lives = Vec::new();
    for life in 1.. {
        // The last life ends as soon as all is acknowledged.
        let most = (life <= KILLS).then(|| usize::try_from(rng.next_u32() % 500).unwrap());
        let before = acknowledged.len();
        let peer = StatusImPeer::connect(server.enode(), life);
        flood(peer, &hour, &mut acknowledged, &mut rng, most);
        server.kill();
        lives.push(acknowledged.len() - before);
        if acknowledged.len() == hour.len() {
            break;
        }
        assert!(life < 100, "the server acknowledges nothing: {lives:?}");
        server = serve(dir, "server", &address, &[]);
    }
    println!("acknowledged in each life: {lives:?}");
    assert!(lives.len() > 3, "too few kills: {lives:?}");

    let server = serve(dir, "server", &address, &[]);
    let reader = reader(dir);
    let fetched = fetch(&reader, server.enode(), &[]);
    assert_eq!(fetched["exit"], 0, "{fetched}");
    assert_eq!(fetched["envelopes"], hour.len(), "{fetched}");
    assert_eq!(fetched["messages"], hour.len(), "{fetched}");
    assert_eq!(numbers(&reader), (0..hour.len()).collect());
}

#[test]
fn two_servers_share_one_database() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path();
    let secret = secret(dir, "mail-password", "post office");
    let store = cluster.database("mail");
    let args = ["--mail-store", &store, "--mail-password-file", &secret];
    let mut one = serve(dir, "one", "127.0.0.1:0", &args);
    let two = serve(dir, "two", "127.0.0.1:0", &args);
    let hour = hour(600);
    let mut rng = ChaCha20Rng::seed_from_u64(10);
    for (server, part) in [(&one, &hour[..400]), (&two, &hour[200..])] {
        let mut acknowledged = BTreeSet::new();
        let peer = StatusImPeer::connect(server.enode(), 1);
        flood(peer, part, &mut acknowledged, &mut rng, None);
        assert_eq!(acknowledged.len(), part.len());
    }
    one.kill();

    let reader = reader(dir);
    let refused = reader.run(&["mail", "fetch", "--from", two.enode()]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(5), "{said}");
    assert!(said.contains("requires its password"), "{said}");
    let fetched = fetch(&reader, two.enode(), &["--password-file", &secret]);
    assert_eq!(fetched["exit"], 0, "{fetched}");
    assert_eq!(numbers(&reader), (0..hour.len()).collect());
}

/// Sends to a server the envelopes that it has not acknowledged yet, until it has acknowledged more
/// than this many, or all.
fn flood(
    mut peer: StatusImPeer,
    envelopes: &[Envelope],
    acknowledged: &mut BTreeSet<usize>,
    rng: &mut ChaCha20Rng,
    most: Option<usize>,
) {
    let (began, before) = (Instant::now(), acknowledged.len());
    let left: Vec<usize> = (0..envelopes.len())
        .filter(|number| !acknowledged.contains(number))
        .collect();
    let mut left = left.as_slice();
    let mut batches = BTreeMap::new();
    while most.is_none_or(|most| acknowledged.len() - before <= most) {
        if batches.len() < MAX_OUTSTANDING && !left.is_empty() {
            let len = 1 + usize::try_from(rng.next_u32() % 60).unwrap();
            let (batch, rest) = left.split_at(len.min(left.len()));
            let chosen: Vec<Envelope> = batch.iter().map(|at| envelopes[*at].clone()).collect();
            batches.insert(peer.send_envelopes(&chosen), batch.to_vec());
            left = rest;
        }
        let Some(heard) = peer.poll_acknowledged() else {
            panic!("the server disconnects");
        };
        for batch in heard {
            acknowledged.extend(batches.remove(&batch).unwrap_or_default());
        }
        if left.is_empty() && batches.is_empty() {
            return;
        }
        assert!(
            began.elapsed() < ACKNOWLEDGE_TIMEOUT,
            "the server does not acknowledge"
        );
    }
}

/// One envelope for each second before now.
fn hour(seconds: u32) -> Vec<Envelope> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let begin = u32::try_from(now.as_secs()).unwrap() - seconds;
    let key = SymKey::from_password(ROOM).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let seal = |second: u32| {
        let text = second.to_string();
        let plaintext = Plaintext::build(&mut rng, text.as_bytes(), Padding::Align, None).unwrap();
        let unmined = UnminedEnvelope {
            expiry: UnixSecs(begin + second + LIFE),
            ttl: Ttl(LIFE),
            topic: TOPIC,
            hint: EncryptionHint::Absent,
            data: seal_symmetric(&mut rng, &key, &plaintext),
        };
        let job = PowJob::for_minimum(&unmined, Generations::Modern, MIN_POW).unwrap();
        let mut search = job.search(&mut rng);
        let nonce = loop {
            if let Some(nonce) = search.step(8_192) {
                break nonce;
            }
        };
        unmined.with_nonce(nonce)
    };
    (0..seconds).map(seal).collect()
}

fn serve(dir: &Path, name: &str, listen: &str, args: &[&str]) -> NodeProcess {
    let min_pow = MIN_POW.to_string();
    let own = ["--listen", listen, "--min-pow", &min_pow];
    NodeProcess::start_as(dir, name, &["mail", "serve"], &[&own, args].concat())
}

/// A node without known peers, with the shared key.
fn reader(dir: &Path) -> NodeProcess {
    let min_pow = MIN_POW.to_string();
    let args = ["--listen", "127.0.0.1:0", "--min-pow", &min_pow];
    let reader = NodeProcess::start(dir, "reader", &args);
    let password = secret(dir, "room-password", ROOM);
    let topic = format!("0x{}", hex::encode(TOPIC.0));
    let shared = ["id", "new", "room", "--shared", "--topic", &topic];
    let sealed = ["--no-password", "--group-password-file", &password];
    reader.ask(&[&shared[..], &sealed].concat());
    reader
}

fn fetch(reader: &NodeProcess, from: &str, args: &[&str]) -> Value {
    let fetch = ["mail", "fetch", "--since", "2h", "--from", from, "--json"];
    let output = reader.run(&[&fetch[..], args].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    let mut said_out = lines(&output.stdout);
    said_out.pop().unwrap_or_else(|| panic!("{said}"))
}

/// The numbers in the reader's messages.
fn numbers(reader: &NodeProcess) -> BTreeSet<usize> {
    let number = |message: &Value| {
        let text = hex::decode(message["payload"].as_str().unwrap()).unwrap();
        String::from_utf8(text).unwrap().parse().unwrap()
    };
    reader.inbox().iter().map(number).collect()
}

fn secret(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    fs::write(&path, format!("{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// An hour.
const SECONDS: u32 = 3_600;
/// Two hours: an envelope of an hour ago has not expired.
const LIFE: u32 = 7_200;
/// A minimum so low that mining an hour of mail takes a moment.
const MIN_POW: f64 = 0.0001;
const TOPIC: Topic = Topic([0x0f, 0xf1, 0xce, 0x01]);
const ROOM: &str = "a hedge full of sparrows";
/// Number of kills before the server's last life.
const KILLS: u64 = 6;
/// Packets that await their acknowledgement.
const MAX_OUTSTANDING: usize = 6;
/// Only bounds the wait for a hanging server.
const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(80);
