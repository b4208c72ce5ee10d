//! A node that relays and has an address: nothing that others can see connects the two.

use super::*;
use whisht::contact::card::file;

/// A relay has an address. Its link key and its cards have no eight bytes in common, and what is drawn for the
/// address is not derived from it alone, so another node with the same address has other keys.
#[test]
fn relay_and_address_of_one_node_share_no_key() {
    let mut scene = Scene::new(Cover::Off);
    let relay = 3;
    let seed = Zeroizing::new([7; 32]);
    let id = AddressKey::from_seed(seed.clone()).id();
    for at in [relay, READER] {
        let (name, seed) = ("press".to_owned(), seed.clone());
        scene.ask(at, ContactCommand::CreateAddress { name, seed });
    }
    let cards = [relay, READER].map(|at| scene.exported(at));
    let link_key = scene.world.addr(relay).key;
    let mut public = link_key.0.to_vec();
    public.extend(link_key.id().0);
    for cards in &cards {
        let (of, signed) = file::decode(cards).unwrap();
        assert_eq!(of, id);
        assert_eq!(signed.len(), 2);
        let shared = cards
            .windows(8)
            .find(|window| public.windows(8).any(|other| other == *window));
        assert_eq!(shared, None, "cards show a part of the link key");
    }
    // Two nodes with one address draw different keys for their cards.
    let keys = cards.map(|cards| {
        let (_, signed) = file::decode(&cards).unwrap();
        signed[0].block().kappa()
    });
    assert!(keys[0] != keys[1]);
}

impl Scene {
    fn exported(&mut self, at: usize) -> Vec<u8> {
        let name = "press".to_owned();
        match self.ask(at, ContactCommand::CardExport { name, days: 2 }) {
            ContactReply::CardFile(cards) => cards,
            other => panic!("{other:?}"),
        }
    }
}
