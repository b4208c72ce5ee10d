//! The method `whisht_console`.

use serde_json::Value;

use super::Service;
use super::session::stopped;
use crate::rpc::{RpcError, RpcErrorKind};
use crate::shell::Stopped;

/// Opens the console. The result is a URL that opens it once.
pub(super) async fn open(service: &Service) -> Result<Value, RpcError> {
    let Some(console) = service.console.upgrade() else {
        return Err(stopped(Stopped));
    };
    match console.open().await {
        Ok(url) => Ok(url.as_str().into()),
        Err(error) => {
            let remedy = "the node runs on without the console";
            Err(RpcError::server(RpcErrorKind::Busy, error, remedy))
        }
    }
}
