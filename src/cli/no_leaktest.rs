//! `whisht leaktest` on systems without a tracer.

use super::{Exit, Failure, GlobalArgs, run};

/// Options of `whisht leaktest`.
#[derive(Debug, clap::Args)]
#[group(id = "leaktest")]
pub(super) struct Args {
    #[command(flatten)]
    node: run::Args,
}

/// Reports that the system has no tracer.
///
/// # Errors
///
/// [`Failure`], always.
pub(super) fn run(common: GlobalArgs, args: Args) -> Result<Exit, Failure> {
    // Invalid settings are reported first, as on every system.
    run::plan(&common, args.node)?;
    Err(no_tracer())
}

fn no_tracer() -> Failure {
    Failure::new(
        Exit::Failed,
        format_args!(
            "system calls of a node can be traced only on Linux with the GNU C library, on x86_64 and \
             aarch64, and this is {} on {}; run the test on such a system",
            std::env::consts::OS,
            std::env::consts::ARCH,
        ),
    )
}

pub(super) mod helper {
    //! The helper of a leak test, which this system does not have.

    use crate::cli::{Exit, Failure};

    /// Options of `whisht leaktest-part`.
    #[derive(Debug, clap::Args)]
    pub(crate) struct Args {}

    /// Reports that the system has no tracer.
    ///
    /// # Errors
    ///
    /// [`Failure`], always.
    pub(crate) fn run(_args: Args) -> Result<Exit, Failure> {
        Err(super::no_tracer())
    }
}
