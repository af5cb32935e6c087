//! Reads from Step Functions. Only this file and what is below it name that client.
//!
//! A call is made once: retries and limits on the rate of calls wrap this reader from outside.

mod body_limit;
mod convert;

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sfn::Client;
use aws_sdk_sfn::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sfn::operation::describe_map_run::DescribeMapRunOutput;
use aws_sdk_sfn::types::{ExecutionStatus, StateMachineType};
use jiff::Timestamp;
use tracing::debug;

use super::{
    Call, ChildCounts, ExecutionDescription, ExecutionReader, HistoryPage, ListPage, ListedExecution,
    MapRunDescription, PageRequest, ReadError, Status,
};
use crate::aws::arn::{AccountRegion, ExecutionArn, MapRunArn, Workflow};
use crate::aws::error::ErrorClass;
use crate::aws::{CallCounter, RegionalClients, Session};
use crate::history::file;
use crate::metrics::Service;
use body_limit::{BodyLimit, too_large};
use convert::time;

/// The largest answer that describes an execution or a Map run: input and output have 256 KiB each at
/// most, and may be escaped.
const DESCRIPTION_BYTES: u64 = 4 * 1_024 * 1_024;

/// The most that a page of a listing may hold (Step Functions API, ListExecutions).
const LISTED: i32 = 1_000;

/// The largest page of a listing: 1,000 items of a few ARNs each.
const LIST_BYTES: u64 = 4 * 1_024 * 1_024;

/// A page of a history may hold megabytes.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Reads executions of any region with the credentials of one configuration.
#[derive(Debug)]
pub struct SfnReader {
    clients: RegionalClients<Client>,
    calls: CallCounter,
}

impl SfnReader {
    /// A reader with the credentials and the endpoint of `aws`. Its region is not used: an
    /// execution can only be read in its own.
    pub fn new(aws: &Session) -> Self {
        Self { clients: aws.regional(CALL_TIMEOUT, Client::new), calls: aws.counter(Service::Sfn) }
    }

    /// Makes a call, and counts it.
    async fn call<T, E>(
        &self,
        call: Call,
        asked: impl Future<Output = Result<T, SdkError<E>>>,
    ) -> Result<T, Failed>
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let operation = call.operation;
        let answer = asked.await.map_err(|error| failed(call, error));
        self.calls.count(operation, answer.as_ref().err().map(|failed| failed.error.class()));
        answer
    }
}

#[async_trait]
impl ExecutionReader for SfnReader {
    async fn history_page(
        &self,
        execution: &ExecutionArn,
        page: &PageRequest,
    ) -> Result<HistoryPage, ReadError> {
        let call = || Call { operation: "GetExecutionHistory", target: execution.to_string() };
        if execution.workflow() == Workflow::Express {
            return Err(ReadError::new(
                ErrorClass::Unsupported,
                call(),
                "an Express execution keeps no history that the API could read; look into its log group",
            ));
        }
        let limit = BodyLimit::new(page.max_bytes);
        let asked = self
            .clients
            .of(execution.region())
            .get_execution_history()
            .execution_arn(execution.as_str())
            .reverse_order(page.newest_first)
            .max_results(i32::try_from(page.max_results).unwrap_or(i32::MAX))
            .set_next_token(page.token.clone())
            .customize()
            .interceptor(limit.clone());
        let answer = match self.call(call(), asked.send()).await {
            Ok(answer) => answer,
            Err(Failed { error, body }) => return body.and_then(leniently).ok_or(error),
        };
        Ok(HistoryPage {
            events: answer.events.into_iter().map(convert::event).collect(),
            next_token: answer.next_token,
            bytes: limit.read(),
        })
    }

    async fn describe_execution(&self, execution: &ExecutionArn) -> Result<ExecutionDescription, ReadError> {
        let call = || Call { operation: "DescribeExecution", target: execution.to_string() };
        let asked = self
            .clients
            .of(execution.region())
            .describe_execution()
            .execution_arn(execution.as_str())
            .customize()
            .interceptor(BodyLimit::new(DESCRIPTION_BYTES));
        let answer = self.call(call(), asked.send()).await?;
        Ok(ExecutionDescription {
            status: Status::parse(answer.status.as_str()),
            input: answer.input,
            error: answer.error,
            cause: answer.cause,
            redrive_count: answer.redrive_count.and_then(|count| u32::try_from(count).ok()),
        })
    }

    async fn describe_map_run(&self, map_run: &MapRunArn) -> Result<MapRunDescription, ReadError> {
        let call = || Call { operation: "DescribeMapRun", target: map_run.to_string() };
        let asked = self
            .clients
            .of(map_run.region())
            .describe_map_run()
            .map_run_arn(map_run.as_str())
            .customize()
            .interceptor(BodyLimit::new(DESCRIPTION_BYTES));
        let answer = self.call(call(), asked.send()).await?;
        Ok(describe_map_run(&answer))
    }

    async fn children(
        &self,
        map_run: &MapRunArn,
        status: Status,
        limit: u32,
    ) -> Result<Vec<ExecutionArn>, ReadError> {
        let call = || Call { operation: "ListExecutions", target: map_run.to_string() };
        let asked = self
            .clients
            .of(map_run.region())
            .list_executions()
            .map_run_arn(map_run.as_str())
            .status_filter(ExecutionStatus::from(status.as_str()))
            .max_results(i32::try_from(limit).unwrap_or(i32::MAX))
            .customize()
            .interceptor(BodyLimit::new(DESCRIPTION_BYTES));
        let answer = self.call(call(), asked.send()).await?;
        answer
            .executions
            .iter()
            .map(|child| {
                ExecutionArn::parse(&child.execution_arn)
                    .map_err(|error| ReadError::new(ErrorClass::Unreachable, call(), error))
            })
            .collect()
    }

    async fn last_success(&self, state_machine_arn: &str) -> Result<Option<Timestamp>, ReadError> {
        let call = Call { operation: "ListExecutions", target: state_machine_arn.to_owned() };
        let region = AccountRegion::of(state_machine_arn).region;
        // Ended executions come with the newest first.
        let asked = self
            .clients
            .of(&region)
            .list_executions()
            .state_machine_arn(state_machine_arn)
            .status_filter(ExecutionStatus::Succeeded)
            .max_results(1)
            .customize()
            .interceptor(BodyLimit::new(DESCRIPTION_BYTES));
        let answer = self.call(call, asked.send()).await?;
        Ok(answer.executions.first().and_then(|newest| time(newest.stop_date.as_ref())))
    }

    async fn state_machines(
        &self,
        place: &AccountRegion,
        token: Option<&str>,
    ) -> Result<ListPage<String>, ReadError> {
        let call = Call { operation: "ListStateMachines", target: place.to_string() };
        let asked = self
            .clients
            .of(&place.region)
            .list_state_machines()
            .max_results(LISTED)
            .set_next_token(token.map(str::to_owned))
            .customize()
            .interceptor(BodyLimit::new(LIST_BYTES));
        let answer = self.call(call, asked.send()).await?;
        // An Express one has no executions that could be listed.
        let standard =
            answer.state_machines.into_iter().filter(|machine| machine.r#type == StateMachineType::Standard);
        Ok(ListPage {
            items: standard.map(|machine| machine.state_machine_arn).collect(),
            next_token: answer.next_token,
        })
    }

    async fn executions(
        &self,
        state_machine_arn: &str,
        status: Status,
        token: Option<&str>,
    ) -> Result<ListPage<ListedExecution>, ReadError> {
        let call = Call { operation: "ListExecutions", target: state_machine_arn.to_owned() };
        let asked = self
            .clients
            .of(&AccountRegion::of(state_machine_arn).region)
            .list_executions()
            .state_machine_arn(state_machine_arn)
            .status_filter(ExecutionStatus::from(status.as_str()))
            .max_results(LISTED)
            .set_next_token(token.map(str::to_owned))
            .customize()
            .interceptor(BodyLimit::new(LIST_BYTES));
        let answer = self.call(call, asked.send()).await?;
        Ok(ListPage {
            items: answer.executions.iter().filter_map(convert::listed).collect(),
            next_token: answer.next_token,
        })
    }
}

fn describe_map_run(answer: &DescribeMapRunOutput) -> MapRunDescription {
    let children = answer.execution_counts.as_ref().map_or_else(ChildCounts::default, |counts| ChildCounts {
        pending: counts.pending,
        running: counts.running,
        succeeded: counts.succeeded,
        failed: counts.failed,
        timed_out: counts.timed_out,
        aborted: counts.aborted,
        total: counts.total,
    });
    MapRunDescription {
        status: answer.status.as_str().to_owned(),
        children,
        tolerated_failure_count: answer.tolerated_failure_count,
        tolerated_failure_percentage: answer.tolerated_failure_percentage,
    }
}

/// A call that failed.
struct Failed {
    error: ReadError,
    /// The answer, where there is one that the client cannot parse.
    body: Option<Vec<u8>>,
}

impl From<Failed> for ReadError {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}

/// The page in an answer that the client cannot parse: half a surrogate pair, bytes that are not
/// UTF-8, a time that is not a time.
fn leniently(body: Vec<u8>) -> Option<HistoryPage> {
    let page =
        file::page_of_answer(&body).inspect_err(|error| debug!(%error, "the lenient reading failed too"));
    page.ok().inspect(|page| debug!(events = page.events.len(), "read an answer leniently"))
}

fn failed<E>(call: Call, error: SdkError<E>) -> Failed
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    if let Some(bytes) = too_large(&error) {
        let error = ReadError::new(ErrorClass::TooLarge, call, error).with_bytes(bytes);
        return Failed { error, body: None };
    }
    // A body that the client cannot parse comes as an error of the service without a code.
    let answer = error.raw_response().filter(|answer| answer.status().is_success());
    if let Some(body) = answer.and_then(|answer| answer.body().bytes()).filter(|body| is_json_object(body)) {
        let body = Some(body.to_vec());
        return Failed { error: ReadError::new(ErrorClass::Unparsable, call, error), body };
    }
    let class = ErrorClass::of(&error);
    Failed { error: ReadError::new(class, call, error), body: None }
}

/// Whether this looks like a whole JSON object: AWS answers with one, and a proxy does not.
fn is_json_object(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    body.starts_with(b"{") && body.ends_with(b"}")
}
