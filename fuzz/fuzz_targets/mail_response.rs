#![no_main]
#[path = "../targets/mail_response.rs"]
mod mail_response;

libfuzzer_sys::fuzz_target!(|data: &[u8]| mail_response::mail_response(data));
