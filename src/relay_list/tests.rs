//! Lists, attacks on them, and their one encoding.

use circuits::directory::RelayEndpoint;
use circuits::ids::RelayKey;
use circuits::secret::Secret;
use proptest::prelude::*;

use super::*;

pub(super) const FROM: Epoch = Epoch(41_000);

fn network() -> NetworkId {
    NetworkId::new(Profile::Main, "whisht")
}

pub(super) fn key(number: u8) -> SigningKey {
    SigningKey::new(Secret::init_with(|key| key.fill(number))).unwrap()
}

pub(super) fn signers(threshold: usize, numbers: &[u8]) -> SignerSet {
    let ids = numbers
        .iter()
        .map(|number| SignerId::of(&key(*number).public()));
    SignerSet::new(threshold, ids.collect()).unwrap()
}

fn relay(number: u8) -> ListedRelay {
    ListedRelay {
        key: RelayKey([number; 64]),
        family: 0,
        hint: Some(RelayEndpoint::Ip4([93, 184, 216, number].into(), 20_819)),
    }
}

pub(super) fn draft(from: u32, signers: &SignerSet) -> ListDraft {
    ListDraft {
        network: network(),
        from: Epoch(from),
        until: Epoch(from + 20),
        signers: signers.clone(),
        next: None,
        relays: vec![relay(1), relay(2), relay(3)],
    }
}

pub(super) fn signed(draft: ListDraft, previous: Option<&RelayList>, by: &[u8]) -> RelayList {
    let mut list = RelayList::draft(draft, previous).unwrap();
    for number in by {
        list.sign(&key(*number)).unwrap();
    }
    list
}

pub(super) fn verify(list: &RelayList, pinned: &SignerSet) -> Result<VerifiedList, BadRelayList> {
    let decoded = RelayList::decode(&list.encode()).unwrap();
    decoded.verify(network(), Profile::Main, pinned)
}

/// The list with signatures that its encoding does not order, or with other changed parts.
fn raw_list(header: &[u8], signatures: &[(u64, [u8; 65])], relays: &[u8]) -> Vec<u8> {
    RlpWriter::only_list(|out| {
        out.encoded(header);
        out.list(|out| {
            for (number, signature) in signatures {
                out.list(|out| {
                    out.integer(*number).bytes(signature);
                });
            }
        });
        out.encoded(relays).list(|_| {});
    })
}

#[test]
fn list_of_any_quorum_is_valid() {
    let pinned = signers(2, &[1, 2, 3]);
    for by in [[1, 2], [1, 3], [2, 3]] {
        let list = signed(draft(FROM.0, &pinned), None, &by);
        let verified = verify(&list, &pinned).unwrap();
        assert_eq!(verified.relays().len(), 3);
        assert_eq!(verified.id(), list.header().id());
        assert_eq!(verified.raw(), list.encode());
    }
}

#[test]
fn merged_copies_reach_the_threshold() {
    let pinned = signers(2, &[1, 2, 3]);
    let mut one = signed(draft(FROM.0, &pinned), None, &[1]);
    let other = signed(draft(FROM.0, &pinned), None, &[3]);
    assert_eq!(
        verify(&one, &pinned).unwrap_err(),
        BadRelayList::TooFewSignatures {
            signed: 1,
            threshold: 2
        }
    );
    one.merge(&other).unwrap();
    assert!(verify(&one, &pinned).is_ok());
    assert_eq!(one.signed_by().0.len(), 2);
    let another = signed(draft(FROM.0 + 1, &pinned), None, &[2]);
    assert!(matches!(
        one.merge(&another),
        Err(ListMergeError::Different { .. })
    ));
}

#[test]
fn one_signer_cannot_count_twice() {
    let pinned = signers(2, &[1, 2, 3]);
    let list = signed(draft(FROM.0, &pinned), None, &[1]);
    let header = list.header().encode();
    let signature = key(1).sign(list.header().id().0).unwrap();
    let index = u64::from(pinned.index_of(&SignerId::of(&key(1).public())).unwrap());
    let relays = encode_relays(list.relays());
    let twice = raw_list(&header, &[(index, signature), (index, signature)], &relays);
    assert_eq!(RelayList::decode(&twice), Err(BadRelayList::SignatureOrder));
    // Under the number of another signer, the signature is not that signer's.
    let mut numbers = [(0, signature), (1, signature), (2, signature)];
    numbers.rotate_left(usize::try_from(index).unwrap());
    let mut named = vec![numbers[0], numbers[1]];
    named.sort_by_key(|(number, _)| *number);
    let posing = RelayList::decode(&raw_list(&header, &named, &relays)).unwrap();
    let refused = posing
        .verify(network(), Profile::Main, &pinned)
        .unwrap_err();
    assert!(matches!(refused, BadRelayList::Signature(_)), "{refused:?}");
}

/// Its signatures are those of the list: bytes in another order would be a second list of the same id.
#[test]
fn attack_list_that_names_its_signers_in_another_order_is_refused() {
    let pinned = signers(2, &[1, 2, 3]);
    let list = signed(draft(FROM.0, &pinned), None, &[1, 2]);
    let header = list.header();
    let encode = |ids: Vec<&SignerId>| {
        let header = RlpWriter::only_list(|out| {
            out.integer(1_u8).bytes(&header.network.0);
            out.integer(header.from.0).integer(header.until.0);
            out.list(|out| {
                out.integer(2_u8).list(|out| {
                    for id in ids {
                        out.bytes(&id.0);
                    }
                });
            });
            out.list(|_| {}).bytes(&header.relays);
        });
        let mut signatures = [1, 2].map(|number| {
            let key = key(number);
            let index = pinned.index_of(&SignerId::of(&key.public())).unwrap();
            (u64::from(index), key.sign(list.header().id().0).unwrap())
        });
        signatures.sort_by_key(|(index, _)| *index);
        raw_list(&header, &signatures, &encode_relays(list.relays()))
    };
    assert_eq!(encode(pinned.ids().iter().collect()), list.encode());
    let reversed = encode(pinned.ids().iter().rev().collect());
    let refused = RelayList::decode(&reversed);
    assert_eq!(refused, Err(BadRelayList::NotCanonical));
}

#[test]
fn list_cannot_lower_its_own_threshold() {
    let pinned = signers(3, &[1, 2, 3]);
    let lowered = signers(2, &[1, 2, 3]);
    let list = signed(draft(FROM.0, &lowered), None, &[1, 2]);
    assert_eq!(
        verify(&list, &pinned).unwrap_err(),
        BadRelayList::Threshold {
            stated: 2,
            pinned: 3
        }
    );
}

#[test]
fn list_of_other_signers_is_refused() {
    let pinned = signers(2, &[1, 2, 3]);
    let others = signers(2, &[4, 5, 6]);
    let list = signed(draft(FROM.0, &others), None, &[4, 5, 6]);
    assert_eq!(verify(&list, &pinned).unwrap_err(), BadRelayList::Signers);
}

#[test]
fn list_of_another_network_is_refused() {
    let pinned = signers(1, &[1]);
    let elsewhere = ListDraft {
        network: NetworkId::new(Profile::Main, "elsewhere"),
        ..draft(FROM.0, &pinned)
    };
    let list = signed(elsewhere, None, &[1]);
    assert_eq!(verify(&list, &pinned).unwrap_err(), BadRelayList::Network);
}

#[test]
fn relays_that_were_not_signed_are_refused() {
    let pinned = signers(1, &[1]);
    let list = signed(draft(FROM.0, &pinned), None, &[1]);
    let mut changed = list.clone();
    changed.relays.push(relay(9));
    assert_eq!(
        RelayList::decode(&changed.encode()),
        Err(BadRelayList::RelaysDigest)
    );
}

#[test]
fn private_address_is_refused_on_main_only() {
    let pinned = signers(1, &[1]);
    let mut private = draft(FROM.0, &pinned);
    private.relays[0].hint = Some(RelayEndpoint::Ip4([127, 0, 0, 1].into(), 1));
    let list = signed(private, None, &[1]);
    assert_eq!(
        verify(&list, &pinned).unwrap_err(),
        BadRelayList::AddressForbidden
    );
}

#[test]
fn rotation_by_the_old_quorum_leads_to_the_new_signers() {
    let (old, new, third) = (
        signers(2, &[1, 2, 3]),
        signers(2, &[2, 3, 4]),
        signers(3, &[4, 5, 6, 7]),
    );
    let rotating = ListDraft {
        next: Some(new.clone()),
        ..draft(FROM.0, &old)
    };
    let rotating = signed(rotating, None, &[1, 2]);
    let second = ListDraft {
        next: Some(third.clone()),
        ..draft(FROM.0 + 10, &new)
    };
    let second = signed(second, Some(&rotating), &[3, 4]);
    let last = signed(draft(FROM.0 + 20, &third), Some(&second), &[4, 5, 7]);
    assert_eq!(last.rotations(), 2);
    // From each set of signers that a configuration may pin.
    for pinned in [&old, &new, &third] {
        assert!(verify(&last, pinned).is_ok());
    }
    assert_eq!(
        verify(&last, &signers(1, &[9])).unwrap_err(),
        BadRelayList::Signers
    );
}

#[test]
fn rotation_without_the_old_quorum_is_refused() {
    let (old, new) = (signers(2, &[1, 2, 3]), signers(1, &[9]));
    // One of the old signers and all of the new ones.
    let rotating = ListDraft {
        next: Some(new.clone()),
        ..draft(FROM.0, &old)
    };
    let rotating = signed(rotating, None, &[1]);
    let list = signed(draft(FROM.0 + 10, &new), Some(&rotating), &[9]);
    assert_eq!(
        verify(&list, &old).unwrap_err(),
        BadRelayList::TooFewSignatures {
            signed: 1,
            threshold: 2
        }
    );
    // Without the rotation.
    let bare = signed(draft(FROM.0 + 10, &new), None, &[9]);
    assert_eq!(verify(&bare, &old).unwrap_err(), BadRelayList::Signers);
    // A rotation of another network.
    let elsewhere = ListDraft {
        network: NetworkId::new(Profile::Main, "elsewhere"),
        next: Some(new.clone()),
        ..draft(FROM.0, &old)
    };
    let elsewhere = signed(elsewhere, None, &[1, 2]);
    let list = signed(draft(FROM.0 + 10, &new), Some(&elsewhere), &[9]);
    assert_eq!(verify(&list, &old).unwrap_err(), BadRelayList::Signers);
}

/// A rotation leads on only from the signers before it: others who sign one by themselves prove nothing.
#[test]
fn attack_rotation_by_signers_that_are_not_pinned_leads_nowhere() {
    let (pinned, own, next) = (signers(2, &[1, 2, 3]), signers(1, &[8]), signers(1, &[9]));
    let rotating = ListDraft {
        next: Some(next.clone()),
        ..draft(FROM.0, &own)
    };
    let rotating = signed(rotating, None, &[8]);
    let list = signed(draft(FROM.0 + 10, &next), Some(&rotating), &[9]);
    assert_eq!(verify(&list, &pinned).unwrap_err(), BadRelayList::Signers);
    assert!(verify(&list, &own).is_ok());
}

/// The signed header of a list that hands over to one signer, or to none.
fn rotation(from: u32, by: u8, to: Option<u8>) -> SignedHeader {
    let rotating = ListDraft {
        next: to.map(|to| signers(1, &[to])),
        ..draft(from, &signers(1, &[by]))
    };
    signed(rotating, None, &[by]).signed
}

#[test]
fn attack_rotations_out_of_order_without_successors_or_too_many_are_refused() {
    let list = |rotations: Vec<SignedHeader>| {
        let mut list = signed(draft(FROM.0 + 50, &signers(1, &[9])), None, &[9]);
        list.rotations = rotations;
        RelayList::decode(&list.encode()).map(|list| list.rotations())
    };
    let chain = |count: u8| {
        let one = |number: u8| rotation(FROM.0 + u32::from(number), 20 + number, Some(21 + number));
        (0..count).map(one).collect::<Vec<_>>()
    };
    assert_eq!(list(chain(8)), Ok(MAX_ROTATIONS));
    assert_eq!(list(chain(9)), Err(BadRelayList::TooManyRotations));
    let mut swapped = chain(2);
    swapped.reverse();
    let twice = [chain(1), chain(1)].concat();
    let idle = vec![rotation(FROM.0, 1, None)];
    let late = vec![rotation(FROM.0 + 50, 1, Some(2))];
    for rotations in [swapped, twice, idle, late] {
        assert_eq!(list(rotations), Err(BadRelayList::RotationOrder));
    }
}

#[test]
fn rotation_after_the_list_or_to_the_same_signers_is_refused() {
    let (old, new) = (signers(1, &[1]), signers(1, &[2]));
    let rotating = ListDraft {
        next: Some(new.clone()),
        ..draft(FROM.0, &old)
    };
    let rotating = signed(rotating, None, &[1]);
    let early = RelayList::draft(draft(FROM.0, &new), Some(&rotating));
    assert_eq!(early, Err(BadRelayList::RotationOrder));
    let idle = ListDraft {
        next: Some(old.clone()),
        ..draft(FROM.0, &old)
    };
    assert_eq!(
        RelayList::draft(idle, None),
        Err(BadRelayList::NotCanonical)
    );
}

#[test]
fn validity_is_one_to_62_epochs() {
    let pinned = signers(1, &[1]);
    for (epochs, is_valid) in [(0, false), (1, true), (62, true), (63, false)] {
        let draft = ListDraft {
            until: Epoch(FROM.0 + epochs),
            ..draft(FROM.0, &pinned)
        };
        assert_eq!(RelayList::draft(draft, None).is_ok(), is_valid, "{epochs}");
    }
}

#[test]
fn oversized_list_is_refused_before_it_is_read() {
    let raw = vec![0xc0; MAX_LIST_LEN + 1];
    assert_eq!(
        RelayList::decode(&raw),
        Err(BadRelayList::Oversize(MAX_LIST_LEN + 1))
    );
}

#[test]
fn numbers_of_relays_and_family_members_are_bounded() {
    let pinned = signers(1, &[1]);
    let relays = |count: u16, family: u16| {
        let relay = |number: u16| {
            let mut key = [0; 64];
            key[..2].copy_from_slice(&number.to_be_bytes());
            ListedRelay {
                key: RelayKey(key),
                family,
                hint: Some(RelayEndpoint::Onion([7; 32], 20_819)),
            }
        };
        let draft = ListDraft {
            relays: (0..count).map(relay).collect(),
            ..draft(FROM.0, &pinned)
        };
        RelayList::draft(draft, None)
    };
    // The largest list has room for the longest addresses.
    assert!(relays(1_024, 0).is_ok());
    assert_eq!(relays(1_025, 0), Err(BadRelayList::TooManyRelays));
    assert_eq!(relays(0, 0), Err(BadRelayList::NoRelay));
    assert!(relays(64, 1).is_ok());
    assert_eq!(relays(65, 1), Err(BadRelayList::FamilyTooLarge));
    // Relays without a family are not one family.
    assert!(relays(65, 0).is_ok());
}

#[test]
fn relay_that_is_named_twice_is_refused() {
    let pinned = signers(1, &[1]);
    let mut twice = draft(FROM.0, &pinned);
    twice.relays.push(relay(2));
    assert_eq!(RelayList::draft(twice, None), Err(BadRelayList::RelayOrder));
}

#[test]
fn threshold_is_more_than_half_of_the_signers() {
    let ids: Vec<_> = (1..=4).map(|id| SignerId([id; 32])).collect();
    for (threshold, is_valid) in [(0, false), (2, false), (3, true), (4, true), (5, false)] {
        let set = SignerSet::new(threshold, ids.clone());
        assert_eq!(set.is_ok(), is_valid, "{threshold}");
    }
    let twice = SignerSet::new(2, vec![SignerId([1; 32]), SignerId([1; 32])]);
    assert_eq!(twice, Err(BadSignerSet::Twice(SignerId([1; 32]))));
    assert!(SignerSet::new(9, (0..17).map(|id| SignerId([id; 32])).collect()).is_err());
}

#[test]
fn key_beside_the_signers_signs_nothing() {
    let pinned = signers(1, &[1]);
    let mut list = RelayList::draft(draft(FROM.0, &pinned), None).unwrap();
    assert_eq!(list.sign(&key(2)), Err(BadRelayList::NotASigner));
    assert_eq!(list.signed_by(), (Vec::new(), 0));
}

proptest! {
    #[test]
    fn changed_bytes_give_no_other_valid_list(at in 0_usize..600, bit in 0_u8..8) {
        let pinned = signers(2, &[1, 2, 3]);
        let mut raw = signed(draft(FROM.0, &pinned), None, &[1, 2]).encode();
        let at = at % raw.len();
        raw[at] ^= 1 << bit;
        let verified = RelayList::decode(&raw)
            .and_then(|list| list.verify(network(), Profile::Main, &pinned));
        prop_assert!(verified.is_err());
    }
}
