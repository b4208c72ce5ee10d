use circuits::level::Level;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::json;

use super::*;
use crate::rpc::{Permissions, RpcErrorKind};

fn call_as(permissions: Permissions, method: &str, params: Value) -> Result<RpcCall, RpcError> {
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    RpcCall::read(method, Some(params), permissions, &mut rng)
}

fn call(method: &str, params: Value) -> Result<FileCommand, RpcError> {
    let permissions = Permissions {
        contacts: true,
        ..Permissions::default()
    };
    match call_as(permissions, method, params)? {
        RpcCall::Node(Command::File(command), _) => Ok(command),
        other => panic!("{other:?}"),
    }
}

#[test]
fn program_without_a_token_reads_no_file_and_hands_none_over() {
    for method in FILE_METHODS {
        let refused = call_as(Permissions::default(), method, json!([])).unwrap_err();
        assert_eq!(refused.kind, RpcErrorKind::Policy, "{method}");
    }
}

#[test]
fn outgoing_file_has_the_name_size_and_level_that_were_given() {
    let params = json!([{"to": "desk", "name": "file.pdf", "size": 70_000, "level": "normal"}]);
    let Ok(FileCommand::Begin(file)) = call("whisht_fileBegin", params) else {
        panic!("the call begins a file");
    };
    assert_eq!((file.to.as_str(), file.name.as_str()), ("desk", "file.pdf"));
    assert_eq!((file.size, file.level), (70_000, Some(Level::Normal)));
}

#[test]
fn chunk_of_no_byte_or_of_more_than_a_chunk_is_refused() {
    for len in [0, FILE_CHUNK + 1] {
        let params = json!([{"file": 3, "chunk": 0, "bytes": "00".repeat(len)}]);
        let refused = call("whisht_fileChunk", params).unwrap_err();
        assert!(refused.to_string().contains(&len.to_string()), "{refused}");
    }
    let params = json!([{"file": 3, "chunk": 2, "bytes": "0x0102"}]);
    let Ok(FileCommand::Chunk { file, chunk, bytes }) = call("whisht_fileChunk", params) else {
        panic!("the call is a chunk");
    };
    assert_eq!((file, chunk, bytes.as_slice()), (3, 2, &[1, 2][..]));
}

#[test]
fn chunk_is_answered_in_hexadecimal_digits_and_not_shown_in_a_trace() {
    let chunk = FileReply::Chunk(circuits::secret::Redacted(vec![0xab, 1].into()));
    assert_eq!(result(&chunk), json!("ab01"));
    assert!(!format!("{chunk:?}").contains("171"), "{chunk:?}");
}

#[test]
fn file_is_accepted_by_its_number_or_with_a_level() {
    let normal = Some(Level::Normal);
    for (params, wanted) in [
        (json!([3]), (3, None)),
        (json!({"file": 3}), (3, None)),
        (json!([{"file": 3}]), (3, None)),
        (json!([{"file": 3, "level": "normal"}]), (3, normal)),
        (json!({"file": 3, "level": null}), (3, None)),
    ] {
        let Ok(FileCommand::Accept { file, level }) = call("whisht_fileAccept", params) else {
            panic!("the call accepts a file");
        };
        assert_eq!((file, level), wanted);
    }
    for params in [
        json!([]),
        json!([3, "normal"]),
        json!([{"file": 3, "level": "loud"}]),
    ] {
        assert!(call("whisht_fileAccept", params).is_err());
    }
}
