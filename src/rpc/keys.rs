//! Calls about the keys of identities, and their passwords.
//!
//! No result contains an unencrypted key. A missing password differs from an empty one: a node with
//! a data directory requires an explicit password for a new identity.

use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use super::call::{bad, nothing, object, text};
use super::{Permissions, RpcError};
use crate::identity::{IdentityName, NewIdentity, parse_topic};
use crate::keystore::{Cost, Password};

/// A command about the keys of identities.
#[derive(Debug)]
pub enum KeyCall {
    /// Seal an identity under another password.
    ChangePassword {
        /// The identity.
        name: IdentityName,
        /// The current password.
        old: Option<Password>,
        /// The new password; empty for none.
        new: Password,
        /// The cost of one guess at the password.
        cost: Cost,
    },
    /// Return the sealed file of an identity.
    Export(IdentityName),
    /// Add the identity of a key file.
    Import {
        /// The file's text.
        file: String,
        /// The identity's name; the name in the file if absent.
        name: Option<IdentityName>,
        /// The password of the file, and of the identity here.
        password: Password,
        /// The cost of one guess at the password.
        cost: Cost,
    },
    /// Lock everything that a password protects.
    Lock,
    /// Create an identity, store it, and subscribe to its messages.
    New {
        /// The identity's name.
        name: IdentityName,
        /// The kind of identity.
        wanted: NewIdentity,
        /// The password; empty for none.
        password: Option<Password>,
        /// The cost of one guess at the password.
        cost: Cost,
    },
    /// Erase an identity.
    Remove(IdentityName),
    /// Give an identity another name.
    Rename {
        /// The identity.
        name: IdentityName,
        /// Its new name.
        new: IdentityName,
        /// Its password; empty for none.
        password: Password,
        /// The cost of one guess at the password.
        cost: Cost,
    },
    /// Unlock identities.
    Unlock {
        /// The password.
        password: Password,
        /// The identity; all that the password unlocks if absent.
        name: Option<IdentityName>,
    },
}

impl KeyCall {
    /// Parses the parameters of a method.
    pub(super) fn read(
        method: &str,
        params: Value,
        permissions: Permissions,
    ) -> Result<Self, RpcError> {
        match method {
            "whisht_changePassword" => change_password(params),
            "whisht_exportIdentity" => {
                permissions.files()?;
                Ok(Self::Export(name(&text(params, "name")?)?))
            }
            "whisht_importIdentity" => import(params),
            "whisht_lock" => nothing(params, Self::Lock),
            "whisht_newIdentity" => new(params),
            "whisht_removeIdentity" => Ok(Self::Remove(name(&text(params, "name")?)?)),
            "whisht_renameIdentity" => rename(params),
            _ => unlock(params),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeParams {
    name: String,
    old: Option<Zeroizing<String>>,
    new: Zeroizing<String>,
    #[serde(default)]
    danger_light_kdf: bool,
}

fn change_password(params: Value) -> Result<KeyCall, RpcError> {
    let params: ChangeParams = object(params)?;
    Ok(KeyCall::ChangePassword {
        name: name(&params.name)?,
        old: params.old.map(password).transpose()?,
        new: password(params.new)?,
        cost: cost(params.danger_light_kdf),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ImportParams {
    file: String,
    name: Option<String>,
    password: Zeroizing<String>,
    #[serde(default)]
    danger_light_kdf: bool,
}

fn import(params: Value) -> Result<KeyCall, RpcError> {
    let params: ImportParams = object(params)?;
    Ok(KeyCall::Import {
        file: params.file,
        name: params.name.as_deref().map(name).transpose()?,
        password: password(params.password)?,
        cost: cost(params.danger_light_kdf),
    })
}

/// A key pair, unless a topic is given.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewParams {
    name: String,
    topic: Option<String>,
    /// What the shared key is derived from; drawn at random if absent.
    group_password: Option<Zeroizing<String>>,
    password: Option<Zeroizing<String>>,
    #[serde(default)]
    danger_light_kdf: bool,
}

fn new(params: Value) -> Result<KeyCall, RpcError> {
    let params: NewParams = object(params)?;
    let topic = params.topic.as_deref().map(parse_topic).transpose();
    let topic = topic.map_err(|error| bad("topic", error, "choose one"))?;
    let wanted = match (topic, params.group_password) {
        (None, None) => NewIdentity::KeyPair,
        (Some(topic), None) => NewIdentity::Shared(topic),
        (Some(topic), Some(password)) => NewIdentity::FromPassword(topic, password),
        (None, Some(_)) => {
            return Err(bad("topic", "a shared key needs one", "give four bytes"));
        }
    };
    Ok(KeyCall::New {
        name: name(&params.name)?,
        wanted,
        password: params.password.map(password).transpose()?,
        cost: cost(params.danger_light_kdf),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RenameParams {
    name: String,
    new: String,
    password: Zeroizing<String>,
    #[serde(default)]
    danger_light_kdf: bool,
}

fn rename(params: Value) -> Result<KeyCall, RpcError> {
    let params: RenameParams = object(params)?;
    Ok(KeyCall::Rename {
        name: name(&params.name)?,
        new: name(&params.new)?,
        password: password(params.password)?,
        cost: cost(params.danger_light_kdf),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnlockParams {
    password: Zeroizing<String>,
    name: Option<String>,
}

fn unlock(params: Value) -> Result<KeyCall, RpcError> {
    let params: UnlockParams = object(params)?;
    Ok(KeyCall::Unlock {
        password: password(params.password)?,
        name: params.name.as_deref().map(name).transpose()?,
    })
}

fn name(text: &str) -> Result<IdentityName, RpcError> {
    text.parse()
        .map_err(|error| bad("name", error, "choose another one"))
}

fn password(text: Zeroizing<String>) -> Result<Password, RpcError> {
    Password::new(text).map_err(|error| bad("password", error, "give a shorter one"))
}

const fn cost(light: bool) -> Cost {
    if light {
        Cost::DangerLight
    } else {
        Cost::Standard
    }
}
