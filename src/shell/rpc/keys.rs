//! RPC calls on the keys of identities: the identity service's outcomes as results and errors.

use serde::Serialize;
use serde_json::Value;

use super::Service;
use super::session::stopped;
use crate::identity::IdentityName;
use crate::node::{Command, IdentityView, Reply};
use crate::rpc::{ExportView, KeyCall, LockView, RpcError, RpcErrorKind, UnlockView};
use crate::shell::Stopped;
use crate::shell::identity_files::IdentityError;
use crate::shell::identity_service::{IdentityServiceError, LockResult, UnlockResult};

/// Runs a call to its end even if its client disconnects: a stored key must be added to the node.
pub(super) async fn execute(service: Service, call: KeyCall) -> Result<Value, RpcError> {
    let done = tokio::spawn(async move { keys(&service, call).await });
    done.await.map_err(|_| stopped(Stopped))?
}

async fn keys(service: &Service, call: KeyCall) -> Result<Value, RpcError> {
    let (handle, identities) = (&service.handle, &service.identities);
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
            return Ok(to_value(&ExportView {
                name: name.to_string(),
                address,
                file,
            }));
        }
        KeyCall::Lock => return Ok(to_value(&locked(identities.lock(handle).await?))),
        KeyCall::Unlock { password, name } => {
            let UnlockResult {
                opened,
                locked,
                state,
            } = identities.unlock(handle, password, name).await?;
            return Ok(to_value(&UnlockView {
                opened: texts(&opened),
                locked: texts(&locked),
                state,
            }));
        }
    };
    Ok(to_value(&identity(service, &name).await?))
}

/// The node's view of an identity; `None` if the node does not know it.
async fn identity(
    service: &Service,
    name: &IdentityName,
) -> Result<Option<IdentityView>, RpcError> {
    let reply = service.handle.command(Command::Identities).await;
    let Reply::Identities(known) = reply.map_err(stopped)?? else {
        return Ok(None);
    };
    let mut known = known.into_iter();
    Ok(known.find(|identity| identity.name == name.as_str()))
}

fn locked(result: LockResult) -> LockView {
    let LockResult { identities, state } = result;
    LockView {
        identities: texts(&identities),
        state,
    }
}

fn texts(names: &[IdentityName]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// Views consist of texts, numbers and lists, all of which JSON can represent.
fn to_value(view: &impl Serialize) -> Value {
    serde_json::to_value(view).unwrap_or_default()
}

impl From<IdentityServiceError> for RpcError {
    fn from(error: IdentityServiceError) -> Self {
        match error {
            IdentityServiceError::Refused(refusal) => refusal.into(),
            IdentityServiceError::Stopped(error) => stopped(error),
            IdentityServiceError::Key(error) => {
                let kind = match &error {
                    error if error.is_locked() => RpcErrorKind::Locked,
                    IdentityError::Dir(_)
                    | IdentityError::State(_)
                    | IdentityError::NoRandomness(_) => RpcErrorKind::Storage,
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
