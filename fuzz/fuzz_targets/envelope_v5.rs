#![no_main]
#[path = "../targets/envelope_v5.rs"]
mod envelope_v5;

libfuzzer_sys::fuzz_target!(|data: &[u8]| envelope_v5::envelope_v5(data));
