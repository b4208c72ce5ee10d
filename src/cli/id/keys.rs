//! The store of identities: the running node, or the data directory if no node runs.

use circuits::erasing_rng::ErasingRng;
use serde::de::IgnoredAny;
use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::output::say;
use crate::cli::{Exit, Failure, GlobalArgs};
use crate::envelope::Topic;
use crate::identity::{IdentityName, NewIdentity};
use crate::keystore::{Cost, Password, SealedIdentity};
use crate::node::{Identity, IdentityView, PublicIdentity};
use crate::rpc::ExportView;
use crate::shell::data_dir::DataDir;
use crate::shell::identity_files::{self, SealParams, StoredIdentity};
use crate::shell::rpc::{RpcClient, RpcClientError};
use crate::shell::seeded_rng;

/// A store of identities.
pub(super) enum IdentityStore {
    /// A running node.
    Node(RpcClient),
    /// A directory that no node uses, locked while the command runs.
    Directory(DataDir),
}

/// An identity to make.
pub(super) struct IdentityRequest {
    pub(super) name: IdentityName,
    /// The topic of a shared key; `None` for a key pair.
    pub(super) topic: Option<Topic>,
    /// The password from which the shared key is derived; `None` for a random key.
    pub(super) group_password: Option<Zeroizing<String>>,
}

impl IdentityStore {
    /// Finds the store.
    pub(super) async fn find(common: &GlobalArgs) -> Result<Self, Failure> {
        match RpcClient::connect(&common.ipc()?).await {
            Ok(client) => Ok(Self::Node(client)),
            Err(RpcClientError::NoNode { .. }) if common.ipc.is_none() => {
                Ok(Self::Directory(DataDir::lock(&common.data_dir()?)?))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// All identities.
    pub(super) async fn list(&mut self) -> Result<Vec<IdentityView>, Failure> {
        match self {
            Self::Node(client) => Ok(client.view("whisht_identities", json!([])).await?),
            Self::Directory(dir) => {
                let identity_files::Listing {
                    identities,
                    skipped,
                } = identity_files::list(dir)?;
                for skipped in skipped {
                    say(format_args!(
                        "skipped a file that is not an identity: {skipped}"
                    ));
                }
                let view = |(name, kept): &(IdentityName, StoredIdentity)| {
                    Some(view(name, kept.public_identity()?, kept.is_protected()))
                };
                Ok(identities.iter().filter_map(view).collect())
            }
        }
    }

    /// Makes an identity.
    pub(super) async fn create(
        &mut self,
        new: &IdentityRequest,
        password: Option<&Password>,
        cost: Cost,
    ) -> Result<IdentityView, Failure> {
        let IdentityRequest {
            name,
            topic,
            group_password,
        } = new;
        match self {
            Self::Node(client) => {
                let params = json!([{
                    "name": name.as_str(),
                    "topic": topic.map(|topic| hex::encode(topic.0)),
                    "group_password": group_password.as_ref().map(|password| password.as_str()),
                    "password": password.map(Password::expose),
                    "danger_light_kdf": cost == Cost::DangerLight,
                }]);
                Ok(client.view("whisht_newIdentity", params).await?)
            }
            Self::Directory(dir) => {
                let wanted = match (topic, group_password) {
                    (None, _) => NewIdentity::KeyPair,
                    (Some(topic), None) => NewIdentity::Shared(*topic),
                    (Some(topic), Some(password)) => {
                        NewIdentity::FromPassword(*topic, password.clone())
                    }
                };
                let password = password.ok_or(identity_files::IdentityError::NeedsPassword)?;
                let sealing = SealParams { password, cost };
                let made = identity_files::create(dir, name, wanted, sealing, &mut generator()?)?;
                Ok(opened(name, &made))
            }
        }
    }

    /// Imports the identity of a key file.
    pub(super) async fn import(
        &mut self,
        file: &str,
        name: Option<IdentityName>,
        password: &Password,
        cost: Cost,
    ) -> Result<IdentityView, Failure> {
        match self {
            Self::Node(client) => {
                let params = json!([{
                    "file": file,
                    "name": name.as_ref().map(IdentityName::as_str),
                    "password": password.expose(),
                    "danger_light_kdf": cost == Cost::DangerLight,
                }]);
                Ok(client.view("whisht_importIdentity", params).await?)
            }
            Self::Directory(dir) => {
                let sealing = SealParams { password, cost };
                let rng = &mut generator()?;
                let (name, identity) = identity_files::import(dir, file, name, sealing, rng)?;
                Ok(opened(&name, &identity))
            }
        }
    }

    /// The encrypted key file of an identity.
    pub(super) async fn export(&mut self, name: &IdentityName) -> Result<SealedIdentity, Failure> {
        match self {
            Self::Node(client) => {
                let params = json!([name.as_str()]);
                let exported: ExportView = client.view("whisht_exportIdentity", params).await?;
                SealedIdentity::parse(&exported.file)
                    .map_err(|error| Failure::new(Exit::Failed, error))
            }
            Self::Directory(dir) => Ok(identity_files::export(dir, name)?),
        }
    }

    /// Erases an identity.
    pub(super) async fn remove(&mut self, name: &IdentityName) -> Result<(), Failure> {
        match self {
            Self::Node(client) => {
                let params = json!([name.as_str()]);
                let _: IgnoredAny = client.view("whisht_removeIdentity", params).await?;
                Ok(())
            }
            Self::Directory(dir) => Ok(identity_files::remove(dir, name)?),
        }
    }

    /// Gives an identity another name.
    pub(super) async fn rename(
        &mut self,
        old: &IdentityName,
        new: &IdentityName,
        password: &Password,
        cost: Cost,
    ) -> Result<(), Failure> {
        match self {
            Self::Node(client) => {
                let params = json!([{
                    "name": old.as_str(),
                    "new": new.as_str(),
                    "password": password.expose(),
                    "danger_light_kdf": cost == Cost::DangerLight,
                }]);
                let _: IgnoredAny = client.view("whisht_renameIdentity", params).await?;
                Ok(())
            }
            Self::Directory(dir) => {
                let sealing = SealParams { password, cost };
                Ok(identity_files::rename(
                    dir,
                    old,
                    new,
                    sealing,
                    &mut generator()?,
                )?)
            }
        }
    }

    /// Encrypts an identity under another password.
    pub(super) async fn change_password(
        &mut self,
        name: &IdentityName,
        old: Option<&Password>,
        new: &Password,
        cost: Cost,
    ) -> Result<(), Failure> {
        match self {
            Self::Node(client) => {
                let params = json!([{
                    "name": name.as_str(),
                    "old": old.map(Password::expose),
                    "new": new.expose(),
                    "danger_light_kdf": cost == Cost::DangerLight,
                }]);
                let _: IgnoredAny = client.view("whisht_changePassword", params).await?;
            }
            Self::Directory(dir) => {
                let sealing = SealParams {
                    password: new,
                    cost,
                };
                identity_files::change_password(dir, name, old, sealing, &mut generator()?)?;
            }
        }
        Ok(())
    }
}

fn generator() -> Result<ErasingRng, Failure> {
    seeded_rng().map_err(|error| Failure::new(Exit::Failed, error))
}

fn opened(name: &IdentityName, identity: &Identity) -> IdentityView {
    view(name, identity.public_identity(), false)
}

/// An identity as the node shows it.
fn view(name: &IdentityName, public_identity: PublicIdentity, locked: bool) -> IdentityView {
    let (public_key, topic) = match public_identity {
        PublicIdentity::KeyPair(public) => (Some(hex::encode(public.to_bytes())), None),
        PublicIdentity::Shared(topic) => (None, Some(hex::encode(topic.0))),
    };
    IdentityView {
        name: name.to_string(),
        kind: public_identity.kind(),
        public_key,
        topic,
        locked,
    }
}
