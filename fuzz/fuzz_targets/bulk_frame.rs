#![no_main]
#[path = "../targets/bulk_frame.rs"]
mod bulk_frame;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bulk_frame::bulk_frame(data));
