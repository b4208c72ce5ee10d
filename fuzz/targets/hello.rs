//! Hello, Disconnect, and the table of shared capabilities.

use whisht::link::capability::{BASE_CODES, SharedCapabilities};
use whisht::link::hello::{self, Hello, MAX_CLIENT_ID};
use whisht::link::{Capability, DisconnectReason};

/// Reads one payload, as a Hello and as a Disconnect. Panics if a rule is broken.
pub fn hello(data: &[u8]) {
    for compressed in [false, true] {
        let shown = DisconnectReason::decode(data, compressed).to_string();
        assert!(shown.len() < 64);
    }

    let Ok(hello) = Hello::decode(data) else {
        return;
    };
    assert!(data.len() <= hello::MAX_PAYLOAD);
    assert!(hello.client_id.len() <= MAX_CLIENT_ID);
    assert!(hello.client_id.chars().all(|c| matches!(c, ' '..='~')));

    let ours = [Capability::SHH_5, Capability::ONION_1, Capability::SHH_6];
    let shared = SharedCapabilities::negotiate(&ours, &hello.capabilities);
    let mut next = BASE_CODES;
    for capability in shared.iter() {
        assert!(ours.contains(&capability));
        assert_eq!(shared.offset(capability), Some(next));
        assert_eq!(shared.locate(next), Some((capability, 0)));
        next += capability.codes();
    }
    assert_eq!(shared.locate(next), None);
    assert_eq!(shared.locate(BASE_CODES - 1), None);

    // The parsed capabilities, written in our own Hello, have the same meaning.
    let all: Vec<Capability> = shared.iter().collect();
    let again = hello::encode(&hello.client_id, 0, &all, &hello.id);
    let again = Hello::decode(&again).expect("our own hello");
    assert_eq!((again.client_id, again.id), (hello.client_id, hello.id));
    assert_eq!(
        SharedCapabilities::negotiate(&ours, &again.capabilities),
        shared
    );
}
