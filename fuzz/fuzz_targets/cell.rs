#![no_main]
#[path = "../targets/cell.rs"]
mod cell;

libfuzzer_sys::fuzz_target!(|data: &[u8]| cell::cell(data));
