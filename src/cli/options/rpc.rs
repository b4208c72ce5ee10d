//! The table `[rpc]` as flags and environment variables.

use crate::config::rpc::{Module, Origin, RpcListen, RpcSettings};

/// Flags of the doors for other programs.
#[derive(Debug, clap::Args)]
#[group(id = "rpc")]
#[command(next_help_heading = "JSON-RPC over TCP")]
pub(super) struct Options {
    /// Serve HTTP here, to programs on this machine, such as 127.0.0.1:8545 [default: off]
    #[arg(long, env = "WHISHT_RPC_HTTP", value_name = "ADDRESS:PORT")]
    rpc_http: Option<RpcListen>,
    /// Serve WebSocket here; may be the address of HTTP [default: off]
    #[arg(long, env = "WHISHT_RPC_WS", value_name = "ADDRESS:PORT")]
    rpc_ws: Option<RpcListen>,
    /// What may be called: admin, net, shh, web3, whisht [default: shh,net,web3]
    #[arg(
        long,
        env = "WHISHT_RPC_MODULES",
        value_name = "LIST",
        value_delimiter = ','
    )]
    rpc_modules: Option<Vec<Module>>,
    /// Web pages that may call from a browser, such as http://localhost:3000 [default: none]
    #[arg(
        long,
        env = "WHISHT_RPC_ORIGINS",
        value_name = "LIST",
        value_delimiter = ','
    )]
    rpc_origins: Option<Vec<Origin>>,
    /// Hand out private and shared keys to whoever may call shh, and sealed ones over TCP too
    #[arg(
        long, env = "WHISHT_RPC_ALLOW_KEY_EXPORT", value_name = "BOOL", num_args = 0..=1,
        require_equals = true, default_missing_value = "true"
    )]
    rpc_allow_key_export: Option<bool>,
    /// Let in every program on this machine, of whatever user, without the token
    #[arg(
        long, env = "WHISHT_RPC_DANGER_NO_TOKEN", value_name = "BOOL", num_args = 0..=1,
        require_equals = true, default_missing_value = "true"
    )]
    rpc_danger_no_token: Option<bool>,
}

impl From<Options> for RpcSettings {
    fn from(options: Options) -> Self {
        let Options {
            rpc_http,
            rpc_ws,
            rpc_modules,
            rpc_origins,
            rpc_allow_key_export,
            rpc_danger_no_token,
        } = options;
        Self {
            http: rpc_http,
            ws: rpc_ws,
            modules: rpc_modules,
            origins: rpc_origins,
            allow_key_export: rpc_allow_key_export,
            danger_no_token: rpc_danger_no_token,
        }
    }
}
