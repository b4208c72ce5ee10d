//! The questions of `whisht init`, and what the answers are.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use super::answers::{Answers, Question};
use crate::cli::Failure;
use crate::config::{RawValue, Settings, tables};
use crate::identity::{BadName, IdentityName};
use crate::node::Cover;

/// What a node is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NodeRole {
    /// Writes to readers; accepts no connections.
    Source,
    /// Receives messages; accepts no connections.
    Reader,
    /// Carries cells for others.
    Relay,
    /// Serves JSON-RPC to programs on this machine.
    Dapp,
}

impl NodeRole {
    pub(super) const ALL: [Self; 4] = [Self::Source, Self::Reader, Self::Relay, Self::Dapp];

    /// The name.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Reader => "reader",
            Self::Relay => "relay",
            Self::Dapp => "dapp",
        }
    }
}

/// Flags that answer questions.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct GivenAnswers {
    /// Purpose of the node: source, reader, relay or dapp [default: ask]
    #[arg(long)]
    pub(super) role: Option<String>,
    /// Send every link through Tor: off, arti (in this process) or socks (a daemon) [default: ask]
    #[arg(long, value_name = "MODE")]
    pub(super) tor: Option<String>,
    /// Onion service of the Tor daemon that leads to the relay, such as NAME.onion:20819 [default: ask]
    #[arg(long, value_name = "NAME:PORT")]
    pub(super) onion: Option<String>,
    /// Privacy level of messages: swift, normal, hush or dark [default: ask]
    #[arg(long)]
    pub(super) level: Option<String>,
    /// Rate of cover traffic: full, reduced or off [default: ask]
    #[arg(long, value_name = "RATE")]
    pub(super) cover: Option<String>,
    /// Peers to stay connected to, enode URLs separated by commas, or none [default: ask]
    #[arg(long, value_name = "ENODES")]
    pub(super) peers: Option<String>,
    /// Public address of the relay [default: ask]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) advertise: Option<String>,
    /// Loopback address of JSON-RPC over HTTP [default: ask]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) rpc_http: Option<String>,
    /// Name of an identity to make, or none [default: ask]
    #[arg(long, value_name = "NAME")]
    pub(super) identity: Option<String>,
    /// Name of a network that never leaves this machine [default: the main network]
    #[arg(long, value_name = "NETWORK")]
    pub(super) local: Option<String>,
}

/// All answers.
#[derive(Clone, Debug)]
pub(super) struct Choices {
    pub(super) role: NodeRole,
    pub(super) local: Option<String>,
    /// Setting and values, in the order of the file.
    pub(super) settings: Vec<(&'static str, Vec<String>)>,
    pub(super) identity: Option<IdentityName>,
}

impl Choices {
    /// Asks for everything that the role needs.
    ///
    /// # Errors
    ///
    /// [`Failure`] if a flag breaks a rule, or does not belong to the role.
    pub(super) fn ask(given: &GivenAnswers, answers: &mut Answers) -> Result<Self, Failure> {
        let role = ask_role(given, answers)?;
        let mut choices = Self {
            role,
            local: given.local.clone(),
            settings: Vec::new(),
            identity: None,
        };
        if let Some(network) = &given.local {
            choices.put("profile", "local");
            choices.check_and_put("network", "local", network)?;
        }
        let tor = choices.ask_tor(given, answers)?;
        if role == NodeRole::Relay {
            choices.put("relay", "true");
            choices.ask_reachability(given, answers, &tor)?;
        } else {
            refuse(
                role,
                &[("advertise", &given.advertise), ("onion", &given.onion)],
            )?;
            choices.ask_sending(given, answers, &tor)?;
        }
        choices.ask_peers(given, answers)?;
        match role {
            NodeRole::Source | NodeRole::Reader => choices.settings.push(("listen", Vec::new())),
            NodeRole::Relay | NodeRole::Dapp => {}
        }
        if role == NodeRole::Dapp {
            choices.ask_rpc(given, answers)?;
        } else {
            refuse(role, &[("rpc-http", &given.rpc_http)])?;
        }
        if role == NodeRole::Reader {
            choices.ask_identity(given, answers)?;
        } else {
            refuse(role, &[("identity", &given.identity)])?;
        }
        Ok(choices)
    }

    /// The rate of cover traffic.
    pub(super) fn cover(&self) -> Cover {
        let word = self.value("cover").unwrap_or_default();
        let mut all = Cover::ALL.into_iter();
        all.find(|cover| cover.word() == word).unwrap_or_default()
    }

    /// Whether the node carries cells for others.
    pub(super) fn relays(&self) -> bool {
        self.role == NodeRole::Relay
    }

    /// The first value of a setting.
    pub(super) fn value(&self, key: &str) -> Option<&str> {
        let mut settings = self.settings.iter();
        let (_, values) = settings.find(|(own, _)| *own == key)?;
        values.first().map(String::as_str)
    }

    fn ask_tor(&mut self, given: &GivenAnswers, answers: &mut Answers) -> Result<String, Failure> {
        let default = self.default_tor();
        let question = Question {
            flag: "tor",
            text: "How does this node reach others?",
            notes: &[
                "arti   through Tor, which runs inside this program; nothing else to install",
                "socks  through the Tor daemon of this machine, at 127.0.0.1:9050",
                "off    directly: the network provider and every peer see this machine's address",
            ],
            default,
        };
        let tor = answers.ask(&question, given.tor.as_deref(), |word| {
            check("tor.mode", word)
        })?;
        if tor != "off" {
            self.put("tor.mode", &tor);
            self.put("tor.only", "true");
        }
        Ok(tor)
    }

    /// Tor for people, if it is there; none for relays and programs.
    fn default_tor(&self) -> &'static str {
        let hides =
            matches!(self.role, NodeRole::Source | NodeRole::Reader) && self.local.is_none();
        match hides {
            true if daemon_listens() => "socks",
            true if cfg!(feature = "tor") => "arti",
            _ => "off",
        }
    }

    /// The address of a relay.
    fn ask_reachability(
        &mut self,
        given: &GivenAnswers,
        answers: &mut Answers,
        tor: &str,
    ) -> Result<(), Failure> {
        refuse(
            self.role,
            &[("level", &given.level), ("cover", &given.cover)],
        )?;
        if tor == "socks" {
            let question = Question {
                flag: "onion",
                text: "Which onion service of the Tor daemon leads to this relay?",
                notes: &["the name in the file `hostname` of its HiddenServiceDir, and the port"],
                default: "",
            };
            let onion = answers.ask(&question, given.onion.as_deref(), |text| {
                check("tor.onion", text)
            })?;
            self.put("tor.onion", &onion);
            return Ok(());
        }
        refuse(self.role, &[("onion", &given.onion)])?;
        if self.local.is_some() && given.advertise.is_some() {
            return Err(Failure::usage(
                "--advertise has no effect with --local: a local network stays on this machine, and its \
                 relays advertise the address that they listen on; leave one of them out",
            ));
        }
        if tor == "arti" || self.local.is_some() {
            return refuse(self.role, &[("advertise", &given.advertise)]);
        }
        let question = Question {
            flag: "advertise",
            text: "At which public address do others reach this relay?",
            notes: &[
                "the address of this machine in the internet, and the port: 203.0.113.7:20819",
            ],
            default: "",
        };
        let address = answers.ask(&question, given.advertise.as_deref(), |text| {
            check("advertise", text)
        })?;
        self.put("advertise", &address);
        Ok(())
    }

    /// Level and cover of a node that sends messages.
    fn ask_sending(
        &mut self,
        given: &GivenAnswers,
        answers: &mut Answers,
        tor: &str,
    ) -> Result<(), Failure> {
        let careful = self.role == NodeRole::Source && tor != "off";
        let question = Question {
            flag: "level",
            text: "How well should messages of this node hide their sender?",
            notes: &LEVELS,
            default: if careful { "dark" } else { "normal" },
        };
        let level = answers.ask(&question, given.level.as_deref(), |word| {
            check("level", word)
        })?;
        self.put("level", &level);
        let question = Question {
            flag: "cover",
            text: "How much cover traffic should this node send?",
            notes: &[
                "full     43 MB a day; messages hide among it",
                "reduced  5 MB a day; the nodes that send so little are a smaller set to hide in",
                "off      none; the levels hush and dark are refused",
            ],
            default: "full",
        };
        let cover = answers.ask(&question, given.cover.as_deref(), |word| {
            check("cover", word)
        })?;
        self.put("cover", &cover);
        Ok(())
    }

    fn ask_peers(&mut self, given: &GivenAnswers, answers: &mut Answers) -> Result<(), Failure> {
        let question = Question {
            flag: "peers",
            text: "Which nodes should this node stay connected to?",
            notes: &[
                "enode URLs separated by commas; their operators print them; two or more are safer",
            ],
            default: "",
        };
        let peers = answers.ask(&question, given.peers.as_deref(), |text| {
            if matches!(text, "" | "none") {
                return Ok(Vec::new());
            }
            let peers = text.split(',').map(str::trim);
            peers.map(|peer| check("peers", peer)).collect()
        })?;
        self.settings.push(("peers", peers));
        Ok(())
    }

    fn ask_rpc(&mut self, given: &GivenAnswers, answers: &mut Answers) -> Result<(), Failure> {
        let question = Question {
            flag: "rpc-http",
            text: "At which address of this machine do programs call JSON-RPC?",
            notes: &[
                "programs need the token in the data directory; other machines cannot connect",
            ],
            default: "127.0.0.1:8545",
        };
        let address = answers.ask(&question, given.rpc_http.as_deref(), |text| {
            check("rpc.http", text)
        })?;
        self.put("rpc.http", &address);
        Ok(())
    }

    fn ask_identity(&mut self, given: &GivenAnswers, answers: &mut Answers) -> Result<(), Failure> {
        let question = Question {
            flag: "identity",
            text: "Make an identity now? Its password also protects contacts and messages.",
            notes: &["a name such as desk, or none to make it later with `whisht id new`"],
            default: "desk",
        };
        self.identity = answers.ask(&question, given.identity.as_deref(), |text| match text {
            "none" => Ok(None),
            name => name
                .parse()
                .map(Some)
                .map_err(|error: BadName| error.to_string()),
        })?;
        Ok(())
    }

    fn put(&mut self, key: &'static str, value: &str) {
        self.settings.push((key, vec![value.to_owned()]));
    }

    fn check_and_put(&mut self, key: &'static str, flag: &str, value: &str) -> Result<(), Failure> {
        let checked = check(key, value)
            .map_err(|rule| Failure::usage(format_args!("--{flag} {value}: {rule}")))?;
        self.put(key, &checked);
        Ok(())
    }
}

fn ask_role(given: &GivenAnswers, answers: &mut Answers) -> Result<NodeRole, Failure> {
    let question = Question {
        flag: "role",
        text: "What is this node for?",
        notes: &[
            "source  writes to readers; accepts no connections",
            "reader  receives messages, and answers; accepts no connections",
            "relay   carries cells for others, at an address that others can reach",
            "dapp    serves JSON-RPC to programs on this machine",
        ],
        default: "source",
    };
    answers.ask(&question, given.role.as_deref(), |word| {
        let found = NodeRole::ALL.into_iter().find(|role| role.word() == word);
        found.ok_or_else(|| "expected source, reader, relay or dapp".to_owned())
    })
}

/// Refuses flags that answer no question of the role.
fn refuse(role: NodeRole, given: &[(&str, &Option<String>)]) -> Result<(), Failure> {
    match given.iter().find(|(_, value)| value.is_some()) {
        None => Ok(()),
        Some((flag, _)) => Err(Failure::usage(format_args!(
            "--{flag} has no effect with these answers (role {}); leave it out",
            role.word()
        ))),
    }
}

/// Checks a value by the rule of its setting.
fn check(key: &str, text: &str) -> Result<String, String> {
    let tables = tables();
    let mut settings = tables.iter().flat_map(|table| &table.settings);
    let setting = settings
        .find(|setting| setting.names.key == key)
        .ok_or_else(|| format!("there is no setting {key}"))?;
    let texts = [text.into()];
    setting
        .set(&mut Settings::default(), RawValue::Texts(&texts))
        .map_err(|rule| rule.to_string())?;
    Ok(text.to_owned())
}

/// Whether something accepts connections at the SOCKS port of a Tor daemon.
fn daemon_listens() -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 9_050));
    TcpStream::connect_timeout(&address, Duration::from_millis(300)).is_ok()
}

/// One sentence for each level.
const LEVELS: [&str; 4] = [
    "swift   the content is secret; I do not mind being seen to send",
    "normal  no single node should learn that it was me",
    "hush    an observer may watch my connection, or all connections",
    "dark    as hush, and being identified would harm me; by Tor only, takes minutes",
];
