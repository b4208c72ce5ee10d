use circuits::time::UnixSecs;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use zeroize::Zeroizing;

use super::*;
use crate::contact::first_contact::{FirstMode, FirstTicket, FirstTicketSearch, Tau};
use crate::contact::job::{BoxOpening, ContactJob, ContactJobResult};
use crate::contact::key_block::KeyBlock;
use crate::contact::outer::{EnvelopeSealer, SealedData};
use crate::contact::plaintext::{SealedBody, fill};
use crate::envelope::{SizeClass, Topic, Ttl, TtlClass};

/// A recipient, its public keys, and a generator.
struct Recipient {
    block: KeyBlock,
    id: ContactId,
    keys: Arc<FirstRecipient>,
}

fn recipient(rng: &mut ChaCha20Rng, id: u8) -> Recipient {
    let id = ContactId([id; 32]);
    let outer = OuterSecret::draw(rng);
    let x_wing = XWingSecret::draw(rng);
    let olm = *OuterSecret::draw(rng).public();
    let block = KeyBlock::new(1, *outer.public(), olm, olm, x_wing.public()).unwrap();
    let keys = FirstRecipient::new(id, block.kappa(), outer, x_wing);
    Recipient {
        id,
        block,
        keys: Arc::new(keys),
    }
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(18)
}

fn envelope(sealed: SealedData, nonce: u64) -> ScanEnvelope {
    let expiry = UnixSecs(1_700_000_000);
    ScanEnvelope {
        envelope: Envelope::build(expiry, Ttl(50), sealed.topic, sealed.data, nonce),
        candidates: Vec::new(),
    }
}

fn junk(nonce: u64, len: usize) -> ScanEnvelope {
    let sealed = SealedData {
        topic: Topic([3; 4]),
        data: vec![3; len],
    };
    envelope(sealed, nonce)
}

fn plaintext() -> Zeroizing<Vec<u8>> {
    let body = Zeroizing::new(b"body".to_vec());
    let encoded = SealedBody { resync: None, body }.encode();
    fill(&encoded, SizeClass::SMALLEST, TtlClass::Day).unwrap()
}

fn run(mut batch: ScanBatch) -> (usize, Vec<ScanHit>) {
    let mut steps = 0;
    loop {
        steps += 1;
        assert!(steps < 1_000);
        if let Some(hits) = batch.step() {
            return (steps, hits);
        }
    }
}

#[test]
fn batch_finds_first_messages_of_every_generation_and_steps_in_order() {
    let mut rng = rng();
    let [one, two] = [recipient(&mut rng, 1), recipient(&mut rng, 2)];
    let recipients = [
        (ScanTag(10), Arc::clone(&one.keys)),
        (ScanTag(20), Arc::clone(&two.keys)),
    ];
    let keys = Arc::new(ScanKeys::new(recipients));
    let mut first = |to: &Recipient, plaintext: &[u8]| {
        let sealer = EnvelopeSealer::first(&to.id, &to.block);
        sealer.seal(&mut rng, 0, plaintext)
    };
    let to_two = first(&two, &plaintext());
    let to_one = first(&one, &plaintext());
    let malformed = first(&one, &[9; 486]);
    let step = || StepKey::new(Zeroizing::new([7; 32]));
    let sealed = EnvelopeSealer::Step(step()).seal(&mut rng, 3, &plaintext());
    let mut of_step = envelope(sealed, 5);
    // The key of another step with the same topic by chance, and the right one.
    for (tag, key) in [(30, StepKey::new(Zeroizing::new([8; 32]))), (31, step())] {
        let tag = ScanTag(tag);
        of_step
            .candidates
            .push(ScanCandidate { tag, key, shard: 3 });
    }
    let envelopes = vec![
        junk(1, 500),
        envelope(to_two, 2),
        of_step,
        junk(4, 3),
        envelope(to_one, 6),
        envelope(malformed, 7),
    ];
    let (_, hits) = run(ScanBatch::new(keys, envelopes));
    let found: Vec<_> = hits
        .iter()
        .map(|hit| (hit.envelope, hit.tag.0, hit.plaintext.is_ok()))
        .collect();
    assert_eq!(
        found,
        [(1, 20, true), (2, 31, true), (4, 10, true), (5, 10, false)]
    );
    let forms: Vec<_> = hits.iter().map(|hit| hit.form).collect();
    assert!(matches!(
        forms.as_slice(),
        [
            ScanForm::First(_),
            ScanForm::Step(3),
            ScanForm::First(_),
            ScanForm::First(_)
        ]
    ));
}

#[test]
fn time_of_batch_does_not_depend_on_what_is_found() {
    let mut rng = rng();
    let one = recipient(&mut rng, 1);
    let keys = Arc::new(ScanKeys::new([(ScanTag(1), Arc::clone(&one.keys))]));
    let sealer = EnvelopeSealer::first(&one.id, &one.block);
    let hits = (0..60).map(|at| envelope(sealer.seal(&mut rng, 0, &plaintext()), at));
    let hits = ScanBatch::new(Arc::clone(&keys), hits.collect());
    let misses = (0..60).map(|at| junk(at, plaintext().len() + 48));
    let misses = ScanBatch::new(keys, misses.collect());
    assert_eq!(hits.time(), misses.time());
    let ((steps, found), (missed, none)) = (run(hits), run(misses));
    assert_eq!((found.len(), none.len()), (60, 0));
    assert_eq!(steps, missed);
    // 60 envelopes of 98 microseconds, in steps of two milliseconds.
    assert!(steps >= 3, "{steps}");
}

#[test]
fn without_keys_only_candidates_are_tried() {
    let mut rng = rng();
    let one = recipient(&mut rng, 1);
    let sealer = EnvelopeSealer::first(&one.id, &one.block);
    let missed = envelope(sealer.seal(&mut rng, 0, &plaintext()), 1);
    let batch = ScanBatch::new(Arc::default(), vec![missed]);
    assert_eq!(batch.time(), Duration::ZERO);
    assert!(run(batch).1.is_empty());
}

#[test]
fn jobs_open_boxes_and_search_tickets() {
    let mut rng = rng();
    let one = recipient(&mut rng, 1);
    let source = FirstBox::create(&mut rng, &one.id, &one.block).unwrap();
    let mode = FirstMode::Conversation;
    let body = source.wrap(&mut rng, FirstTicket::default(), mode, b"hello");
    let mut job = ContactJob::Open(BoxOpening {
        recipient: Arc::clone(&one.keys),
        body: Zeroizing::new(body),
    });
    assert!(job.time() > Duration::ZERO && job.expected_hashes() == 0);
    let Some(ContactJobResult::Opened(Ok((opened, content)))) = job.step() else {
        panic!("the box does not open");
    };
    assert_eq!(opened.tau(), source.tau());
    assert_eq!(content.content.as_slice(), b"hello");
    let tau = Tau([1; 32]);
    let mut job = ContactJob::Ticket(FirstTicketSearch::new(&mut rng, &tau, 14));
    assert_eq!(job.expected_hashes(), 1 << 14);
    let found = (0..100).find_map(|_| job.step());
    assert!(matches!(found, Some(ContactJobResult::Ticket(ticket)) if ticket.bits(&tau) >= 14));
}
