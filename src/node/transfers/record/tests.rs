use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::transfer::chunk::Chunk;

fn record(step: FileStep) -> FileRecord {
    let rng = &mut ChaCha20Rng::from_seed([3; 32]);
    let size = FileSize::new(200_000).unwrap();
    let mut file = FileRecord::offered(
        ConversationId([4; 32]),
        FileOffer {
            id: FileId([5; 16]),
            secret: FileSecret::draw(rng),
            size,
            root: ChunkRoot([6; 32]),
            name: FileName::new("list.pdf").unwrap(),
            relays: vec![RelayId([7; 32]), RelayId([8; 32])],
        },
        (StoredFileId::draw(rng), FileKey::draw(rng)),
        UnixSecs(1_800_000_000),
    );
    file.step = step;
    file.verified.insert(2);
    file.proposals = 3;
    file.is_in_vain = true;
    file
}

fn read_again(file: &FileRecord) -> FileRecord {
    let StateChange::Put { table, id, value } = file.put(9) else {
        panic!("a record is written");
    };
    match FileRow::restore(&StateRow { table, id, value }).unwrap() {
        FileRow::Record(9, again) => *again,
        _ => panic!("it is the record of file 9"),
    }
}

#[test]
fn record_is_read_as_it_was_written_at_every_step() {
    let schedule =
        AttemptSchedule::new(UnixSecs(1_200), RelayPlaces::new([3, 0]).unwrap()).unwrap();
    for step in [
        FileStep::Storing,
        FileStep::Offered,
        FileStep::Declined,
        FileStep::Accepted {
            schedule,
            last: None,
        },
        FileStep::Accepted {
            schedule,
            last: AttemptId::new(UnixSecs(1_200), 9),
        },
        FileStep::Paused("the other side was not there".to_owned()),
        FileStep::Proposed,
        FileStep::Complete,
        FileStep::Failed("a chunk is damaged".to_owned()),
    ] {
        let file = record(step.clone());
        let again = read_again(&file);
        assert_eq!(again.step, step);
        assert_eq!(again.secret.expose(), file.secret.expose());
        assert_eq!(again.key.expose(), file.key.expose());
        assert_eq!(again.relays, file.relays);
        assert_eq!((again.proposals, again.is_in_vain), (3, true));
        assert!(again.verified.contains(2) && !again.verified.contains(1));
        assert_eq!(again.put(9).len(), file.put(9).len());
    }
}

#[test]
fn record_cut_anywhere_is_refused() {
    let StateChange::Put { table, id, value } = record(FileStep::Offered).put(1) else {
        panic!("a record is written");
    };
    for len in 0..value.len() {
        let value = zeroize::Zeroizing::new(value.get(..len).unwrap().to_vec());
        let id = id.clone();
        assert!(FileRow::restore(&StateRow { table, id, value }).is_err());
    }
}

#[test]
fn leaves_and_last_number_are_read_as_they_were_written() {
    let size = FileSize::new(10).unwrap();
    let mut list = ChunkList::new(FileId([1; 16]), size);
    list.push(&Chunk::padded(b"0123456789").unwrap());
    let StateChange::Put { table, id, value } = put_leaves(3, &list) else {
        panic!("a list is written");
    };
    let row = StateRow { table, id, value };
    let restored = FileRow::restore(&row).unwrap();
    assert!(matches!(restored, FileRow::Leaves(3, leaves) if leaves == list.leaves()));
    let StateChange::Put { table, id, value } = put_last_number(77) else {
        panic!("a number is written");
    };
    let row = StateRow { table, id, value };
    assert!(matches!(
        FileRow::restore(&row).unwrap(),
        FileRow::LastNumber(77)
    ));
}

#[test]
fn proposal_counts_once_although_it_is_repeated() {
    let mut file = record(FileStep::Offered);
    file.proposals = 0;
    let (first, second) = (vec![RelayId([1; 32])], vec![RelayId([2; 32])]);
    for (relays, count) in [(&first, 1), (&first, 1), (&second, 2), (&second, 2)] {
        take_proposal(&mut file, relays.clone());
        assert_eq!((file.proposals, file.is_in_vain), (count, false));
        assert_eq!(&file.relays, relays);
    }
}
