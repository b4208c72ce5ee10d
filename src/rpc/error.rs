//! Errors as a JSON-RPC caller sees them.

use core::fmt;

use serde_json::{Value, json};

use crate::node::{Refusal, RefusalKind};

/// Why a call was not carried out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RpcError {
    /// JSON-RPC's number for it.
    pub code: i32,
    /// Which kind, so that a program can tell them apart.
    pub kind: Kind,
    /// What is the matter.
    pub cause: String,
    /// What the caller can do.
    pub remedy: String,
}

/// Kinds of errors.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A limit of the server is reached.
    Busy,
    /// A rule of the privacy level cannot be kept, so nothing was sent.
    Policy,
    /// The node has ended.
    Stopped,
    /// The data directory cannot be written.
    Storage,
    /// The request makes no sense as it stands.
    Usage,
}

impl Kind {
    /// The word in `data.kind`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Policy => "policy",
            Self::Stopped => "stopped",
            Self::Storage => "storage",
            Self::Usage => "usage",
        }
    }

    /// The kind of this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [
            Self::Busy,
            Self::Policy,
            Self::Stopped,
            Self::Storage,
            Self::Usage,
        ]
        .into_iter()
        .find(|kind| kind.word() == word)
    }
}

impl RpcError {
    /// An error of the server's own, with the code that JSON-RPC leaves to servers.
    pub fn server(kind: Kind, cause: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self {
            code: -32000,
            kind,
            cause: cause.to_string(),
            remedy: remedy.to_string(),
        }
    }

    /// The text is no JSON.
    pub fn parse(cause: impl fmt::Display) -> Self {
        Self::usage(-32700, cause, "send one JSON-RPC 2.0 request after another")
    }

    /// The JSON is no request.
    pub fn invalid_request(cause: impl fmt::Display) -> Self {
        let remedy = "send {\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"whisht_status\"}";
        Self::usage(-32600, cause, remedy)
    }

    /// There is no such method; the nearest one is named.
    #[must_use]
    pub fn unknown_method(method: &str, nearest: Option<&str>) -> Self {
        let remedy = nearest.map_or_else(
            || "methods begin with whisht_, for example whisht_status".to_owned(),
            |nearest| format!("did you mean {nearest}?"),
        );
        Self::usage(
            -32601,
            format_args!("there is no method {method:?}"),
            remedy,
        )
    }

    /// The parameters do not fit the method.
    pub fn invalid_params(cause: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self::usage(-32602, cause, remedy)
    }

    /// As JSON-RPC wants it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "code": self.code,
            "message": self.to_string(),
            "data": {"kind": self.kind.word(), "cause": self.cause, "remedy": self.remedy},
        })
    }

    fn usage(code: i32, cause: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self {
            code,
            kind: Kind::Usage,
            cause: cause.to_string(),
            remedy: remedy.to_string(),
        }
    }
}

impl From<Refusal> for RpcError {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal.kind {
            RefusalKind::Usage => Kind::Usage,
            RefusalKind::Policy => Kind::Policy,
        };
        Self {
            code: -32000,
            kind,
            cause: refusal.cause,
            remedy: refusal.remedy,
        }
    }
}

impl fmt::Display for RpcError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.cause, self.remedy)
    }
}

impl core::error::Error for RpcError {}
