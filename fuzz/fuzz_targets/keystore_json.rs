#![no_main]
#[path = "../targets/keystore_json.rs"]
mod keystore_json;

libfuzzer_sys::fuzz_target!(|data: &[u8]| keystore_json::keystore_json(data));
