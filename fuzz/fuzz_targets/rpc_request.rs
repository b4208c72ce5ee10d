#![no_main]
#[path = "../targets/rpc_request.rs"]
mod rpc_request;

libfuzzer_sys::fuzz_target!(|data: &[u8]| rpc_request::rpc_request(data));
