//! The event that a lost one is replaced by.

use async_trait::async_trait;
use serde_json::json;

use super::search::MissingFailure;
use crate::history::ListedExecution;
use crate::queue::sqs::SqsQueue;
use crate::queue::{AttributeValue, DeadLetter, EntryResults, QueueError};

/// The attribute of the message that says where it comes from; the body has it too.
pub const SOURCE: &str = "misstep.source";

/// Its value.
pub const SWEEP: &str = "sweep";

/// Takes events.
#[async_trait]
pub trait EventQueue: Send + Sync {
    /// Sends up to ten events.
    async fn put(&self, events: &[String]) -> Result<EntryResults, QueueError>;
}

#[async_trait]
impl EventQueue for SqsQueue {
    async fn put(&self, events: &[String]) -> Result<EntryResults, QueueError> {
        let marked = |body: &String| DeadLetter {
            body: body.clone(),
            attributes: vec![(SOURCE.to_owned(), AttributeValue::string(SWEEP))],
            trace: None,
        };
        let sent = self.send(&events.iter().map(marked).collect::<Vec<_>>()).await?;
        Ok(sent.into_iter().map(|sent| sent.map(drop)).collect())
    }
}

impl MissingFailure {
    /// The body that EventBridge would have sent, as far as a listing tells, and whose it is. The error and the cause are
    /// in the history, and the input too.
    pub fn event(&self, input: Option<String>) -> String {
        let ListedExecution {
            execution,
            state_machine_arn,
            status,
            redrive_count,
            started_at,
            stopped_at,
            version_arn,
            alias_arn,
        } = &self.failure;
        let place = execution.account_region();
        json!({
            "version": "0",
            "detail-type": "Step Functions Execution Status Change",
            "source": "aws.states",
            "account": place.account,
            "region": place.region,
            "time": stopped_at,
            "resources": [execution.as_str()],
            "detail": {
                "executionArn": execution.as_str(),
                "stateMachineArn": state_machine_arn,
                "stateMachineVersionArn": version_arn,
                "stateMachineAliasArn": alias_arn,
                "name": execution.name(),
                "status": status.as_str(),
                "startDate": started_at.map(|at| at.as_millisecond()),
                "stopDate": stopped_at.as_millisecond(),
                "redriveCount": redrive_count,
                "input": input,
            },
            "misstep": { "source": SWEEP },
        })
        .to_string()
    }
}
