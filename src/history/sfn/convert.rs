//! The SDK's history event into ours.

use aws_sdk_sfn::primitives::DateTime;
use aws_sdk_sfn::types::{ExecutionListItem, HistoryEvent as SdkEvent};
use jiff::Timestamp;

use crate::aws::arn::{ExecutionArn, base_state_machine};
use crate::history::{Details, EventType, HistoryEvent, ListedExecution, Status, fingerprint};

/// Error and cause of whichever of these details the event has.
macro_rules! failure {
    ($event:ident, $details:ident, [$($field:ident)*]) => {
        $(if let Some(of) = $event.$field {
            $details.error = of.error;
            $details.cause = of.cause;
        })*
    };
}

/// Name and index of whichever of these details the event has.
macro_rules! iteration {
    ($event:ident, $details:ident, [$($field:ident)*]) => {
        $(if let Some(of) = $event.$field {
            $details.name = of.name;
            $details.index = Some(i64::from(of.index));
        })*
    };
}

pub(super) fn event(event: SdkEvent) -> HistoryEvent {
    let timestamp = time(Some(&event.timestamp));
    let event_type = EventType::parse(event.r#type.as_str());
    let (id, previous_event_id) = (event.id, event.previous_event_id);
    let mut details = details(event);
    details.keep_needed(&event_type);
    HistoryEvent { id, previous_event_id, timestamp, event_type, details }
}

pub(super) fn time(time: Option<&DateTime>) -> Option<Timestamp> {
    time.and_then(|time| Timestamp::new(time.secs(), time.subsec_nanos().cast_signed()).ok())
}

/// An execution of a listing; `None` for one that has not ended, or whose ARN cannot be read.
pub(super) fn listed(item: &ExecutionListItem) -> Option<ListedExecution> {
    let started_at = time(Some(&item.start_date));
    Some(ListedExecution {
        execution: ExecutionArn::parse(&item.execution_arn).ok()?,
        state_machine_arn: base_state_machine(&item.state_machine_arn),
        status: Status::parse(item.status.as_str()).filter(|status| *status != Status::Running)?,
        redrive_count: item.redrive_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
        started_at,
        stopped_at: time(item.stop_date.as_ref()).or(started_at)?,
        version_arn: item.state_machine_version_arn.clone(),
        alias_arn: item.state_machine_alias_arn.clone(),
    })
}

fn details(event: SdkEvent) -> Details {
    let mut details = Details::default();
    failure!(event, details, [
        activity_failed_event_details
        activity_schedule_failed_event_details
        activity_timed_out_event_details
        execution_aborted_event_details
        execution_failed_event_details
        execution_timed_out_event_details
        lambda_function_failed_event_details
        lambda_function_schedule_failed_event_details
        lambda_function_start_failed_event_details
        lambda_function_timed_out_event_details
        map_run_failed_event_details
        task_failed_event_details
        task_start_failed_event_details
        task_submit_failed_event_details
        task_timed_out_event_details
    ]);
    iteration!(event, details, [
        map_iteration_aborted_event_details
        map_iteration_failed_event_details
        map_iteration_started_event_details
        map_iteration_succeeded_event_details
    ]);
    if let Some(of) = event.evaluation_failed_event_details {
        details.error = of.error;
        details.cause = of.cause;
        details.state = Some(of.state);
        details.location = of.location;
    }
    if let Some(of) = event.execution_started_event_details {
        details.input = of.input;
    }
    if let Some(of) = event.execution_redriven_event_details {
        details.redrive_count = of.redrive_count.map(i64::from);
    }
    if let Some(of) = event.state_entered_event_details {
        details.name = Some(of.name);
        details.input = of.input;
    }
    if let Some(of) = event.state_exited_event_details {
        details.name = Some(of.name);
        details.output = of.output;
    }
    if let Some(of) = event.task_scheduled_event_details {
        details.resource = Some(of.resource);
        details.resource_type = Some(of.resource_type);
        details.call_with(&of.parameters, Some(&of.region));
        details.timeout_seconds = of.timeout_in_seconds;
        details.heartbeat_seconds = of.heartbeat_in_seconds;
    }
    if let Some(of) = event.task_submitted_event_details {
        details.output = of.output;
        details.resource = Some(of.resource);
        details.resource_type = Some(of.resource_type);
    }
    if let Some(of) = event.lambda_function_scheduled_event_details {
        details.resource = Some(of.resource);
        details.called_with = of.input.as_deref().map(fingerprint);
        details.timeout_seconds = of.timeout_in_seconds;
    }
    if let Some(of) = event.activity_scheduled_event_details {
        details.resource = Some(of.resource);
        details.called_with = of.input.as_deref().map(fingerprint);
        details.timeout_seconds = of.timeout_in_seconds;
        details.heartbeat_seconds = of.heartbeat_in_seconds;
    }
    if let Some(of) = event.map_run_started_event_details {
        details.map_run_arn = of.map_run_arn;
    }
    if let Some(of) = event.map_run_redriven_event_details {
        details.map_run_arn = of.map_run_arn;
        details.redrive_count = of.redrive_count.map(i64::from);
    }
    details
}

#[cfg(test)]
mod tests {
    use aws_sdk_sfn::types::{HistoryEventType, StateEnteredEventDetails, TaskFailedEventDetails};

    use super::*;
    use crate::history::StateType;

    fn sdk(kind: HistoryEventType) -> aws_sdk_sfn::types::builders::HistoryEventBuilder {
        SdkEvent::builder()
            .id(7)
            .previous_event_id(6)
            .timestamp(aws_sdk_sfn::primitives::DateTime::from_millis(1_772_366_400_137))
            .r#type(kind)
    }

    #[test]
    fn an_entered_state_keeps_its_name_and_input() {
        let entered = StateEnteredEventDetails::builder().name("Charge").input("{}").build().unwrap();
        let ours = event(
            sdk(HistoryEventType::TaskStateEntered).state_entered_event_details(entered).build().unwrap(),
        );
        assert_eq!(ours.event_type, EventType::StateEntered(StateType::Task));
        assert_eq!(ours.details.name.as_deref(), Some("Charge"));
        assert_eq!(ours.details.input.as_deref(), Some("{}"));
        assert_eq!(ours.timestamp.unwrap().to_string(), "2026-03-01T12:00:00.137Z");
    }

    #[test]
    fn a_failure_keeps_its_error_and_cause() {
        let failed = TaskFailedEventDetails::builder()
            .resource_type("lambda")
            .resource("invoke")
            .error("Boom")
            .cause("why")
            .build()
            .unwrap();
        let ours =
            event(sdk(HistoryEventType::TaskFailed).task_failed_event_details(failed).build().unwrap());
        assert_eq!(ours.details.error.as_deref(), Some("Boom"));
        assert_eq!(ours.details.cause.as_deref(), Some("why"));
    }
}
