#![no_main]
#[path = "../targets/first_message.rs"]
mod first_message;

libfuzzer_sys::fuzz_target!(|data: &[u8]| first_message::first_message(data));
