//! misstep tells you which step of a failed AWS Step Functions execution tripped.
//!
//! The modules stand in the order in which a message travels:
//!
//! | module | what happens there |
//! |---|---|
//! | [`config`] | flags, environment and file become one checked value |
//! | [`event`] | the failure event, out of all its wrappings |
//! | [`arn`] | the names of executions, state machines and Map runs |
//! | [`history`] | what happened in an execution, read from the service or from a file |
//! | [`analysis`] | from a history to the state that tripped; pure |
//! | [`notify`] | audiences, routes and channels |

pub mod analysis;
pub mod arn;
pub mod config;
pub mod event;
pub mod history;
pub mod investigation;
pub mod notify;
pub mod queue;
pub mod report;
pub mod retry;
pub mod shutdown;
pub mod telemetry;
