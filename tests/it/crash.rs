//! The real binary killed, stopped, panicking and hanging at every step of a message's life.
//!
//! Only a build with the feature `failpoints` can be told to: `make test` makes one for the matrix,
//! after everything else was tested without. Every cell of the matrix is a world of its own: a
//! queue, its dead-letter queue, Step Functions and a notification API, and one process after the
//! other on them.

#[cfg(feature = "failpoints")]
mod cell;
#[cfg(feature = "failpoints")]
mod incidents;
#[cfg(feature = "failpoints")]
mod matrix;
#[cfg(feature = "failpoints")]
mod sweep;
#[cfg(feature = "failpoints")]
mod table;
#[cfg(feature = "failpoints")]
mod world;

/// Arms a failpoint.
const VARIABLE: &str = "MISSTEP_FAILPOINT";

/// The variable's name is in a binary that can be armed, and in no other.
#[test]
fn only_a_build_with_the_feature_has_failpoints() {
    let binary = std::fs::read(env!("CARGO_BIN_EXE_misstep")).unwrap();
    let is_armed = binary.windows(VARIABLE.len()).any(|bytes| bytes == VARIABLE.as_bytes());
    assert_eq!(is_armed, cfg!(feature = "failpoints"));
}
