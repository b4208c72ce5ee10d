//! The memory of parsed JSON-RPC requests: no text takes more than its reservation.
//!
//! The test counts the bytes requested from the allocator, so the result does not depend on the
//! machine. The binary contains this one test, because allocations of others would count too.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use whisht::rpc::{RpcMessage, parsed_size};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn parsed_request_takes_no_more_memory_than_its_reservation() {
    // Values that are short as text and large in memory.
    for value in [
        "0",
        "1e9",
        "[]",
        "[0]",
        "{}",
        r#"{"":0}"#,
        r#"{"a":0,"b":{}}"#,
        r#""x""#,
    ] {
        for count in [1, 100, 5_000, 30_000, 500_000] {
            let list = vec![value; count].join(",");
            let text = format!(r#"{{"id":1,"method":"shh_post","params":[{list}]}}"#);
            let region = Region::new(ALLOCATOR);
            let parsed = RpcMessage::read(text.as_bytes());
            let change = region.change();
            let held = change.bytes_allocated - change.bytes_deallocated;
            let reserved = parsed_size(text.as_bytes());
            assert!(
                held <= reserved,
                "{count} of {value}: {held} above {reserved}"
            );
            if count == 500_000 {
                // 1 MB of small values would take up to 90 MB.
                assert!(parsed.is_err() && change.bytes_allocated < 4_096);
            }
            drop(parsed);
        }
    }
}
