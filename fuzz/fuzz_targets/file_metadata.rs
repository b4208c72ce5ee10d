#![no_main]
#[path = "../targets/file_metadata.rs"]
mod file_metadata;

libfuzzer_sys::fuzz_target!(|data: &[u8]| file_metadata::file_metadata(data));
