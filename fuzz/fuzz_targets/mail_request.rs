#![no_main]
#[path = "../targets/mail_request.rs"]
mod mail_request;

libfuzzer_sys::fuzz_target!(|data: &[u8]| mail_request::mail_request(data));
