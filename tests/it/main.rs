//! Integration tests, one binary.
//!
//! | suite | what it holds |
//! |---|---|
//! | [`admin`] | health, metrics and log lines of the real binary |
//! | [`at_least_once`] | nothing is lost: the worker against a model of everything around it |
//! | [`browser`] | the page in a real browser; ignored unless asked for |
//! | [`cases`] | causes that people met, each against what they should read of it |
//! | [`channel`] | the notification API over real sockets |
//! | [`check`] | what works and what does not, reported before anything is processed |
//! | [`cli`] | exit codes, faults of the settings, clear errors at the start |
//! | [`clients`] | the AWS clients as they are set up |
//! | [`crash`] | the real binary killed, stopped, panicking and hanging at every step |
//! | [`dead_lettering`] | the dead-letter queue's limit, and the trace through it and back |
//! | [`dlq`] | `misstep dlq`: looking, replaying, dropping |
//! | [`docs`] | what the documents say is so: examples, tables, samples, links, names of tests |
//! | [`fingerprint`] | one fingerprint a bug, and no other tomorrow |
//! | [`generated`] | generated histories, each against the truth that its generator knows |
//! | [`html`] | the report as a page |
//! | [`incidents`] | incidents: nothing lost whatever crashes, every store alike, what people get |
//! | [`leaks`] | no planted secret leaves by any channel, in any form |
//! | [`localstack`] | the real binary against a real LocalStack |
//! | [`logs`] | the last lines of a log: which are read, and who gets them (with the feature `logs`) |
//! | [`malformed_histories`] | histories that are broken, cut off, or not histories at all |
//! | [`markdown`] | the report in Markdown |
//! | [`nested`] | causes followed down into child executions and Map runs, on a stub |
//! | [`otel`] | the traces that are exported (with the feature `otel`) |
//! | [`partial_reads`] | reading from the newest event back finds what a whole reading finds |
//! | [`pipeline`] | each row of what happens to a message, by its name |
//! | [`queue_contract`] | what the model of the queue, a stub and LocalStack have in common |
//! | [`recorded`] | histories recorded on AWS, each against its expectation |
//! | [`redaction`] | no planted secret survives, in any form |
//! | [`regions`] | an account, region or execution in trouble, and what it costs the others |
//! | [`report`] | what a report says and what it leaves out |
//! | [`resources`] | where a failing step ran, service by service |
//! | [`route_failures`] | a route that fails: what the others get, what becomes of the message, what is logged |
//! | [`routing`] | which routes a failure takes, and what becomes of it when one of them fails |
//! | [`slack`] | the channel `slack` against a strict reading of Block Kit |
//! | [`soak`] | memory, file descriptors and CPU of the real binary, over many messages and over none |
//! | [`speed`] | how long the analysis takes, against the typed parse of the same bytes |
//! | [`stdout_file_proxy`] | `stdout`, `file`, a proxy and `notify --test`, with the real binary |
//! | [`structure`] | what imports what in the sources, and that a name means one thing |
//! | [`supply_chain`] | which crates may be in the tree |
//! | [`text`] | the report in text |
//! | [`throttled_reader`] | the quotas of Step Functions, and calls that are made again |
//! | [`webhook`] | the channel `http`: every header and byte |

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]
#![expect(clippy::print_stdout, reason = "figures are printed for whoever reads a run")]
#![expect(unreachable_pub, reason = "nothing of a test is reached from outside")]

mod admin;
mod at_least_once;
mod browser;
mod cases;
mod channel;
mod check;
mod cli;
mod clients;
mod crash;
mod dead_lettering;
mod dlq;
mod docs;
mod fingerprint;
mod generated;
mod html;
mod incidents;
mod leaks;
mod localstack;
#[cfg(feature = "logs")]
mod logs;
mod malformed_histories;
mod markdown;
mod nested;
#[cfg(feature = "otel")]
mod otel;
mod partial_reads;
mod pipeline;
mod queue_contract;
mod recorded;
mod redaction;
mod regions;
mod report;
mod resources;
mod route_failures;
mod routing;
mod slack;
#[cfg(target_os = "linux")]
mod soak;
mod speed;
mod stdout_file_proxy;
mod structure;
mod supply_chain;
mod support;
mod sweep;
mod text;
mod throttled_reader;
mod webhook;
