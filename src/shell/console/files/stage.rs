//! A file in words: how far it is, and which buttons belong to that.

use crate::node::{FileDirection, FileStage, FileView};
use crate::shell::console::words::{bytes, duration, line};

/// A row of the page.
pub(super) struct ListedFile {
    pub(super) number: u64,
    pub(super) is_incoming: bool,
    pub(super) contact: String,
    pub(super) name: String,
    pub(super) size: String,
    pub(super) stage: String,
    /// Bytes that are stored at the receiving end, and the size, while the file is on its way.
    pub(super) progress: Option<(u64, u64)>,
    pub(super) can_accept: bool,
    pub(super) can_decline: bool,
    pub(super) can_save: bool,
    pub(super) is_fault: bool,
    /// What an acceptance at level `normal` costs, if the user has to choose that level.
    pub(super) price_at_normal: Option<String>,
}

/// The row of a file.
pub(super) fn row(view: &FileView) -> ListedFile {
    let is_incoming = view.direction == FileDirection::In;
    let is_moving = matches!(
        view.stage,
        FileStage::Storing
            | FileStage::Meeting { .. }
            | FileStage::Transferring { .. }
            | FileStage::Paused { .. }
    );
    ListedFile {
        number: view.number,
        is_incoming,
        contact: view
            .contact
            .clone()
            .unwrap_or_else(|| "a person without a name".to_owned()),
        name: match view.name.as_str() {
            "" => "without a name".to_owned(),
            name => line(name),
        },
        size: bytes(view.size),
        stage: stage(view, is_incoming),
        progress: is_moving.then_some((view.done, view.size)),
        can_accept: is_incoming
            && matches!(view.stage, FileStage::Offered | FileStage::Paused { .. }),
        can_decline: is_incoming && view.stage == FileStage::Offered,
        can_save: is_incoming && view.stage == FileStage::Complete,
        is_fault: matches!(view.stage, FileStage::Failed { .. }),
        price_at_normal: None,
    }
}

fn stage(view: &FileView, is_incoming: bool) -> String {
    match (&view.stage, is_incoming) {
        (FileStage::Storing, _) => "is brought in".to_owned(),
        (FileStage::Offered, true) => "is offered to you".to_owned(),
        (FileStage::Offered, false) => "is offered; no answer yet".to_owned(),
        (FileStage::Declined, true) => "declined by you".to_owned(),
        (FileStage::Declined, false) => "declined by the other side".to_owned(),
        (FileStage::Meeting { attempt }, _) => {
            format!("attempt {attempt}: the circuits have not met yet")
        }
        (FileStage::Transferring { attempt }, _) => {
            format!("attempt {attempt}: on its way{}", pace(view))
        }
        (FileStage::Paused { reason }, true) => {
            format!("paused: {reason}; accept it again to go on")
        }
        (FileStage::Paused { reason }, false) => format!("paused: {reason}"),
        (FileStage::Complete, true) => "complete; the hash is the one of the offer".to_owned(),
        (FileStage::Complete, false) => "complete at the other side".to_owned(),
        (FileStage::Failed { reason }, _) => format!("failed: {reason}"),
    }
}

fn pace(view: &FileView) -> String {
    let rate = view
        .rate
        .map_or_else(String::new, |rate| format!(", {} a second", bytes(rate)));
    let left = view.left_seconds.map_or_else(String::new, |secs| {
        format!(", {} left", duration(secs.saturating_mul(1_000)))
    });
    format!("{rate}{left}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(direction: FileDirection, stage: FileStage) -> FileView {
        FileView {
            number: 3,
            direction,
            contact: Some("desk".into()),
            conversation: "ab".repeat(16),
            name: "a\u{202e}b\n<script>".into(),
            size: 20_971_520,
            stage,
            done: 65_536,
            rate: Some(61_000),
            left_seconds: Some(340),
            until: 1_800_000_000,
        }
    }

    #[test]
    fn only_what_others_offer_can_be_accepted() {
        let offered = |direction| row(&view(direction, FileStage::Offered));
        assert!(offered(FileDirection::In).can_accept && offered(FileDirection::In).can_decline);
        assert!(
            !offered(FileDirection::Out).can_accept && !offered(FileDirection::Out).can_decline
        );
        let reason = String::from("the circuit ended");
        let paused = row(&view(FileDirection::In, FileStage::Paused { reason }));
        assert!(paused.can_accept && !paused.can_decline && !paused.can_save);
    }

    #[test]
    fn only_complete_files_of_others_can_be_saved() {
        for stage in [FileStage::Offered, FileStage::Declined, FileStage::Storing] {
            assert!(!row(&view(FileDirection::In, stage)).can_save);
        }
        assert!(row(&view(FileDirection::In, FileStage::Complete)).can_save);
        assert!(!row(&view(FileDirection::Out, FileStage::Complete)).can_save);
    }

    #[test]
    fn file_on_its_way_shows_progress_rate_and_time_left() {
        let row = row(&view(
            FileDirection::In,
            FileStage::Transferring { attempt: 2 },
        ));
        assert_eq!(row.progress, Some((65_536, 20_971_520)));
        assert_eq!(
            row.stage,
            "attempt 2: on its way, 61 KB a second, 6 min left"
        );
        assert_eq!(row.name, "a?b?<script>");
    }
}
