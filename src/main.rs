//! The command line of misstep: arguments in, exit code out.
fn main() {}
