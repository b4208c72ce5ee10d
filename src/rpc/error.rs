//! Errors as a JSON-RPC caller sees them.
//!
//! Errors of our own methods have a kind, a cause and a remedy in `data`. Errors for which
//! go-ethereum has a text use this text alone, because programs compare it.

use core::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::METHODS;
use crate::node::{Refusal, RefusalKind};
use crate::suggest::closest;

/// The reason of a failed call.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RpcError {
    /// JSON-RPC's code.
    pub code: i32,
    /// The kind, for programs.
    pub kind: RpcErrorKind,
    /// What happened.
    pub cause: String,
    /// What the caller can do; `None` in an error with go-ethereum's text.
    pub remedy: Option<String>,
}

/// Kinds of errors.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RpcErrorKind {
    /// A limit of the server is reached.
    Busy,
    /// A password is missing or wrong.
    Locked,
    /// A rule of the privacy level cannot be met, so nothing was sent.
    Policy,
    /// The node has ended.
    Stopped,
    /// The data directory cannot be written.
    Storage,
    /// The request is invalid.
    Usage,
}

/// An error object of JSON-RPC.
#[derive(Deserialize, Serialize)]
struct ErrorObject {
    code: i32,
    message: String,
    /// Absent in an error worded like go-ethereum's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<ErrorData>,
}

#[derive(Deserialize, Serialize)]
struct ErrorData {
    kind: RpcErrorKind,
    cause: String,
    remedy: String,
}

impl RpcError {
    /// An error of the server's own, with the code that JSON-RPC reserves for servers.
    pub fn server(kind: RpcErrorKind, cause: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self {
            code: SERVER,
            kind,
            cause: cause.to_string(),
            remedy: Some(remedy.to_string()),
        }
    }

    /// The text is not JSON. go-ethereum swaps the codes of this error and of invalid requests.
    pub fn not_json(cause: impl fmt::Display) -> Self {
        Self::plain(-32600, cause)
    }

    /// The JSON is not a request.
    pub fn no_request(cause: impl fmt::Display) -> Self {
        Self::plain(-32700, cause)
    }

    /// The answer to a batch has reached its limit, in go-ethereum's words. The request was not
    /// executed.
    #[must_use]
    pub fn answer_too_large() -> Self {
        Self::plain(-32003, "response too large")
    }

    /// There is no such method.
    #[must_use]
    pub fn unknown_method(method: &str) -> Self {
        if method.starts_with("whisht_") {
            let remedy = closest(method, METHODS).map_or_else(
                || "docs/rpc.md lists all methods".to_owned(),
                |nearest| format!("did you mean {nearest}?"),
            );
            let cause = format_args!("there is no method {method:?}");
            return Self::usage(-32601, cause, remedy);
        }
        // go-ethereum reads a name without exactly two parts as a module without a method.
        let end = if method.split('_').count() == 2 {
            ""
        } else {
            "_"
        };
        let cause = format_args!("The method {method}{end} does not exist/is not available");
        Self::plain(-32601, cause)
    }

    /// The connection may not call the module of the method. Methods of go-ethereum keep its words.
    #[must_use]
    pub fn module_not_allowed(method: &str) -> Self {
        if !method.starts_with("whisht_") {
            return Self::unknown_method(method);
        }
        Self::usage(
            -32601,
            format_args!("this connection may not call {method}, because the module whisht is off"),
            "call it on the local socket, or add \"whisht\" to `rpc.modules` of the node",
        )
    }

    /// The parameters are invalid; for methods of our own.
    pub fn invalid_params(cause: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self::usage(-32602, cause, remedy)
    }

    /// The parameters are invalid, in go-ethereum's words.
    pub(super) fn bad_params(cause: impl fmt::Display) -> Self {
        Self::plain(-32602, cause)
    }

    /// The method failed, in go-ethereum's words.
    pub(super) fn failed(cause: impl fmt::Display) -> Self {
        Self::plain(SERVER, cause)
    }

    /// The error object of JSON-RPC.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let data = self.remedy.as_ref().map(|remedy| ErrorData {
            kind: self.kind,
            cause: self.cause.clone(),
            remedy: remedy.clone(),
        });
        let object = ErrorObject {
            code: self.code,
            message: self.to_string(),
            data,
        };
        serde_json::to_value(object).unwrap_or_default()
    }

    /// Reads an error as [`RpcError::to_json`] writes it.
    ///
    /// # Errors
    ///
    /// What `serde_json` says if a key is missing or has another type.
    pub fn from_json(error: Value) -> serde_json::Result<Self> {
        let ErrorObject {
            code,
            message,
            data,
        } = serde_json::from_value(error)?;
        Ok(match data {
            None => Self::plain(code, message),
            Some(ErrorData {
                kind,
                cause,
                remedy,
            }) => Self {
                code,
                kind,
                cause,
                remedy: Some(remedy),
            },
        })
    }

    fn usage(code: i32, cause: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self {
            code,
            kind: RpcErrorKind::Usage,
            cause: cause.to_string(),
            remedy: Some(remedy.to_string()),
        }
    }

    fn plain(code: i32, cause: impl fmt::Display) -> Self {
        Self {
            code,
            kind: RpcErrorKind::Usage,
            cause: cause.to_string(),
            remedy: None,
        }
    }
}

impl From<Refusal> for RpcError {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal.kind {
            RefusalKind::Locked => RpcErrorKind::Locked,
            RefusalKind::Usage => RpcErrorKind::Usage,
            RefusalKind::Policy => RpcErrorKind::Policy,
        };
        Self {
            code: SERVER,
            kind,
            cause: refusal.cause,
            remedy: Some(refusal.remedy),
        }
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)?;
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for RpcError {}

/// The code that JSON-RPC reserves for servers.
const SERVER: i32 = -32000;
