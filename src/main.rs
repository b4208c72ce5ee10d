//! The program `whisht`: see [`whisht::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    whisht::cli::main()
}
