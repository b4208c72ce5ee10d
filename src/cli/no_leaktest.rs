//! `whisht leaktest` where there is nothing to watch with.

use super::{Common, Exit, Failure, run};

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
pub(super) fn run(_common: Common, args: Args) -> Result<Exit, Failure> {
    drop(args.node);
    Err(Failure::new(
        Exit::Failed,
        format_args!(
            "a node can be watched only where its system calls can be: on Linux with the GNU C \
             library, on x86_64 and aarch64; this is {} on {}",
            std::env::consts::OS,
            std::env::consts::ARCH,
        ),
    ))
}
