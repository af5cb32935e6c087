//! Integration tests, one binary.
//!
//! | suite | what it holds |
//! |---|---|
//! | [`admin`] | health, metrics and log lines of the real binary |
//! | [`astray`] | a route that fails: what the others get, what becomes of the message, what is logged |
//! | [`browser`] | the page in a real browser; ignored unless asked for |
//! | [`cases`] | causes that people met, each against what they should read of it |
//! | [`channel`] | the notification API over real sockets |
//! | [`check`] | what works and what does not, told before anything is processed |
//! | [`cli`] | exit codes, faults of the settings, clear errors at the start |
//! | [`clients`] | the AWS clients as they are set up |
//! | [`configuration`] | the documented settings are those of the code |
//! | [`crash`] | the real binary killed, stopped, panicking and hanging at every step |
//! | [`dead_lettering`] | the dead-letter queue's limit, and the trace through it and back |
//! | [`descent`] | causes followed down into child executions and Map runs, on a stub |
//! | [`pipeline`] | each row of what happens to a message, by its name |
//! | [`documented`] | the examples and tables of docs/notifications.md |
//! | [`documents`] | parts of documents that are made from the code |
//! | [`fingerprint`] | one fingerprint a bug, and no other tomorrow |
//! | [`generated`] | generated histories, each against the truth that its generator knows |
//! | [`guarantee`] | nothing is lost: the worker against a model of everything around it |
//! | [`hostile`] | histories that are broken, cut off, or not histories at all |
//! | [`html`] | the report as a page |
//! | [`leaks`] | no planted secret leaves by any channel, in any form |
//! | [`localstack`] | the real binary against a real LocalStack |
//! | [`logs`] | the last lines of a log: which are read, and who gets them (with the feature `logs`) |
//! | [`markdown`] | the report in Markdown |
//! | [`newest`] | reading from the newest event back finds what a whole reading finds |
//! | [`otel`] | the traces that are exported (with the feature `otel`) |
//! | [`outlets`] | `stdout`, `file`, a proxy and `notify --test`, with the real binary |
//! | [`queue_contract`] | what the model of the queue, a stub and LocalStack have in common |
//! | [`recorded`] | histories recorded on AWS, each against its expectation |
//! | [`redaction`] | no planted secret survives, in any form |
//! | [`regions`] | an account, region or execution in trouble, and what it costs the others |
//! | [`report`] | what a report says and what it leaves out |
//! | [`resources`] | where a failing step ran, service by service |
//! | [`routing`] | which routes a failure takes, and what becomes of it when one of them fails |
//! | [`samples`] | the sample configurations are what the binary takes |
//! | [`slack`] | the channel `slack` against a strict reading of Block Kit |
//! | [`soak`] | memory, file descriptors and CPU of the real binary, over many messages and over none |
//! | [`speed`] | how long the analysis takes, against the typed parse of the same bytes |
//! | [`structure`] | what imports what in the sources, and that a name means one thing |
//! | [`supply_chain`] | which crates may be in the tree |
//! | [`text`] | the report in text |
//! | [`throttled_reader`] | the quotas of Step Functions, and calls that are made again |
//! | [`webhook`] | the channel `http`: every header and byte |
//! | [`workbench`] | `misstep dlq`: looking, replaying, dropping |

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]
#![expect(clippy::print_stdout, reason = "figures are printed for whoever reads a run")]
#![expect(unreachable_pub, reason = "nothing of a test is reached from outside")]

mod admin;
mod astray;
mod browser;
mod cases;
mod channel;
mod check;
mod cli;
mod clients;
mod configuration;
mod crash;
mod dead_lettering;
mod descent;
mod documented;
mod documents;
mod fingerprint;
mod generated;
mod guarantee;
mod hostile;
mod html;
mod leaks;
mod localstack;
#[cfg(feature = "logs")]
mod logs;
mod markdown;
mod newest;
#[cfg(feature = "otel")]
mod otel;
mod outlets;
mod pipeline;
mod queue_contract;
mod recorded;
mod redaction;
mod regions;
mod report;
mod resources;
mod routing;
mod samples;
mod slack;
#[cfg(target_os = "linux")]
mod soak;
mod speed;
mod structure;
mod supply_chain;
mod support;
mod text;
mod throttled_reader;
mod webhook;
mod workbench;
