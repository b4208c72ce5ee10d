//! A private Tor network on loopback: one directory authority and four relays, all of them Debian's
//! `tor`, configured so that the first consensus appears at a chosen second.
//!
//! All resources are bounded: five processes, at most three attempts to start, waits with timeouts.
//! The daemons watch the process of the test and end with it.

use std::fs::{self, File};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A running network.
pub(crate) struct TorNetwork {
    dir: PathBuf,
    relays: Vec<TorRelay>,
    authority: String,
    description: PathBuf,
}

struct TorRelay {
    name: String,
    child: Child,
}

/// A daemon for one client, with an optional onion service that leads to a listener.
pub(crate) struct TorDaemon {
    child: Option<Child>,
    torrc: PathBuf,
    dir: PathBuf,
    pub(crate) socks: u16,
}

/// Whether the programs are installed. CI requires them.
pub(crate) fn is_installed() -> bool {
    let found = ["tor", "tor-gencert"].into_iter().all(|program| {
        let asked = Command::new(program).arg("--version").output();
        asked.is_ok()
    });
    assert!(
        found || std::env::var_os("CI").is_none(),
        "tor is not installed; .ci/prepare installs it"
    );
    found
}

impl TorNetwork {
    /// Starts a network below `dir`. If the first consensus lacks a relay, as it may on a busy
    /// machine, it is restarted once with more time before the vote.
    pub(crate) fn start(dir: &Path) -> Self {
        for (attempt, lead) in [15, 25, 40].into_iter().enumerate() {
            let dir = dir.join(format!("tor-{attempt}"));
            private(&dir);
            let network = Self::launch(dir, lead);
            if network.is_complete(Duration::from_secs(lead + 15)) {
                network.wait_for_directories();
                return network;
            }
        }
        panic!("the private Tor network does not start");
    }

    fn launch(dir: PathBuf, lead: u64) -> Self {
        let names: Vec<String> = (0..=RELAYS).map(|number| format!("tor{number}")).collect();
        let ports = free_ports(names.len() + 1);
        let directory_port = ports[names.len()];
        let identity = AuthorityIdentity::make(&dir, &names, &ports, directory_port);
        let description = dir.join("network.toml");
        fs::write(&description, identity.for_arti(ports[0])).unwrap();
        let authority = identity.for_tor(ports[0], directory_port);
        let vote = now() + lead;
        let relays = names.iter().zip(&ports).map(|(name, port)| {
            let mut torrc = common(&dir, name, &authority);
            torrc += &relay_lines(*port);
            if *name == names[0] {
                torrc += &authority_lines(directory_port, vote);
            }
            let child = spawn(&dir, name, &torrc);
            let name = name.clone();
            TorRelay { name, child }
        });
        let relays = relays.collect();
        Self {
            dir,
            relays,
            authority,
            description,
        }
    }

    /// The configuration of this network for arti.
    pub(crate) fn description(&self) -> &str {
        self.description.to_str().unwrap()
    }

    /// Starts one more daemon. With `leads_to`, its onion service leads to that port of loopback.
    pub(crate) fn daemon(&self, name: &str, leads_to: Option<u16>) -> TorDaemon {
        let dir = self.dir.join(name);
        private(&dir);
        let socks = free_ports(1)[0];
        let mut torrc = common(&self.dir, name, &self.authority);
        torrc += &format!("SocksPort 127.0.0.1:{socks} ExtendedErrors\n");
        if let Some(port) = leads_to {
            let service = dir.join("service");
            torrc += &format!("HiddenServiceDir {}\n", service.display());
            torrc += &format!("HiddenServicePort 20819 127.0.0.1:{port}\n");
        }
        TorDaemon::new(dir, &torrc, socks)
    }

    /// Starts a bridge: a relay outside the directory. Returns its bridge line too.
    pub(crate) fn bridge(&self, name: &str) -> (TorDaemon, String) {
        let dir = self.dir.join(name);
        private(&dir);
        let port = free_ports(1)[0];
        let mut torrc = common(&self.dir, name, &self.authority);
        torrc += &relay_lines(port);
        torrc += "BridgeRelay 1\nPublishServerDescriptor 0\n";
        let bridge = TorDaemon::new(dir, &torrc, 0);
        let fingerprint = second_word(&bridge.dir.join("fingerprint"));
        (bridge, format!("127.0.0.1:{port} {fingerprint}"))
    }

    /// Whether the authority lists every relay before the time is up.
    fn is_complete(&self, timeout: Duration) -> bool {
        let consensus = self.dir.join("tor0/cached-microdesc-consensus");
        let listed = || {
            let text = fs::read_to_string(&consensus).unwrap_or_default();
            text.lines().filter(|line| line.starts_with("r ")).count()
        };
        wait(timeout, || listed() == self.relays.len())
    }

    /// A relay that requested the directory too early waits long before it retries, and so do its
    /// clients; a signal makes it retry at once.
    fn wait_for_directories(&self) {
        for _ in 0..10 {
            let lacking = |relay: &&TorRelay| {
                let cache = self.dir.join(&relay.name).join("cached-microdescs.new");
                !cache.exists()
            };
            let others = self.relays.get(1..).unwrap_or_default();
            for relay in others.iter().filter(lacking) {
                send("-HUP", &relay.child);
            }
            if wait(Duration::from_secs(2), || {
                !others.iter().any(|relay| lacking(&relay))
            }) {
                return;
            }
        }
        panic!("a relay of the private Tor network gets no directory");
    }
}

impl Drop for TorNetwork {
    fn drop(&mut self) {
        for relay in &mut self.relays {
            end(&mut relay.child);
        }
    }
}

impl TorDaemon {
    fn new(dir: PathBuf, torrc: &str, socks: u16) -> Self {
        let path = dir.join("torrc");
        fs::write(&path, torrc).unwrap();
        let mut daemon = Self {
            child: None,
            torrc: path,
            dir,
            socks,
        };
        daemon.start();
        daemon
    }

    /// Starts or restarts the daemon, and waits until it is ready.
    pub(crate) fn start(&mut self) {
        let log = self.dir.join("notice.log");
        // The log of an earlier run must not be mistaken for this one's.
        let _absent = fs::remove_file(&log);
        self.child = Some(run_tor(&self.dir, &self.torrc));
        let ready = || {
            let log = fs::read_to_string(&log).unwrap_or_default();
            log.contains("Bootstrapped 100%")
        };
        let is_ready = wait(STARTUP_TIMEOUT, ready);
        assert!(
            is_ready,
            "a Tor daemon is not ready: {}\n{}",
            fs::read_to_string(&log).unwrap_or_default(),
            fs::read_to_string(self.dir.join("out.log")).unwrap_or_default()
        );
    }

    /// Kills the daemon without a shutdown.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            end(&mut child);
        }
    }

    /// The name of the daemon's onion service.
    pub(crate) fn onion(&self) -> String {
        let name = fs::read_to_string(self.dir.join("service/hostname")).unwrap();
        format!("{}:20819", name.trim())
    }
}

impl Drop for TorDaemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The authority's keys that clients need.
struct AuthorityIdentity {
    /// The fingerprint of the key that signs the consensus.
    v3: String,
    rsa: String,
    ed25519: String,
}

impl AuthorityIdentity {
    /// Generates the keys of all relays, and those of the authority.
    fn make(dir: &Path, names: &[String], ports: &[u16], directory_port: u16) -> Self {
        let keys = dir.join(&names[0]).join("keys");
        private(&dir.join(&names[0]));
        private(&keys);
        let certificate = certify(&keys, directory_port);
        let relays: Vec<Child> = names
            .iter()
            .zip(ports)
            .map(|(name, port)| {
                private(&dir.join(name));
                make_keys(dir, name, *port)
            })
            .collect();
        for mut relay in relays.into_iter().chain([certificate]) {
            assert!(relay.wait().unwrap().success(), "tor generated no keys");
        }
        let text = fs::read_to_string(keys.join("authority_certificate")).unwrap();
        let fingerprint = text
            .lines()
            .find_map(|line| line.strip_prefix("fingerprint "));
        Self {
            v3: fingerprint.unwrap().to_owned(),
            rsa: second_word(&dir.join(&names[0]).join("fingerprint")),
            ed25519: second_word(&dir.join(&names[0]).join("fingerprint-ed25519")),
        }
    }

    fn for_tor(&self, port: u16, directory_port: u16) -> String {
        let Self { v3, rsa, .. } = self;
        format!(
            "DirAuthority tor0 orport={port} no-v2 v3ident={v3} 127.0.0.1:{directory_port} {rsa}\n"
        )
    }

    fn for_arti(&self, port: u16) -> String {
        let Self { v3, rsa, ed25519 } = self;
        format!(
            r#"[tor_network.authorities]
v3idents = ["{v3}"]
uploads = []
downloads = []
votes = []

[[tor_network.fallback_caches]]
rsa_identity = "{rsa}"
ed_identity = "{ed25519}"
orports = ["127.0.0.1:{port}"]

# All relays are in one subnet here.
[path_rules]
ipv4_subnet_family_prefix = 33
ipv6_subnet_family_prefix = 129

# Circuits over loopback teach a timeout that a busy machine cannot keep.
[override_net_params]
cbtmintimeout = 10000
"#
        )
    }
}

fn certify(keys: &Path, directory_port: u16) -> Child {
    let mut child = Command::new("tor-gencert")
        .args(["--create-identity-key", "-m", "1", "--passphrase-fd", "0"])
        .arg("-a")
        .arg(format!("127.0.0.1:{directory_port}"))
        .arg("-i")
        .arg(keys.join("authority_identity_key"))
        .arg("-s")
        .arg(keys.join("authority_signing_key"))
        .arg("-c")
        .arg(keys.join("authority_certificate"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"private\n").unwrap();
    child
}

fn make_keys(dir: &Path, name: &str, port: u16) -> Child {
    Command::new("tor")
        .args([
            "--hush",
            "-f",
            "/dev/null",
            "--ignore-missing-torrc",
            "--list-fingerprint",
        ])
        .args(["--GeoIPFile", "/dev/null", "--GeoIPv6File", "/dev/null"])
        .args(["--Nickname", name, "--ORPort", &format!("127.0.0.1:{port}")])
        .arg("--DataDirectory")
        .arg(dir.join(name))
        // Any fallback will do, so that no public one is used.
        .args([
            "--DirAuthority",
            "x 127.0.0.1:1 ffffffffffffffffffffffffffffffffffffffff",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The configuration of every daemon: loopback only, and it ends with this process.
fn common(dir: &Path, name: &str, authority: &str) -> String {
    let (data, owner) = (dir.join(name), std::process::id());
    let data = data.display();
    format!(
        "DataDirectory {data}\nNickname {name}\nLog notice file {data}/notice.log\n\
         RunAsDaemon 0\nNumCPUs 1\nGeoIPFile /dev/null\nGeoIPv6File /dev/null\n\
         ShutdownWaitLength 1\nTestingTorNetwork 1\nAssumeReachable 1\nAddress 127.0.0.1\n\
         OutboundBindAddress 127.0.0.1\n__OwningControllerProcess {owner}\n{authority}"
    )
}

fn relay_lines(port: u16) -> String {
    format!(
        "SocksPort 0\nORPort 127.0.0.1:{port}\nExitRelay 0\nDirCache 1\nContactInfo none\n\
         Schedulers Vanilla\n"
    )
}

/// One vote at the chosen second, and no other for an hour.
fn authority_lines(port: u16, vote: u64) -> String {
    let offset = vote % 1800;
    format!(
        "DirPort 127.0.0.1:{port}\nAuthoritativeDirectory 1\nV3AuthoritativeDirectory 1\n\
         TestingV3AuthInitialVotingInterval 1800\nTestingV3AuthInitialVoteDelay 2\n\
         TestingV3AuthInitialDistDelay 2\nTestingV3AuthVotingStartOffset {offset}\n\
         V3AuthVotingInterval 3600\nV3AuthVoteDelay 2\nV3AuthDistDelay 2\n\
         V3AuthNIntervalsValid 6\nTestingDirAuthVoteGuard *\nTestingDirAuthVoteHSDir *\n\
         TestingMinFastFlagThreshold 0\nAuthDirVoteStableGuaranteeMinUptime 0\n\
         AuthDirVoteStableGuaranteeMTBF 0\n\
         ConsensusParams hsdir_interval=1440 cbtmintimeout=10000\n"
    )
}

fn spawn(dir: &Path, name: &str, torrc: &str) -> Child {
    let dir = dir.join(name);
    let path = dir.join("torrc");
    fs::write(&path, torrc).unwrap();
    run_tor(&dir, &path)
}

fn run_tor(dir: &Path, torrc: &Path) -> Child {
    let log = File::create(dir.join("out.log")).unwrap();
    Command::new("tor")
        .args(["--hush", "--defaults-torrc", "/dev/null", "-f"])
        .arg(torrc)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

fn send(signal: &str, child: &Child) {
    let sent = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

fn end(child: &mut Child) {
    // An error means that the process has ended already.
    let _ended = child.kill();
    let _reaped = child.wait();
}

/// Tor refuses a directory that other users can read.
pub(crate) fn private(dir: &Path) {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .unwrap();
}

/// Unused ports, all different.
fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    held.iter()
        .map(|held| held.local_addr().unwrap().port())
        .collect()
}

fn second_word(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    text.split_whitespace().nth(1).unwrap().to_owned()
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn wait(timeout: Duration, mut until: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < timeout {
        if until() {
            return true;
        }
        thread::sleep(Duration::from_millis(100));
    }
    false
}

/// Relays beside the authority: one more than onion services need, so that one may fail.
const RELAYS: usize = 4;
/// Only bounds the wait for a daemon.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(90);
