#![no_main]
#[path = "../targets/file_answer.rs"]
mod file_answer;

libfuzzer_sys::fuzz_target!(|data: &[u8]| file_answer::file_answer(data));
