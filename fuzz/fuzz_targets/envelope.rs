#![no_main]
#[path = "../targets/envelope.rs"]
mod envelope;

libfuzzer_sys::fuzz_target!(|data: &[u8]| envelope::envelope(data));
