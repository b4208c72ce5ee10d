//! RPC calls on the keys of identities: the identity service's outcomes as results and errors.

use serde_json::{Value, json};

use super::Service;
use super::session::stopped;
use crate::identity::IdentityName;
use crate::node::Command;
use crate::rpc::{self, KeyCall, RpcError, RpcErrorKind};
use crate::shell::Stopped;
use crate::shell::identity_files::IdentityError;
use crate::shell::identity_service::{IdentityServiceError, UnlockResult};

/// Runs a call to its end even if its client disconnects: a stored key must be added to the node.
pub(super) async fn execute(service: Service, call: KeyCall) -> Result<Value, RpcError> {
    let done = tokio::spawn(async move { keys(&service, call).await });
    done.await.map_err(|_| stopped(Stopped))?
}

async fn keys(service: &Service, call: KeyCall) -> Result<Value, RpcError> {
    let Service { handle, identities } = service;
    let name = match call {
        KeyCall::New {
            name,
            wanted,
            password,
            cost,
        } => {
            let kept = identities.create(handle, name.clone(), wanted, password, cost);
            kept.await.map(|()| name)?
        }
        KeyCall::Import {
            file,
            name,
            password,
            cost,
        } => {
            identities
                .import(handle, file, name, password, cost)
                .await?
        }
        KeyCall::ChangePassword {
            name,
            old,
            new,
            cost,
        } => {
            let changed = identities.change_password(name.clone(), old, new, cost);
            changed.await.map(|()| name)?
        }
        KeyCall::Export(name) => {
            let sealed = identities.export(name.clone()).await?;
            let address = sealed.address().map(|address| hex::encode(address.0));
            let file = sealed.to_json();
            return Ok(json!({"name": name.as_str(), "address": address, "file": file}));
        }
        KeyCall::Unlock { password, name } => {
            let UnlockResult { opened, locked } = identities.unlock(handle, password, name).await?;
            let texts = |names: &[IdentityName]| -> Vec<String> {
                names.iter().map(ToString::to_string).collect()
            };
            return Ok(json!({"opened": texts(&opened), "locked": texts(&locked)}));
        }
    };
    Ok(identity(service, &name).await?.unwrap_or_default())
}

/// The node's view of an identity.
async fn identity(service: &Service, name: &IdentityName) -> Result<Option<Value>, RpcError> {
    let known = service.handle.command(Command::Identities).await;
    let known = rpc::result(&known.map_err(stopped)??)?;
    let mut known = known.as_array().into_iter().flatten();
    Ok(known
        .find(|identity| identity["name"] == name.as_str())
        .cloned())
}

impl From<IdentityServiceError> for RpcError {
    fn from(error: IdentityServiceError) -> Self {
        match error {
            IdentityServiceError::Refused(refusal) => refusal.into(),
            IdentityServiceError::Stopped(error) => stopped(error),
            IdentityServiceError::Key(error) => {
                let kind = match &error {
                    error if error.is_locked() => RpcErrorKind::Locked,
                    IdentityError::Dir(_) | IdentityError::NoRandomness(_) => RpcErrorKind::Storage,
                    _ => RpcErrorKind::Usage,
                };
                // These errors contain their remedy.
                let text = error.to_string();
                let (cause, remedy) = text.split_once("; ").unwrap_or((&text, "nothing was done"));
                Self::server(kind, cause, remedy)
            }
        }
    }
}
