#![no_main]
#[path = "../targets/shh_packet.rs"]
mod shh_packet;

libfuzzer_sys::fuzz_target!(|data: &[u8]| shh_packet::shh_packet(data));
