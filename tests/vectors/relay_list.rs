//! Signed relay lists, against an independent program.

use circuits::directory::{RelayEndpoint, SigningKey};
use circuits::ids::{Epoch, NetworkId, Profile, RelayKey};
use circuits::secret::Secret;
use serde_json::Value;
use whisht::relay_list::{ListDraft, ListedRelay, RelayList, SignerId, SignerSet};

use crate::{array, bytes, cases, int, text};

const FILE: &str = "relay_list";

fn network() -> NetworkId {
    NetworkId::new(Profile::Main, "whisht")
}

fn pinned(case: &Value) -> SignerSet {
    let ids = case["pinned"]["ids"].as_array().unwrap();
    let ids = ids.iter().map(|id| SignerId(array(id))).collect();
    SignerSet::new(int(&case["pinned"]["threshold"]), ids).unwrap()
}

/// The key of the signer with this number.
fn signing(number: &Value) -> SigningKey {
    let number: u8 = int(number);
    SigningKey::new(Secret::init_with(|key| key[31] = number)).unwrap()
}

#[test]
fn ids_of_recorded_signers_are_the_recorded_ones() {
    for case in cases(FILE, "signers") {
        let secret: [u8; 32] = array(&case["secret"]);
        let key = SigningKey::new(Secret::init_with(|copy| *copy = secret)).unwrap();
        assert_eq!(key.public(), RelayKey(array(&case["key"])));
        assert_eq!(SignerId::of(&key.public()), SignerId(array(&case["id"])));
    }
}

#[test]
fn recorded_lists_are_valid() {
    for case in cases(FILE, "valid") {
        let raw = bytes(&case["raw"]);
        let list = RelayList::decode(&raw).unwrap();
        assert_eq!(list.header().id().0, array(&case["id"]));
        let verified = list
            .verify(network(), Profile::Main, &pinned(&case))
            .unwrap();
        assert_eq!(verified.raw(), raw);
        assert_eq!(verified.header().from, Epoch(int(&case["from"])));
        assert_eq!(verified.header().until, Epoch(int(&case["until"])));
        assert_eq!(verified.relays().len(), int::<usize>(&case["relays"]));
    }
}

#[test]
fn recorded_attacks_are_refused_for_the_recorded_reason() {
    for case in cases(FILE, "refused") {
        let verified = RelayList::decode(&bytes(&case["raw"]))
            .and_then(|list| list.verify(network(), Profile::Main, &pinned(&case)));
        let reason = format!("{:?}", verified.unwrap_err());
        let reason = reason.split([' ', '(', '{']).next().unwrap();
        assert_eq!(reason, text(&case["refused"]));
    }
}

#[test]
fn recorded_list_is_drafted_and_signed_to_the_same_bytes() {
    for case in cases(FILE, "drafted") {
        let entries = case["entries"].as_array().unwrap();
        let relay = |entry: &Value| ListedRelay {
            key: RelayKey(array(&entry["key"])),
            family: int(&entry["family"]),
            hint: entry["hint"].get(0).map(|kind| {
                let address = bytes(&entry["hint"][1]);
                RelayEndpoint::from_parts(int(kind), &address, int(&entry["hint"][2])).unwrap()
            }),
        };
        let draft = ListDraft {
            network: network(),
            from: Epoch(int(&case["from"])),
            until: Epoch(int(&case["until"])),
            signers: pinned(&case),
            next: None,
            relays: entries.iter().rev().map(relay).collect(),
        };
        let mut list = RelayList::draft(draft, None).unwrap();
        for number in case["by"].as_array().unwrap() {
            list.sign(&signing(number)).unwrap();
        }
        assert_eq!(list.encode(), bytes(&case["raw"]));
    }
}
