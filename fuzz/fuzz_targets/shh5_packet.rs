#![no_main]
#[path = "../targets/shh5_packet.rs"]
mod shh5_packet;

libfuzzer_sys::fuzz_target!(|data: &[u8]| shh5_packet::shh5_packet(data));
