#![no_main]
#[path = "../targets/rlpx_frame.rs"]
mod rlpx_frame;

libfuzzer_sys::fuzz_target!(|data: &[u8]| rlpx_frame::rlpx_frame(data));
