//! The command line of misstep: arguments in, exit code out. Everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    misstep::cli::run(std::env::args_os()).into()
}
