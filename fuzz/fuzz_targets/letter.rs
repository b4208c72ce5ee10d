#![no_main]
#[path = "../targets/letter.rs"]
mod letter;

libfuzzer_sys::fuzz_target!(|data: &[u8]| letter::letter(data));
