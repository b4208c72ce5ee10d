//! Relays that tell different nodes different things.

use circuits::directory::{
    BadDescriptor, DescriptorDraft, DescriptorInsertion, DescriptorRefusal, EquivocationProof,
};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::relays::{EPOCH, START, TestRelay, at, directory, insert, is_new, peer};

fn proof(verdict: Result<DescriptorInsertion, DescriptorRefusal>) -> EquivocationProof {
    match verdict {
        Ok(DescriptorInsertion::Equivocation(proof)) => proof,
        other => panic!("no proof but {other:?}"),
    }
}

/// What the relay shows its victim: the same but for the onion key it will know it by.
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
    let promise = relay.descriptor(EPOCH);
    let breach = relay.sign(DescriptorDraft {
        onion: TestRelay::new(99).onion(EPOCH),
        ..relay.draft(EPOCH.next())
    });
    let now = EPOCH.next().start();
    for [first, second] in [[&promise, &breach], [&breach, &promise]] {
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
        assert!(matches!(again, Ok(DescriptorInsertion::Known)));
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
        let verdict = insert(&mut directory, epoch.start(), 1, &relay.descriptor(epoch));
        assert_eq!(verdict.unwrap_err(), DescriptorRefusal::Excluded);
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
    let verdict = bystander.insert(at(START), peer(3), other.raw());
    assert!(matches!(verdict, Ok(DescriptorInsertion::Equivocation(_))));
    // The same two again, from somebody who heard of it elsewhere.
    for descriptor in proof.descriptors() {
        let verdict = bystander.insert(at(START), peer(4), descriptor.raw());
        assert!(matches!(verdict, Ok(DescriptorInsertion::Known)));
    }
}

#[test]
fn forged_descriptor_cannot_prove_equivocation() {
    let relay = TestRelay::new(1);
    let mut directory = directory();
    let raw = relay.descriptor(EPOCH);
    insert(&mut directory, START, 1, &raw).unwrap();
    // A stranger copies the descriptor and changes what it can; nothing it makes verifies.
    let mut forged = relay.sign(relay.draft(EPOCH));
    assert_eq!(
        forged, raw,
        "signing is deterministic: a restart does not equivocate"
    );
    let last = forged.len() - 1;
    for recovery in 0..=u8::MAX {
        forged[last] = recovery;
        let verdict = insert(&mut directory, START, 2, &forged);
        let is_harmless = matches!(
            verdict,
            Ok(DescriptorInsertion::Known)
                | Err(DescriptorRefusal::OverQuota
                    | DescriptorRefusal::Bad(
                        BadDescriptor::Signature
                            | BadDescriptor::NotCanonical
                            | BadDescriptor::Malformed
                    ))
        );
        assert!(is_harmless, "{verdict:?}");
    }
    assert_eq!(directory.excluded(), 0);
    assert!(directory.lookup(relay.id().short()).is_some());
}

#[test]
fn private_descriptor_is_exposed_at_first_sync() {
    let relay = TestRelay::new(1);
    let (mut victim, mut neighbour) = (directory(), directory());
    insert(&mut victim, START, 66, &private(&relay)).unwrap();
    insert(&mut neighbour, START, 2, &relay.descriptor(EPOCH)).unwrap();
    // The victim asks an honest neighbour what it lacks.
    let mut rng = ChaCha20Rng::from_seed([1; 32]);
    let requests = victim.requests(EPOCH);
    let answer = neighbour.lacking(at(START), peer(5), &requests[0], &mut rng);
    assert_eq!(answer.len(), 1);
    let verdict = insert(&mut victim, START, 2, &answer[0]);
    assert!(matches!(verdict, Ok(DescriptorInsertion::Equivocation(_))));
    // From now on the victim hands both to whoever asks.
    let request = &neighbour.requests(EPOCH)[0];
    let answer = victim.lacking(at(START), peer(2), request, &mut rng);
    assert_eq!(answer, [private(&relay)]);
}
