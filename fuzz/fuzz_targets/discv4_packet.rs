#![no_main]
#[path = "../targets/discv4_packet.rs"]
mod discv4_packet;

libfuzzer_sys::fuzz_target!(|data: &[u8]| discv4_packet::discv4_packet(data));
