//! Draft.
use super::{Exit, Failure};
/// Options of `whisht demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}
pub(super) fn run(_json: bool, _args: Args) -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
