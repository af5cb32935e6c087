//! The command line of misstep: arguments in, exit code out. Everything else is in the library.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// The allocator of the system takes a third of the time that a message takes: docs/performance.md.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    misstep::cli::run(std::env::args_os()).into()
}
