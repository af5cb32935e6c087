//! The harness of the suites.
//!
//! | helper | what it is |
//! |---|---|
//! | [`configured`] | routes read from the text of a configuration file |
//! | [`errand`] | the real binary with routes of a configuration file, on stubs of AWS |
//! | [`gate`] | a gate before a server, open or shut |
//! | [`incident_store`] | a store of incidents in memory, with mistakes that can be built in |
//! | [`loopback`] | an HTTP server on 127.0.0.1 that can break its connections |
//! | [`model`] | the model of the queue and what is around it, and the checker |
//! | [`planted`] | reports with something planted in every string |
//! | [`receiver`] | a notification API that keeps what it gets and answers as told |
//! | [`stub`] | Step Functions and SQS as far as LocalStack cannot play them |
//! | [`synth`] | a generator of histories with the truth about them, and its own tests |
//! | [`worker_process`] | the real binary as a process: started, read, waited for, stopped |

pub(crate) mod configured;
pub(crate) mod errand;
pub(crate) mod gate;
pub(crate) mod incident_store;
pub(crate) mod loopback;
pub(crate) mod model;
pub(crate) mod planted;
pub(crate) mod receiver;
pub(crate) mod stub;
pub(crate) mod synth;
pub(crate) mod worker_process;

use serde_json::json;

/// The ARN of the execution of this number.
pub(crate) fn execution(number: usize) -> String {
    format!("arn:aws:states:eu-west-1:123456789012:execution:orders:run-{number}")
}

/// The event of its failure.
pub(crate) fn failure(number: usize) -> String {
    json!({
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "detail": {
            "executionArn": execution(number),
            "stateMachineArn": "arn:aws:states:eu-west-1:123456789012:stateMachine:orders",
            "status": "FAILED",
        },
    })
    .to_string()
}

/// Runs a test on paused time; everything in it depends on its seed alone.
pub(crate) fn on_paused_time<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test)
}
