//! misstep tells you which step of a failed AWS Step Functions execution tripped.
//!
//! The modules stand in the order in which a message travels:
//!
//! | module | what happens there |
//! |---|---|
//! | [`arn`] | the names of executions, state machines and Map runs |

pub mod arn;
