//! Tasks, activities, functions and Map runs: their attempts, each with its chain of events.

use serde_json::{Value, json};

use super::line::{Pace, Prev};
use super::plan::{End, Plan, error_details};
use super::steps::{Failure, How, Integration, Phase, Step, Then};

const REGION: &str = "eu-west-1";
const ACCOUNT: &str = "123456789012";

impl Plan {
    pub(super) fn run_task(&mut self, step: &Step, integration: &Integration) -> End {
        let round = step.in_round(self.round);
        let ends = matches!(round.then, Then::Fails | Then::FailsToo | Then::Catches);
        for (at, failure) in round.failures.iter().enumerate() {
            if failure.how == How::Runtime {
                return self.own_failure(step, failure, round.then);
            }
            let (first, before) = (self.nodes.len(), self.records[step.id].tip);
            match failure.how {
                How::Evaluation(_) => self.evaluation_failed(step, failure),
                _ => self.failed_attempt(step, integration, failure),
            }
            self.back_off(first, before, at);
            if ends && at + 1 == round.failures.len() {
                return self.after_failure(step, failure, round.then);
            }
        }
        let phase = match round.then {
            Then::Stops(phase @ (Phase::Entered | Phase::Backoff)) => return self.stop(step, phase),
            Then::Stops(phase) => phase,
            _ => Phase::Submitted,
        };
        let before = self.records[step.id].tip;
        let scheduled = self.begin(step, integration, phase);
        self.back_off(scheduled, before, round.failures.len());
        if round.then != Then::Succeeds {
            return self.stop(step, phase);
        }
        let output = json!({"by": step.name, "did": step.id}).to_string();
        let prev = Prev::Event(self.records[step.id].tip);
        let mut details = json!({"output": output, "outputDetails": {"truncated": false}});
        name_resource(&mut details, integration);
        let done = self.push(&format!("{}Succeeded", prefix(integration)), prev, details);
        self.pace(done, Pace::Work);
        self.records[step.id].tip = done;
        self.exit(step, output, Pace::Soon)
    }

    /// The time that a retry waits after the failure before it, longer every time.
    fn back_off(&mut self, first: usize, failed: usize, failures_before: usize) {
        if failures_before > 0 {
            self.pace(first, Pace::After(failed, 1000 << failures_before.min(6)));
        }
    }

    /// Schedules an attempt and carries it as far as `phase`. Returns the event that scheduled it.
    fn begin(&mut self, step: &Step, integration: &Integration, phase: Phase) -> usize {
        let input = self.records[step.id].input.clone();
        let prefix = prefix(integration);
        let mut details = match integration {
            Integration::Service { kind, resource, .. } => json!({
                "parameters": input, "region": REGION, "resource": resource, "resourceType": kind,
            }),
            Integration::Lambda => json!({
                "input": input, "inputDetails": {"truncated": false},
                "resource": format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{}", slug(&step.name)),
            }),
            Integration::Activity => json!({
                "input": input, "inputDetails": {"truncated": false},
                "resource": format!("arn:aws:states:{REGION}:{ACCOUNT}:activity:{}", slug(&step.name)),
            }),
        };
        if let Some(seconds) = step.timeout_seconds {
            details["timeoutInSeconds"] = json!(seconds);
        }
        if let Some(seconds) = step.heartbeat_seconds {
            details["heartbeatInSeconds"] = json!(seconds);
        }
        let scheduled = self.next(step, &format!("{prefix}Scheduled"), details);
        if phase >= Phase::Started {
            let mut details = match integration {
                Integration::Activity => json!({"workerName": "worker-1"}),
                Integration::Lambda => Value::Null,
                Integration::Service { .. } => json!({}),
            };
            name_resource(&mut details, integration);
            self.next(step, &format!("{prefix}Started"), details);
        }
        if phase >= Phase::Submitted
            && let Integration::Service { submits: Some(output), .. } = integration
        {
            let mut details = json!({"output": output, "outputDetails": {"truncated": false}});
            name_resource(&mut details, integration);
            self.next(step, "TaskSubmitted", details);
        }
        scheduled
    }

    fn failed_attempt(&mut self, step: &Step, integration: &Integration, failure: &Failure) {
        let (reaches, event) = match (failure.how, integration) {
            (How::Failed, _) => (Some(Phase::Submitted), "Failed"),
            (How::TimedOut, _) => (Some(Phase::Submitted), "TimedOut"),
            (How::NeverStarted, _) => (Some(Phase::Scheduled), "TimedOut"),
            (How::ScheduleFailed, Integration::Lambda | Integration::Activity) => (None, "ScheduleFailed"),
            (How::StartFailed, Integration::Lambda | Integration::Service { .. }) => {
                (Some(Phase::Scheduled), "StartFailed")
            }
            (How::SubmitFailed, Integration::Service { .. }) => (Some(Phase::Started), "SubmitFailed"),
            (how, _) => panic!("{} cannot fail in this way: {how:?}", step.name),
        };
        let scheduled = reaches.map(|phase| self.begin(step, integration, phase));
        let (error, cause) = self.said(step, failure);
        let mut details = Value::Object(error_details(error.as_deref(), cause.as_deref()));
        name_resource(&mut details, integration);
        let failed = self.next(step, &format!("{}{event}", prefix(integration)), details);
        let seconds = step.heartbeat_seconds.or(step.timeout_seconds).unwrap_or(1);
        self.pace(
            failed,
            match (event, scheduled) {
                ("TimedOut", Some(scheduled)) => Pace::After(scheduled, seconds as i64 * 1000),
                _ => Pace::Work,
            },
        );
        self.note_failure(step, scheduled, Some(failed), failure);
    }

    /// A Distributed Map: nothing of its children is in this history.
    pub(super) fn run_map_run(&mut self, step: &Step, resumes: bool) -> End {
        let round = step.in_round(self.round);
        let arn = map_run_arn(&self.state_machine, &step.name);
        if resumes {
            self.next(step, "MapRunRedriven", json!({"mapRunArn": arn, "redriveCount": self.round}));
        } else {
            if matches!(round.failures.first(), Some(failure) if matches!(failure.how, How::Evaluation(_))) {
                let failure = &round.failures[0];
                self.evaluation_failed(step, failure);
                self.next(step, "MapStateFailed", Value::Null);
                return self.after_failure(step, failure, round.then);
            }
            if round.then == Then::Stops(Phase::Entered) {
                return self.stop(step, Phase::Entered);
            }
            self.next(step, "MapStateStarted", json!({"length": 0}));
            if let Some(failure) = round.failures.first()
                && failure.how == How::Runtime
            {
                return self.own_failure(step, failure, round.then);
            }
            self.next(step, "MapRunStarted", json!({"mapRunArn": arn}));
        }
        let started = self.records[step.id].tip;
        if let Some(failure) = round.failures.first() {
            let details = error_details(failure.error.as_deref(), failure.cause.as_deref());
            let failed = self.next(step, "MapRunFailed", Value::Object(details));
            self.pace(failed, Pace::Work);
            self.note_failure(step, Some(started), Some(failed), failure);
            self.next(step, "MapStateFailed", Value::Null);
            return self.after_failure(step, failure, round.then);
        }
        if let Then::Stops(phase) = round.then {
            return self.stop(step, phase);
        }
        let run = self.push("MapRunSucceeded", Prev::Event(started), Value::Null);
        self.pace(run, Pace::Work);
        let succeeded = self.push("MapStateSucceeded", Prev::Event(run), Value::Null);
        let past = if self.quirks.map_run_exit_points_past { started } else { run };
        let end = self.exit_from(step, Prev::Event(past), "[]".to_owned(), Pace::Soon);
        let exited = self.records[step.id].tip;
        self.nodes[exited].after.push(succeeded);
        end
    }

    /// The next event in a step's chain.
    pub(super) fn next(&mut self, step: &Step, kind: &str, details: Value) -> usize {
        let prev = Prev::Event(self.records[step.id].tip);
        let event = self.push(kind, prev, details);
        self.records[step.id].tip = event;
        event
    }
}

/// The ARN that a Map run of a state has.
pub(crate) fn map_run_arn(state_machine: &str, name: &str) -> String {
    let label = slug(name);
    format!(
        "arn:aws:states:{REGION}:{ACCOUNT}:mapRun:{state_machine}/{label}:0c5f8c9e-3a53-4c6e-9a0e-{:012x}",
        name.len()
    )
}

/// The ARN of an execution of a state machine.
pub(crate) fn execution_arn(state_machine: &str, name: &str) -> String {
    format!("arn:aws:states:{REGION}:{ACCOUNT}:execution:{state_machine}:{name}")
}

fn prefix(integration: &Integration) -> &'static str {
    match integration {
        Integration::Service { .. } => "Task",
        Integration::Lambda => "LambdaFunction",
        Integration::Activity => "Activity",
    }
}

/// Events of a service integration all name the resource.
fn name_resource(details: &mut Value, integration: &Integration) {
    if let Integration::Service { kind, resource, .. } = integration {
        details["resource"] = json!(resource);
        details["resourceType"] = json!(kind);
    }
}

fn slug(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect()
}
