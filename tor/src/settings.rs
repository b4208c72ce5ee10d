//! What arti is set up with.
//!
//! Everything is read strictly. Arti itself takes an unknown key for a comment, and a network
//! section with a mistyped name would mean the public network; so what is not recognised is
//! refused ([`TorStartError::Unknown`]).

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
    /// Where keys, guards and the directory are kept; made with mode 0700.
    pub directory: PathBuf,
    /// The sections of arti's own configuration that name a private network (`[tor_network]` and
    /// what goes with it). `None` is the public network.
    pub network: Option<String>,
    /// Bridge lines, as Tor's bridge database gives them. With any, no relay is contacted
    /// directly.
    pub bridges: Vec<String>,
    /// Programs that carry the traffic to bridges.
    pub transports: Vec<TransportProgram>,
    /// A directory of `*.auth_private` files as C tor keeps them: keys for services that are for
    /// chosen clients only.
    pub keys: Option<PathBuf>,
}

/// A pluggable transport.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TransportProgram {
    /// The names that bridge lines use, such as `obfs4`.
    pub protocols: Vec<String>,
    /// The program.
    pub program: PathBuf,
}

/// Settings of the onion service.
#[derive(Clone, Debug, Default)]
pub struct ServiceSettings {
    /// The port that the service is reached at.
    pub port: u16,
    /// Who may find the service; everybody, if nobody is named.
    pub readers: Vec<AuthorizedClient>,
}

/// Somebody who may find a service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuthorizedClient {
    /// For the operator's use.
    pub name: String,
    /// `descriptor:x25519:BASE32`, as the client prints it.
    pub key: String,
}

impl ArtiSettings {
    /// The client's configuration, with nothing left to a default that matters.
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

/// The part of arti's configuration that we write.
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

/// Keys that C tor or the operator wrote.
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
    /// Said outright: with `auto`, an empty list would mean a direct connection.
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

/// A path that arti must not expand.
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

/// The service's name within arti's state, which its key and so its address hang on.
const NICKNAME: &str = "whisht";
