//! The model of Step Functions: every execution failed in the same short way.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use misstep::aws::arn::{ExecutionArn, MapRunArn};
use misstep::aws::error::ErrorClass;
use misstep::history::{
    Call, Details, EventType, ExecutionDescription, ExecutionReader, HistoryEvent, HistoryPage,
    MapRunDescription, PageRequest, ReadError, Status,
};

use super::{Chance, Faults};

/// Reads made-up histories.
#[derive(Clone)]
pub struct ModelReader {
    faults: Faults,
    chance: Chance,
    broken: Arc<Mutex<Option<ErrorClass>>>,
    reads_before_end: Arc<Mutex<u32>>,
    calls: Arc<AtomicU32>,
    last_success: Arc<Mutex<Option<Option<Timestamp>>>>,
}

impl ModelReader {
    /// A reader of executions that all failed in the state `Charge`.
    pub fn new(faults: Faults, chance: Chance) -> Self {
        Self {
            faults,
            chance,
            broken: Arc::default(),
            reads_before_end: Arc::default(),
            calls: Arc::default(),
            last_success: Arc::default(),
        }
    }

    /// Fails every call in this way from now on, or none.
    pub fn set_broken(&self, class: Option<ErrorClass>) {
        *self.broken.lock().unwrap() = class;
    }

    /// The next so many readings of a history do not find its last event yet.
    pub fn set_unended(&self, reads: u32) {
        *self.reads_before_end.lock().unwrap() = reads;
    }

    /// When an execution of any state machine succeeded last, if one has; `None` if nobody may know.
    pub fn set_last_success(&self, at: Option<Option<Timestamp>>) {
        *self.last_success.lock().unwrap() = at;
    }

    /// How many calls came.
    pub fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }

    fn has_ended(&self) -> bool {
        let mut left = self.reads_before_end.lock().unwrap();
        let ended = *left == 0;
        *left = left.saturating_sub(1);
        ended
    }

    fn refuse(&self, operation: &'static str, target: &str) -> Result<(), ReadError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let throttled = self.chance.of(self.faults.throttled).then_some(ErrorClass::Throttled);
        match self.broken.lock().unwrap().or(throttled) {
            None => Ok(()),
            Some(class) => Err(ReadError::new(
                class,
                Call { operation, target: target.to_owned() },
                "as the model wants it",
            )),
        }
    }
}

/// The input of an execution: the order that it was for, by its number.
fn input(execution: &ExecutionArn) -> String {
    let number = execution.name().rsplit('-').next().unwrap_or_default();
    format!(r#"{{"order_id": "O-{number}", "sku": "x"}}"#)
}

#[async_trait]
impl ExecutionReader for ModelReader {
    async fn history_page(
        &self,
        execution: &ExecutionArn,
        page: &PageRequest,
    ) -> Result<HistoryPage, ReadError> {
        self.refuse("GetExecutionHistory", execution.as_str())?;
        let details = |name: Option<&str>, error: Option<&str>| Details {
            name: name.map(str::to_owned),
            input: Some(input(execution)),
            error: error.map(str::to_owned),
            ..Details::default()
        };
        let mut events: Vec<_> = [
            (1, "ExecutionStarted", details(None, None)),
            (2, "FailStateEntered", details(Some("Charge"), None)),
            (3, "ExecutionFailed", details(None, Some("Declined"))),
        ]
        .map(|(id, event_type, details)| HistoryEvent {
            id,
            previous_event_id: if id == 3 { 2 } else { 0 },
            timestamp: None,
            event_type: EventType::parse(event_type),
            details,
        })
        .into();
        if !self.has_ended() {
            events.pop();
        }
        if page.newest_first {
            events.reverse();
        }
        Ok(HistoryPage { events, ..HistoryPage::default() })
    }

    async fn describe_execution(&self, execution: &ExecutionArn) -> Result<ExecutionDescription, ReadError> {
        self.refuse("DescribeExecution", execution.as_str())?;
        Ok(ExecutionDescription {
            status: Some(Status::Failed),
            input: Some(input(execution)),
            ..ExecutionDescription::default()
        })
    }

    async fn describe_map_run(&self, _: &MapRunArn) -> Result<MapRunDescription, ReadError> {
        unreachable!("no execution of the model has a Map run")
    }

    async fn children(&self, _: &MapRunArn, _: Status, _: u32) -> Result<Vec<ExecutionArn>, ReadError> {
        unreachable!("no execution of the model has a Map run")
    }

    async fn last_success(&self, state_machine: &str) -> Result<Option<Timestamp>, ReadError> {
        let call = Call { operation: "ListExecutions", target: state_machine.to_owned() };
        let known = *self.last_success.lock().unwrap();
        known.ok_or_else(|| ReadError::new(ErrorClass::Denied, call, "as the model wants it"))
    }
}
