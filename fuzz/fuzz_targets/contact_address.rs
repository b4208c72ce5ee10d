#![no_main]
#[path = "../targets/contact_address.rs"]
mod contact_address;

libfuzzer_sys::fuzz_target!(|data: &[u8]| contact_address::contact_address(data));
