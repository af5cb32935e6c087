//! misstep finds out which step of a failed AWS Step Functions execution tripped.
//!
//! The modules from top to bottom. Each one imports only modules below it; `tests/it/structure.rs` holds
//! that, and that no files import each other in a circle.
//!
//! | module | what happens there |
//! |---|---|
//! | [`cli`] | the command line: which command, and its exit code |
//! | [`admin`] | health and metrics over HTTP |
//! | [`config`] | flags, environment and file become one checked value |
//! | [`worker`] | the loop: a permit, a poll, a task for each message, the drain |
//! | [`pipeline`] | one message from its body to its outcome: parse, diagnose, deliver |
//! | [`check`] | whether settings, permissions and endpoints would work, before anything is processed |
//! | [`outcome`] | what happens to a message |
//! | [`dlq`] | the dead-letter queue listed, replayed and dropped |
//! | [`sweep`] | failures whose events never arrived are found, and put into the queue |
//! | [`incidents`] | the failures of one bug under one alert |
//! | [`notify`] | audiences, routes and channels |
//! | [`report`] | the finding as a typed notice, and as text, Markdown, HTML and JSON |
//! | [`logs`] | the last lines of the log of what failed, where a route shows them |
//! | [`investigation`] | reading and analysis together, down into child executions |
//! | [`event`] | the failure event, out of all its wrappings |
//! | [`analysis`] | from a history to the state that failed; pure |
//! | [`history`] | what happened in an execution, read from Step Functions or from a file |
//! | [`queue`] | messages are received, leased and settled |
//! | [`breaker`] | while what every message needs keeps failing, nothing more is received |
//! | [`aws`] | clients of AWS, the meaning of their errors, and ARNs |
//! | [`metrics`] | what is counted and measured |
//! | [`redact`] | secrets are removed before anything leaves |
//! | [`settings`] | what settings are made of: text with its origin, faults, secrets |
//! | [`telemetry`] | logs and traces |
//! | [`memory`] | how much memory the readings of executions may take together |
//! | [`retry`] | how long to wait before trying again |
//! | [`shutdown`] | SIGTERM and SIGINT become cancellation |
//! | [`failpoint`] | where tests may crash the process; empty in a release |
//! | `json_escape` | JSON strings that may be cut off |

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
pub mod incidents;
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
pub mod sweep;
pub mod telemetry;
pub mod worker;
