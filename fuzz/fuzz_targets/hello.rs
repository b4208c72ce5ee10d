#![no_main]
#[path = "../targets/hello.rs"]
mod hello;

libfuzzer_sys::fuzz_target!(|data: &[u8]| hello::hello(data));
