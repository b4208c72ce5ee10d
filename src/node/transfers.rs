//! Files that are handed over within conversations.

mod command;
mod views;

pub use command::{FileCommand, FileOutgoing, FileReply};
pub use views::{FileDirection, FilePriceView, FileStage, FileView};
