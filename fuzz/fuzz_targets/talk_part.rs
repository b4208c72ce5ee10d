#![no_main]
#[path = "../targets/talk_part.rs"]
mod talk_part;

libfuzzer_sys::fuzz_target!(|data: &[u8]| talk_part::talk_part(data));
