#![no_main]
#[path = "../targets/dark_packet.rs"]
mod dark_packet;

libfuzzer_sys::fuzz_target!(|data: &[u8]| dark_packet::dark_packet(data));
