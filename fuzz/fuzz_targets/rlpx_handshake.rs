#![no_main]
#[path = "../targets/rlpx_handshake.rs"]
mod rlpx_handshake;

libfuzzer_sys::fuzz_target!(|data: &[u8]| rlpx_handshake::rlpx_handshake(data));
