//! What a client may do, by the endpoint that it uses.
//!
//! The rights are decided when the endpoint opens; a session only asks for them. Modules are read at each call,
//! because the user may change them while the node runs.

use std::sync::Arc;

use super::AllowedModules;
use super::budget::{DerivationQueue, RpcBudget};
use super::limits::RequestPacer;
use crate::config::rpc::{Module, RpcConfig};
use crate::rpc::{Permissions, RpcError, shh};

/// A client's rights, by its endpoint.
#[derive(Clone, Debug)]
pub(super) struct ClientAccess {
    modules: AllowedModules,
    permissions: Permissions,
    notifications: bool,
    /// The client's rate limit; `None` if it has none.
    pacer: Option<Arc<RequestPacer>>,
    budget: Arc<RpcBudget>,
}

impl ClientAccess {
    /// Over the local socket: all methods except those that the user must permit explicitly. A
    /// program that can open the socket can read the key files too.
    pub(super) fn all(config: &RpcConfig, derivations: Arc<DerivationQueue>) -> Self {
        Self {
            modules: super::all_modules(),
            permissions: Permissions {
                export_keys: config.allow_key_export,
                export_files: true,
                contacts: true,
                local_socket: true,
            },
            notifications: true,
            pacer: None,
            budget: Arc::new(RpcBudget::new(derivations)),
        }
    }

    /// Over TCP: the methods that the configuration permits.
    pub(super) fn over_tcp(
        config: &RpcConfig,
        modules: AllowedModules,
        derivations: Arc<DerivationQueue>,
    ) -> Self {
        Self {
            modules,
            permissions: Permissions {
                export_keys: config.allow_key_export,
                export_files: config.allow_key_export,
                contacts: !config.danger_no_token,
                local_socket: false,
            },
            notifications: true,
            pacer: Some(Arc::new(RequestPacer::new())),
            budget: Arc::new(RpcBudget::new(derivations)),
        }
    }

    /// The same where notifications are impossible.
    pub(super) fn without_notifications(self) -> Self {
        Self {
            notifications: false,
            ..self
        }
    }

    /// Whether the client may call this method.
    pub(super) fn allows(&self, method: &str) -> bool {
        let is_allowed = |module| self.modules.borrow().contains(&module);
        method == MODULES || Module::of(method).is_some_and(is_allowed)
    }

    /// The modules that the client may use now.
    pub(super) fn modules(&self) -> Arc<[Module]> {
        self.modules.borrow().clone()
    }

    /// What the allowed methods may do.
    pub(super) const fn permissions(&self) -> Permissions {
        self.permissions
    }

    /// Refuses what needs notifications, where they are impossible.
    ///
    /// # Errors
    ///
    /// The refusal that go-ethereum gives over HTTP.
    pub(super) fn require_notifications(&self) -> Result<(), RpcError> {
        if self.notifications {
            Ok(())
        } else {
            Err(shh::no_notifications())
        }
    }

    /// Waits until this number of requests may execute.
    pub(super) async fn wait(&self, requests: usize) {
        if let Some(pacer) = &self.pacer {
            pacer.acquire(requests).await;
        }
    }

    /// The memory and the processor time that the client's requests share.
    pub(super) fn budget(&self) -> &RpcBudget {
        &self.budget
    }
}

/// The first call of go-ethereum's console, which lists the modules.
const MODULES: &str = "rpc_modules";
