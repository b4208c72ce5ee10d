#![no_main]
#[path = "../targets/contact_plaintext.rs"]
mod contact_plaintext;

libfuzzer_sys::fuzz_target!(|data: &[u8]| contact_plaintext::contact_plaintext(data));
