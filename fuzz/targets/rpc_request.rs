//! Arbitrary text as JSON-RPC: it must be answered, by JSON that belongs to the request.

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use whisht::rpc::{self, METHODS, Permissions, RpcCall, RpcMessage, RpcRequest};

/// Parses requests and their parameters. Panics if a rule is broken.
pub fn rpc_request(data: &[u8]) {
    match RpcMessage::read(data) {
        Ok(None) => assert!(data.iter().all(u8::is_ascii_whitespace)),
        Ok(Some(RpcMessage::Single(request))) => understand(request),
        Ok(Some(RpcMessage::Batch(requests))) => requests.into_iter().for_each(understand),
        Err(error) => {
            let answer = rpc::failure(&error);
            assert!(answer.get("id").is_none() && answer.get("error").is_some());
        }
    }
}

fn understand(request: RpcRequest) {
    let RpcRequest { id, method, params } = request;
    let digits = id.to_string();
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    for export_keys in [false, true] {
        let permissions = Permissions {
            export_keys,
            export_files: export_keys,
            contacts: true,
            local_socket: true,
        };
        let outcome = match RpcCall::read(&method, params.clone(), permissions, &mut rng) {
            Ok(RpcCall::Known(value)) => Ok(value),
            Ok(_) => continue,
            Err(error) => {
                let known = METHODS.contains(&method.as_str());
                // An unknown subscription counts as an unknown method.
                let subscribes = method.ends_with("_subscribe");
                assert!(subscribes || known == (error.code != -32601));
                Err(error)
            }
        };
        let answer = rpc::response(id.clone(), outcome).to_string();
        let head = format!("{{\"jsonrpc\":\"2.0\",\"id\":{digits},\"");
        assert!(answer.starts_with(&head));
    }
}
