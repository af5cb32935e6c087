//! Integration tests, one binary.
//!
//! | suite | what it holds |
//! |---|---|
//! | `recorded` | histories recorded on AWS, each against its expectation |

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "figures are printed for whoever reads a run")]

mod recorded;
