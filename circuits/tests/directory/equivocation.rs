//! Relays that sign contradictory descriptors.

use circuits::directory::{
    BadDescriptor, DescriptorDraft, DescriptorInsertion, DescriptorRefusal, EquivocationProof,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::relays::{EPOCH, START, TestRelay, at, directory, insert, is_new, peer};

fn proof(result: Result<DescriptorInsertion, DescriptorRefusal>) -> EquivocationProof {
    match result {
        Ok(DescriptorInsertion::Equivocation(proof)) => proof,
        other => panic!("no proof but {other:?}"),
    }
}

/// The descriptor for a victim: the onion key differs, so that the relay can recognise the victim.
fn private(relay: &TestRelay) -> Vec<u8> {
    relay.sign(DescriptorDraft {
        onion: TestRelay::new(99).onion(EPOCH),
        ..relay.draft(EPOCH)
    })
}

#[test]
fn two_descriptors_for_one_epoch_prove_equivocation_in_either_order() {
    let relay = TestRelay::new(1);
    let (one, other) = (relay.descriptor(EPOCH), private(&relay));
    for [first, second] in [[&one, &other], [&other, &one]] {
        let mut directory = directory();
        assert!(is_new(insert(&mut directory, START, 1, first)));
        let proof = proof(insert(&mut directory, START, 2, second));
        assert_eq!(proof.relay(), relay.id());
        let mut raws = proof.descriptors().map(|one| one.raw().to_vec());
        raws.sort();
        let mut expected = [one.clone(), other.clone()];
        expected.sort();
        assert_eq!(raws, expected);
        assert!(directory.lookup(relay.id().short()).is_none());
    }
}

#[test]
fn changed_next_key_proves_equivocation_in_either_order() {
    let relay = TestRelay::new(1);
    let announcement = relay.descriptor(EPOCH);
    let contradiction = relay.sign(DescriptorDraft {
        onion: TestRelay::new(99).onion(EPOCH),
        ..relay.draft(EPOCH.next())
    });
    let now = EPOCH.next().start();
    for [first, second] in [
        [&announcement, &contradiction],
        [&contradiction, &announcement],
    ] {
        let mut directory = directory();
        assert!(is_new(insert(&mut directory, now, 1, first)));
        let [earlier, later] = {
            let proof = proof(insert(&mut directory, now, 2, second));
            proof.descriptors().map(|one| one.epoch())
        };
        assert_eq!([earlier, later], [EPOCH, EPOCH.next()]);
    }
}

#[test]
fn consistent_descriptors_never_prove_equivocation() {
    let relay = TestRelay::new(1);
    let mut directory = directory();
    let mut epoch = EPOCH;
    for _ in 0..4 {
        let raw = relay.descriptor(epoch);
        assert!(is_new(insert(&mut directory, epoch.start(), 1, &raw)));
        let again = insert(&mut directory, epoch.start(), 2, &raw);
        assert!(matches!(again, Ok(DescriptorInsertion::Reported)));
        epoch = epoch.next();
    }
    assert_eq!(directory.excluded(), 0);
}

#[test]
fn equivocating_relay_is_excluded_for_three_epochs() {
    let relay = TestRelay::new(1);
    let mut directory = directory();
    insert(&mut directory, START, 1, &relay.descriptor(EPOCH)).unwrap();
    insert(&mut directory, START, 1, &private(&relay)).unwrap();
    let (second, third) = (EPOCH.next().next(), EPOCH.next().next().next());
    for epoch in [EPOCH.next(), second] {
        let result = insert(&mut directory, epoch.start(), 1, &relay.descriptor(epoch));
        assert_eq!(result.unwrap_err(), DescriptorRefusal::Excluded);
    }
    assert!(is_new(insert(
        &mut directory,
        third.start(),
        1,
        &relay.descriptor(third)
    )));
}

#[test]
fn equivocation_proof_is_accepted_from_any_peer_without_penalty() {
    let relay = TestRelay::new(1);
    let mut victim = directory();
    insert(&mut victim, START, 1, &private(&relay)).unwrap();
    let proof = proof(insert(&mut victim, START, 2, &relay.descriptor(EPOCH)));
    let mut bystander = directory();
    let [one, other] = proof.descriptors();
    assert!(is_new(bystander.insert(at(START), peer(3), one.raw())));
    let result = bystander.insert(at(START), peer(3), other.raw());
    assert!(matches!(result, Ok(DescriptorInsertion::Equivocation(_))));
    // The same descriptors again, from a peer that has them from another source.
    for descriptor in proof.descriptors() {
        let result = bystander.insert(at(START), peer(4), descriptor.raw());
        assert!(matches!(result, Ok(DescriptorInsertion::Known)));
    }
}

#[test]
fn forged_descriptor_cannot_prove_equivocation() {
    let relay = TestRelay::new(1);
    let mut directory = directory();
    let raw = relay.descriptor(EPOCH);
    insert(&mut directory, START, 1, &raw).unwrap();
    // Another node copies the descriptor and alters it; no altered copy verifies.
    let mut forged = relay.sign(relay.draft(EPOCH));
    assert_eq!(
        forged, raw,
        "signing must be deterministic, so that a restart does not equivocate"
    );
    let last = forged.len() - 1;
    for recovery in 0..=u8::MAX {
        forged[last] = recovery;
        let result = insert(&mut directory, START, 2, &forged);
        let is_harmless = matches!(
            result,
            Ok(DescriptorInsertion::Known | DescriptorInsertion::Reported)
                | Err(DescriptorRefusal::OverQuota
                    | DescriptorRefusal::Bad(
                        BadDescriptor::Signature
                            | BadDescriptor::NotCanonical
                            | BadDescriptor::Malformed
                    ))
        );
        assert!(is_harmless, "{result:?}");
    }
    assert_eq!(directory.excluded(), 0);
    assert!(directory.lookup(relay.id().short()).is_some());
}

#[test]
fn private_descriptor_is_exposed_at_first_sync() {
    let relay = TestRelay::new(1);
    let (mut victim, mut honest) = (directory(), directory());
    insert(&mut victim, START, 66, &private(&relay)).unwrap();
    insert(&mut honest, START, 2, &relay.descriptor(EPOCH)).unwrap();
    // The victim requests missing descriptors from an honest peer.
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let requests = victim.requests(START, peer(5), EPOCH);
    let answer = honest.lacking(at(START), peer(5), &requests[0], &mut rng);
    assert_eq!(answer.len(), 1);
    let result = insert(&mut victim, START, 2, &answer[0]);
    assert!(matches!(result, Ok(DescriptorInsertion::Equivocation(_))));
    // From now on the victim sends both descriptors to every peer that requests them.
    let request = &honest.requests(START, peer(2), EPOCH)[0];
    let answer = victim.lacking(at(START), peer(2), request, &mut rng);
    assert_eq!(answer, [private(&relay)]);
}
