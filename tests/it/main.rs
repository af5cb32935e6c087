//! Integration tests, one binary.
//!
//! | suite | what it holds |
//! |---|---|
//! | [`cli`] | exit codes, faults of the settings, clear errors at the start |
//! | [`recorded`] | histories recorded on AWS, each against its expectation |
//! | [`guarantee`] | nothing is lost: the worker against a model of everything around it |
//! | [`model`] | that model, and the checker |
//! | [`synth`] | a generator of histories with the truth about them, and its own tests |
//! | [`supply_chain`] | which crates may be in the tree |

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]
#![expect(clippy::print_stdout, reason = "figures are printed for whoever reads a run")]
#![expect(unreachable_pub, reason = "nothing of a test is reached from outside")]

mod cli;
mod guarantee;
mod model;
mod recorded;
mod supply_chain;
mod synth;
