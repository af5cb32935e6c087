//! From a history to what failed and why: pure functions, without I/O and without a clock.

pub mod cause;
