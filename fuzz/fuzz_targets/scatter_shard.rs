#![no_main]
#[path = "../targets/scatter_shard.rs"]
mod scatter_shard;

libfuzzer_sys::fuzz_target!(|data: &[u8]| scatter_shard::scatter_shard(data));
