//! Arbitrary bytes as a signed relay list.
//!
//! A list has one encoding. A list that verifies under pinned signers is within all limits, and a store
//! that takes it puts it into force and finds it again.

use circuits::directory::SigningKey;
use circuits::ids::{NetworkId, Profile};
use circuits::secret::Secret;
use whisht::relay_list::{
    ListInsertion, ListStore, MAX_LIST_LEN, MAX_LISTED, MAX_VALIDITY, RelayList, SignerId,
    SignerSet,
};

/// Reads and verifies one list. Panics if a rule is broken.
pub fn relay_list(data: &[u8]) {
    let Ok(list) = RelayList::decode(data) else {
        return;
    };
    assert_eq!(list.encode(), data);
    assert!(data.len() <= MAX_LIST_LEN);
    assert!((1..=MAX_LISTED).contains(&list.relays().len()));
    let header = list.header().clone();
    assert!((1..=MAX_VALIDITY).contains(&(header.until.0 - header.from.0)));
    let signers = &header.signers;
    assert!(signers.threshold() * 2 > signers.ids().len());
    let (signed, invalid) = list.signed_by();

    let network = NetworkId::new(Profile::Main, "whisht");
    let Ok(verified) = list.clone().verify(network, Profile::Main, &pinned()) else {
        return;
    };
    assert_eq!(invalid, 0);
    assert!(signed.len() >= header.signers.threshold());
    assert_eq!(header.network, network);
    assert!(list.rotations() > 0 || header.signers == pinned());

    let mut store = ListStore::default();
    let now = header.from.start();
    let inserted = store.insert(now, verified.clone());
    assert_eq!(inserted, Ok(ListInsertion::New));
    let in_force = store.in_force(now, false).expect("it is valid now");
    assert_eq!(in_force.list.id(), verified.id());
    assert!(store.in_force(header.until.start(), false).is_none());
}

/// The first signers of the recorded lists.
fn pinned() -> SignerSet {
    let id = |number| {
        let secret = Secret::init_with(|key| key[31] = number);
        SignerId::of(&SigningKey::new(secret).expect("a small scalar").public())
    };
    SignerSet::new(2, vec![id(1), id(2), id(3)]).expect("two of three")
}
