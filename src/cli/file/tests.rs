use super::*;

fn view(direction: FileDirection, stage: FileStage) -> FileView {
    FileView {
        number: 3,
        direction,
        contact: Some("desk\u{202e}".to_owned()),
        conversation: "00".repeat(32),
        name: "report\n.pdf".to_owned(),
        size: 20_000_000,
        stage,
        done: 5_000_000,
        rate: Some(78_400),
        left_seconds: Some(191),
        until: 1_800_000_000,
    }
}

#[test]
fn progress_names_bytes_share_rate_and_time_left() {
    let stage = FileStage::Transferring { attempt: 2 };
    assert_eq!(
        stage_words(&view(FileDirection::In, stage)),
        "attempt 2: 5,000,000 of 20,000,000 bytes, 25 %, 78 KB/s, 3 min left"
    );
    let unknown = FileView {
        rate: None,
        left_seconds: None,
        ..view(FileDirection::In, FileStage::Transferring { attempt: 1 })
    };
    assert!(stage_words(&unknown).ends_with("25 %"));
}

#[test]
fn offer_is_told_once_and_only_by_the_receiving_side() {
    let line = offer_line(&view(FileDirection::In, FileStage::Offered)).unwrap();
    // Names come from the other side.
    assert!(!line.contains('\u{202e}') && !line.contains('\n'), "{line}");
    assert!(line.contains("whisht file accept 3"), "{line}");
    assert!(offer_line(&view(FileDirection::Out, FileStage::Offered)).is_none());
    assert!(offer_line(&view(FileDirection::In, FileStage::Complete)).is_none());
}

#[test]
fn only_a_complete_file_ends_with_success() {
    assert_eq!(exit_of(&FileStage::Complete), Some(Exit::Done));
    assert_eq!(exit_of(&FileStage::Declined), Some(Exit::Expired));
    let reason = "the hash over all chunks is another".to_owned();
    let failed = FileStage::Failed { reason };
    assert_eq!(exit_of(&failed), Some(Exit::Expired));
    let reason = "no answer".to_owned();
    assert_eq!(exit_of(&FileStage::Paused { reason }), None);
    assert_eq!(exit_of(&FileStage::Offered), None);
}

#[test]
fn file_is_never_said_to_be_whole_before_its_last_byte() {
    let mut almost = view(FileDirection::In, FileStage::Transferring { attempt: 1 });
    almost.done = almost.size - 1;
    assert_eq!(percent(&almost), 99);
}
