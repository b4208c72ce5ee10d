#![no_main]
#[path = "../targets/onion_packet.rs"]
mod onion_packet;

libfuzzer_sys::fuzz_target!(|data: &[u8]| onion_packet::onion_packet(data));
