#![no_main]
#[path = "../targets/relay_list.rs"]
mod relay_list;

libfuzzer_sys::fuzz_target!(|data: &[u8]| relay_list::relay_list(data));
