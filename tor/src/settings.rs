//! Configuration of arti.
//!
//! All settings are read strictly. Arti itself ignores unknown keys, and a misspelt network section
//! would select the public network. Unknown settings are therefore refused
//! ([`TorStartError::Unknown`]).

use std::path::{Path, PathBuf};

use arti_client::TorClientConfig;
use arti_client::config::onion_service::{OnionServiceConfig, OnionServiceConfigBuilder};
use serde::Serialize;
use tor_config::load::{ConfigResolveOptions, ResolutionResults, resolve_return_results};
use tor_config::sources::MustRead;
use tor_config::{ConfigurationSource, ConfigurationSources};
use tor_hsservice::HsNickname;

use crate::error::{TorStartError, with_causes};

/// Settings of the client.
#[derive(Clone, Debug, Default)]
pub struct ArtiSettings {
    /// Directory of keys, guards and the consensus; created with mode 0700.
    pub directory: PathBuf,
    /// Sections of arti's own configuration that describe a private network (`[tor_network]` and
    /// related sections). `None` is the public network.
    pub network: Option<String>,
    /// Bridge lines in the format of Tor's bridge database. If there are any, the client contacts
    /// no relay directly.
    pub bridges: Vec<String>,
    /// Pluggable transports for the bridges.
    pub transports: Vec<TransportProgram>,
    /// A directory of `*.auth_private` files in the format of C tor: client keys for services with
    /// authorised clients.
    pub keys: Option<PathBuf>,
}

/// A pluggable transport.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TransportProgram {
    /// The names in bridge lines, such as `obfs4`.
    pub protocols: Vec<String>,
    /// Path of the executable.
    pub program: PathBuf,
}

/// Settings of the onion service.
#[derive(Clone, Debug, Default)]
pub struct ServiceSettings {
    /// The port of the service.
    pub port: u16,
    /// Clients that may discover the service; if empty, every client may.
    pub readers: Vec<AuthorizedClient>,
}

/// A client that may discover a service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuthorizedClient {
    /// Label for the operator.
    pub name: String,
    /// `descriptor:x25519:BASE32`, as the client prints it.
    pub key: String,
}

impl ArtiSettings {
    /// The configuration of the client. Every setting that affects safety is explicit.
    pub(crate) fn build(&self) -> Result<TorClientConfig, TorStartError> {
        let ours = toml::to_string(&Sections::of(self)).map_err(|error| setting(&error))?;
        let mut sources = ConfigurationSources::new_empty();
        for text in self.network.iter().chain([&ours]) {
            let source = ConfigurationSource::from_verbatim(text.clone());
            sources.push_source(source, MustRead::MustRead);
        }
        let tree = sources.load().map_err(|error| setting(&error))?;
        let resolved: ResolutionResults<TorClientConfig> =
            resolve_return_results(&tree, &ConfigResolveOptions::default())
                .map_err(|error| setting(&error))?;
        match resolved.unrecognized.as_slice() {
            [] => Ok(resolved.value),
            unknown => Err(TorStartError::Unknown(
                unknown.iter().map(ToString::to_string).collect(),
            )),
        }
    }
}

impl ServiceSettings {
    pub(crate) fn build(&self) -> Result<OnionServiceConfig, TorStartError> {
        let nickname =
            HsNickname::try_from(NICKNAME.to_owned()).map_err(|error| setting(&error))?;
        let mut builder = OnionServiceConfigBuilder::default();
        builder.nickname(nickname);
        if !self.readers.is_empty() {
            let restricted = builder.restricted_discovery();
            restricted.enabled(true);
            for AuthorizedClient { name, key } in &self.readers {
                let name = name.parse().map_err(|error| setting(&error))?;
                let key = key.parse().map_err(|error| setting(&error))?;
                restricted.static_keys().access().push((name, key));
            }
        }
        builder.build().map_err(|error| setting(&error))
    }
}

/// The part of arti's configuration that this crate writes.
#[derive(Serialize)]
struct Sections<'a> {
    storage: StorageSection<'a>,
    bridges: BridgesSection<'a>,
}

#[derive(Serialize)]
struct StorageSection<'a> {
    state_dir: Literal,
    cache_dir: Literal,
    keystore: KeystoreSection<'a>,
}

#[derive(Serialize)]
struct KeystoreSection<'a> {
    ctor: CTor<'a>,
}

/// Keys written by C tor or by the operator.
#[derive(Serialize)]
struct CTor<'a> {
    clients: Vec<CTorClient<'a>>,
}

#[derive(Serialize)]
struct CTorClient<'a> {
    id: &'static str,
    path: &'a Path,
}

#[derive(Serialize)]
struct BridgesSection<'a> {
    /// Explicit, because with `auto` an empty list would mean a direct connection.
    enabled: bool,
    bridges: &'a [String],
    transports: Vec<ManagedTransport<'a>>,
}

#[derive(Serialize)]
struct ManagedTransport<'a> {
    protocols: &'a [String],
    path: Literal,
    run_on_startup: bool,
}

/// A path without variable expansion by arti.
#[derive(Serialize)]
struct Literal {
    literal: PathBuf,
}

impl Literal {
    fn of(path: impl Into<PathBuf>) -> Self {
        Self {
            literal: path.into(),
        }
    }
}

impl<'a> Sections<'a> {
    fn of(settings: &'a ArtiSettings) -> Self {
        let client = |path: &'a PathBuf| CTorClient { id: "keys", path };
        let transport = |transport: &'a TransportProgram| ManagedTransport {
            protocols: &transport.protocols,
            path: Literal::of(&transport.program),
            run_on_startup: true,
        };
        Self {
            storage: StorageSection {
                state_dir: Literal::of(settings.directory.join("state")),
                cache_dir: Literal::of(settings.directory.join("cache")),
                keystore: KeystoreSection {
                    ctor: CTor {
                        clients: settings.keys.iter().map(client).collect(),
                    },
                },
            },
            bridges: BridgesSection {
                enabled: !settings.bridges.is_empty(),
                bridges: &settings.bridges,
                transports: settings.transports.iter().map(transport).collect(),
            },
        }
    }
}

fn setting(error: &(dyn std::error::Error + 'static)) -> TorStartError {
    TorStartError::Setting(with_causes(error))
}

/// Name of the service in arti's state. The key of the service, and so its address, depends on it.
const NICKNAME: &str = "whisht";
