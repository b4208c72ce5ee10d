//! `whisht leaktest` where there is nothing to watch with.

use super::{Exit, Failure, GlobalArgs, run};

/// Options of `whisht leaktest`.
#[derive(Debug, clap::Args)]
#[group(id = "leaktest")]
pub(super) struct Args {
    #[command(flatten)]
    node: run::Args,
}

/// Says why there is no test.
///
/// # Errors
///
/// [`Failure`], always.
pub(super) fn run(common: GlobalArgs, args: Args) -> Result<Exit, Failure> {
    // What is mistyped is told here as anywhere.
    run::plan(&common, args.node)?;
    Err(nothing_to_watch_with())
}

fn nothing_to_watch_with() -> Failure {
    Failure::new(
        Exit::Failed,
        format_args!(
            "a node can be watched only where its system calls can be: on Linux with the GNU C \
             library, on x86_64 and aarch64; this is {} on {}",
            std::env::consts::OS,
            std::env::consts::ARCH,
        ),
    )
}

pub(super) mod helper {
    //! What a leak test would run.

    use crate::cli::{Exit, Failure};

    /// Options of `whisht leaktest-part`.
    #[derive(Debug, clap::Args)]
    pub(crate) struct Args {}

    /// Says why there is nothing to run.
    ///
    /// # Errors
    ///
    /// [`Failure`], always.
    pub(crate) fn run(_args: Args) -> Result<Exit, Failure> {
        Err(super::nothing_to_watch_with())
    }
}
