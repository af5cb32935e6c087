//! misstep tells you which step of a failed AWS Step Functions execution tripped.
//!
//! The modules stand in the order in which a message travels:
//!
//! | module | what happens there |
//! |---|---|
//! | [`cli`] | the command line: which command, and its exit code |
//! | [`config`] | flags, environment and file become one checked value |
//! | [`settings`] | what settings are made of: text with its origin, faults, secrets |
//! | [`telemetry`] | logs and traces |
//! | [`metrics`] | what is counted and measured |
//! | [`admin`] | health and metrics over HTTP |
//! | [`shutdown`] | SIGTERM and SIGINT become cancellation |
//! | [`queue`] | messages are received, leased and settled |
//! | [`worker`] | the loop: a place, a poll, a task a message, the drain |
//! | [`pipeline`] | one message from its body to its outcome |
//! | [`event`] | the failure event, out of all its wrappings |
//! | [`aws`] | clients of AWS, the meaning of their errors, and ARNs |
//! | [`history`] | what happened in an execution, read from the service or from a file |
//! | [`memory`] | how much memory the readings of executions may take together |
//! | [`investigation`] | reading and analysis together, down into child executions |
//! | [`analysis`] | from a history to the state that tripped; pure |
//! | [`logs`] | the last lines of the log of what failed, where they are asked for |
//! | [`report`] | the finding as a notification's data, as text and so on |
//! | [`redact`] | secrets removed before anything leaves |
//! | [`notify`] | audiences, routes and channels |
//! | [`breaker`] | when what every message needs keeps failing, nothing new is taken in |
//! | [`outcome`] | what becomes of the message |
//! | [`check`] | whether all of it would work, before anything is processed |
//! | [`dlq`] | the dead-letter queue looked into, and the way back |
//! | [`retry`] | how long to wait before trying again |
//! | [`failpoint`] | where tests may crash the process; empty in what is released |

pub mod admin;
pub mod analysis;
pub mod aws;
pub mod breaker;
pub mod check;
pub mod cli;
pub mod config;
pub mod dlq;
pub mod event;
pub mod failpoint;
pub mod history;
pub mod investigation;
mod json_escape;
pub mod logs;
pub mod memory;
pub mod metrics;
pub mod notify;
pub mod outcome;
pub mod pipeline;
pub mod queue;
pub mod redact;
pub mod report;
pub mod retry;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
pub mod worker;
