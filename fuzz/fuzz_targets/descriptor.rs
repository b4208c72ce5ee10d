#![no_main]
#[path = "../targets/descriptor.rs"]
mod descriptor;

libfuzzer_sys::fuzz_target!(|data: &[u8]| descriptor::descriptor(data));
