#![no_main]
#[path = "../targets/contact_card.rs"]
mod contact_card;

libfuzzer_sys::fuzz_target!(|data: &[u8]| contact_card::contact_card(data));
