#![no_main]
#[path = "../targets/file_offer.rs"]
mod file_offer;

libfuzzer_sys::fuzz_target!(|data: &[u8]| file_offer::file_offer(data));
