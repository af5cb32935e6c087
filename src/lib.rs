//! misstep tells you which step of a failed AWS Step Functions execution tripped.
//!
//! The modules stand in the order in which a message travels:
//!
//! | module | what happens there |
//! |---|---|
//! | [`config`] | flags, environment and file become one checked value |
//! | [`arn`] | the names of executions, state machines and Map runs |

pub mod arn;
pub mod config;
pub mod event;
pub mod notify;
pub mod queue;
pub mod retry;
pub mod shutdown;
pub mod telemetry;
