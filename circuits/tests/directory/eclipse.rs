//! A client whose peers are all hostile, from its first start on.

use circuits::ids::Epoch;
use circuits::level::Level;
use circuits::mixing::{MixNetwork, MixRule};

use crate::relays::{EPOCH, HOUR, TestRelay, directory, insert};

/// Hostile relays that the peers of the client show, and no others.
const RELAYS: u8 = 6;

/// The age of relays rests on what this node saw itself. A node that has seen nothing but hostile peers believes
/// them after a day: the rule delays the attack by a day, in which `dark` is refused, and does not end it.
#[test]
fn client_eclipsed_from_its_start_is_young_for_a_day_and_then_believes_its_peers() {
    let epoch = |after: u32| Epoch(EPOCH.0 + after);
    let hostile: Vec<TestRelay> = (1..=RELAYS).map(TestRelay::new).collect();
    let mut directory = directory();
    let mut show = |at: u32, number: u32| {
        let now = epoch(at).start().after(HOUR);
        for relay in &hostile {
            let raw = relay.descriptor(epoch(number));
            for name in [1, 2, 3] {
                insert(&mut directory, now, name, &raw).unwrap();
            }
        }
        directory.snapshot(now)
    };
    // Three peers in different networks report alike, so paths exist at once, and `dark` does not.
    show(1, 0);
    let young = show(1, 1);
    assert!(young.is_young());
    assert_eq!(young.relays().len(), hostile.len());
    let refused = Level::Dark.check_network(&MixNetwork::of(&young));
    assert_eq!(refused.unwrap_err().rule, MixRule::Young);
    show(2, 2);
    show(3, 3);
    let settled = show(4, 4);
    assert!(!settled.is_young());
    assert_eq!(settled.relays().len(), hostile.len());
    let refused = Level::Dark.check_network(&MixNetwork::of(&settled));
    let needed = 50;
    assert_eq!(
        refused.unwrap_err().rule,
        MixRule::Relays { needed },
        "only numbers are missing"
    );
}
