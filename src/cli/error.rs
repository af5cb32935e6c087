//! Why a command failed, and the exit code that goes with it.

use std::error::Error;
use std::io;
use std::time::Duration;

use super::{Exit, count};
use crate::aws::arn::UrlError;
use crate::dlq::dropped::DroppedFileError;
use crate::dlq::filter::FilterError;
use crate::dlq::journal::JournalError;
use crate::dlq::replay::CutShort;
use crate::history::file::FileError;
use crate::incidents::store::StoreError;
use crate::investigation::InvestigationError;
use crate::notify::channels::ConnectError;
use crate::queue::QueueError;
use crate::settings::Fault;
use crate::sweep::search::SweepError;
use crate::telemetry::chain;

/// Why a command failed. What is shown is the message with its sources: [`chain`].
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The settings make no sense.
    #[error("{} in the settings:{}", count(.0.len(), "fault"), listed(.0))]
    Settings(Vec<Fault>),
    /// The arguments make no sense together.
    #[error("{0}")]
    Usage(&'static str),
    /// A filter cannot be read.
    #[error("--{flag}: {error}")]
    Filter { flag: &'static str, error: FilterError },
    #[error("the async runtime could not be started")]
    Runtime(#[source] io::Error),
    #[error("no signal handler could be installed")]
    Signals(#[source] io::Error),
    #[error("standard output cannot be written")]
    Stdout(#[source] io::Error),
    /// A question on the terminal got no answer.
    #[error("no answer could be read")]
    Answer(#[source] io::Error),
    #[error("{path} cannot be written")]
    Output { path: String, source: io::Error },
    #[error("no AWS region: set AWS_REGION, or a region in the AWS profile")]
    NoRegion,
    #[error("no AWS credentials: nothing in the SDK's chain provides any")]
    NoCredentials,
    #[error(
        "no AWS credentials: {}; set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run with a role",
        chain(.0.as_ref())
    )]
    Credentials(Box<dyn Error + Send + Sync>),
    #[error("AWS credentials could not be had in time; check the network")]
    CredentialsTimeout,
    #[error("AWS did not answer in time; check the network and AWS_ENDPOINT_URL")]
    AwsTimeout,
    #[error(
        "AWS did not answer within {} s: no region, credentials or queue could be found; check the network and AWS_ENDPOINT_URL",
        .0.as_secs()
    )]
    StartTimeout(Duration),
    #[error(
        "the queue cannot be read: {}; check MISSTEP_QUEUE_URL, the region and sqs:GetQueueAttributes",
        chain(.0)
    )]
    Queue(QueueError),
    #[error("the queue cannot be polled: {}; check MISSTEP_QUEUE_URL and sqs:ReceiveMessage", chain(.0))]
    Poll(QueueError),
    #[error(
        "the dead-letter queue cannot be read: {}; what had been received was released. Check the URL and sqs:ReceiveMessage",
        chain(.0)
    )]
    DeadLetterQueue(QueueError),
    #[error(
        "{}; check sqs:StartMessageMoveTask, and that the queue is the dead-letter queue of an SQS queue (EventBridge's is not: replay it without --native)",
        chain(.0)
    )]
    Move(QueueError),
    #[error("{}; the move goes on without us: `aws sqs list-message-move-tasks` shows it", chain(.0))]
    MoveUnknown(QueueError),
    #[error("the replay ended early: {}. What was not sent is where it was; run it again to go on", chain(.0))]
    CutShort(CutShort),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    DroppedFile(#[from] DroppedFileError),
    #[error("the route {name}")]
    Route { name: String, source: ConnectError },
    #[error(transparent)]
    IncidentStore(#[from] StoreError),
    #[error("the sweep ended early: {}. Run it again: what was put into the queue is noted", chain(.0))]
    Sweep(SweepError),
    #[error(transparent)]
    Investigation(Box<InvestigationError>),
    #[error(transparent)]
    Url(#[from] UrlError),
    /// A file that is to be explained holds something else.
    #[error("{name}")]
    File { name: String, source: FileError },
    #[error("{url} does not answer: {}; does the worker run?", chain(.error))]
    Unanswered { url: String, error: reqwest::Error },
    /// Anything that only one command meets.
    #[error("{0}")]
    Failed(String),
}

impl CliError {
    pub(super) fn failed(why: impl Into<String>) -> Self {
        Self::Failed(why.into())
    }

    /// How the command ends with it.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Settings(_) => Exit::Configuration,
            Self::Usage(_) | Self::Filter { .. } => Exit::Usage,
            _ => Exit::Failed,
        }
    }
}

fn listed(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("\n  {fault}")).collect()
}
