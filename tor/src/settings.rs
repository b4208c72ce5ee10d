//! Configuration of arti.
//!
//! All settings are read strictly. Arti itself ignores unknown keys, and a misspelt network section
//! would select the public network. Unknown settings are therefore refused
//! ([`TorStartError::Unknown`]).

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use arti_client::TorClientConfig;
use arti_client::config::BridgeConfigBuilder;
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
        self.check()?;
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

impl ArtiSettings {
    /// Checks what the operator wrote, one value at a time, so that an error names the value. Arti
    /// names its own generated configuration, and reports a missing transport program never.
    fn check(&self) -> Result<(), TorStartError> {
        for (number, line) in (1..).zip(&self.bridges) {
            let bridge = line.parse::<BridgeConfigBuilder>();
            let cause = match bridge.map(|bridge| bridge.build()) {
                Ok(Ok(_)) => continue,
                Ok(Err(error)) => with_causes(&error),
                Err(error) => with_causes(&error),
            };
            return Err(TorStartError::Bridge { number, cause });
        }
        for TransportProgram { program, .. } in &self.transports {
            check_program(program)?;
        }
        match &self.keys {
            Some(keys) if !keys.is_dir() => Err(TorStartError::NoKeys(keys.clone())),
            _ => Ok(()),
        }
    }
}

/// Checks that a program exists and can be executed. A name without a slash is looked up in `PATH`,
/// as it is when the program starts.
fn check_program(program: &Path) -> Result<(), TorStartError> {
    let is_executable = |path: &Path| {
        let metadata = path.metadata();
        metadata.is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let found = if program.components().count() > 1 {
        is_executable(program)
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|dir| is_executable(&dir.join(program)))
    };
    if found {
        return Ok(());
    }
    Err(TorStartError::NoProgram(program.to_owned()))
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
                let wrong = |cause: &dyn std::error::Error| TorStartError::Reader {
                    name: name.clone(),
                    cause: with_causes(cause),
                };
                let key = key.parse().map_err(|error| wrong(&error))?;
                let name = name.parse().map_err(|error| wrong(&error))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    const BRIDGE: &str = "192.0.2.7:443 $0123456789abcdef0123456789abcdef01234567";

    fn refused(settings: ArtiSettings) -> String {
        let settings = ArtiSettings {
            directory: "/nonexistent".into(),
            ..settings
        };
        settings.build().map(drop).unwrap_err().to_string()
    }

    #[test]
    fn malformed_bridge_line_is_refused_with_its_number() {
        let bridges = vec![BRIDGE.to_owned(), "obfs4 192.0.2.7:443 cert=x".to_owned()];
        let text = refused(ArtiSettings {
            bridges,
            ..ArtiSettings::default()
        });
        assert!(text.starts_with("bridge line 2 of tor.bridges:"), "{text}");
    }

    #[test]
    fn missing_transport_program_is_refused() {
        for program in ["/usr/bin/nothere", "whisht-nothere", "/dev/null", "/usr"] {
            let transport = TransportProgram {
                protocols: vec!["obfs4".to_owned()],
                program: program.into(),
            };
            let text = refused(ArtiSettings {
                bridges: vec![BRIDGE.to_owned()],
                transports: vec![transport],
                ..ArtiSettings::default()
            });
            assert!(
                text.contains(program) && text.contains("tor.transports"),
                "{text}"
            );
        }
        check_program(Path::new("sh")).unwrap();
        check_program(Path::new("/bin/sh")).unwrap();
    }

    #[test]
    fn missing_directory_of_keys_is_refused() {
        let text = refused(ArtiSettings {
            keys: Some("/nonexistent/keys".into()),
            ..ArtiSettings::default()
        });
        assert!(text.contains("tor.keys"), "{text}");
    }

    #[test]
    fn malformed_reader_is_refused_with_its_name() {
        let reader = AuthorizedClient {
            name: "alice".to_owned(),
            key: "descriptor:x25519:AAAA".to_owned(),
        };
        let settings = ServiceSettings {
            port: 1,
            readers: vec![reader],
        };
        let text = settings.build().map(drop).unwrap_err().to_string();
        assert!(
            text.contains("`alice`") && text.contains("tor.readers"),
            "{text}"
        );
    }
}
