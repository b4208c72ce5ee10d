#![no_main]
#[path = "../targets/contact_parts.rs"]
mod contact_parts;

libfuzzer_sys::fuzz_target!(|data: &[u8]| contact_parts::contact_parts(data));
