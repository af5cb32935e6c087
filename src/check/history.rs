//! Whether histories may be read: asked of an execution that does not exist.

use super::{CheckResult, unanswered};
use crate::aws::arn::{ExecutionArn, MapRunArn};
use crate::aws::error::ErrorClass;
use crate::history::{ExecutionReader, PageRequest, ReadError, Status};
use crate::telemetry::chain;

/// No execution is called so.
const NOBODY: &str = "misstep-check";

/// How many state machines are asked about; the others are like them.
const MOST: usize = 20;

/// Asks about each of these state machines. Those that are not `named` in the settings stand for all.
pub async fn check(reader: &dyn ExecutionReader, state_machines: &[String], named: bool) -> Vec<CheckResult> {
    let mut findings = Vec::new();
    for state_machine in state_machines.iter().take(MOST) {
        findings.extend(ask(reader, state_machine, named).await);
    }
    if state_machines.len() > MOST {
        let left = state_machines.len() - MOST;
        findings.push(CheckResult::ok("history", format!("{left} more state machines were not asked about")));
    }
    findings
}

async fn ask(reader: &dyn ExecutionReader, state_machine: &str, named: bool) -> Vec<CheckResult> {
    let text = format!("{}:{NOBODY}", state_machine.replacen(":stateMachine:", ":execution:", 1));
    let Ok(execution) = ExecutionArn::parse(&text) else {
        let found = format!("{state_machine} is not the ARN of a state machine");
        return vec![CheckResult::fail("history", found, "check MISSTEP_STEP_FUNCTION_ARNS")];
    };
    let page = PageRequest { newest_first: true, max_results: 1, token: None, max_bytes: 1_024 * 1_024 };
    let read = reader.history_page(&execution, &page).await.map(drop);
    let described = reader.describe_execution(&execution).await.map(drop);
    let judge = |check, action, answer| judge(check, action, state_machine, named, answer);
    let mut findings = vec![
        judge("history", "states:GetExecutionHistory", read),
        judge("description", "states:DescribeExecution", described),
    ];
    findings.extend(ask_of_map_runs(reader, state_machine).await);
    findings
}

/// Whether a Map run may be described, its children listed, and those of them described that are Express
/// executions. Without that, reports lack why the children failed.
async fn ask_of_map_runs(reader: &dyn ExecutionReader, state_machine: &str) -> Option<CheckResult> {
    let map_runs = state_machine.replacen(":stateMachine:", ":mapRun:", 1);
    let map_run = MapRunArn::parse(&format!("{map_runs}/{NOBODY}:{NOBODY}")).ok()?;
    let express = state_machine.replacen(":stateMachine:", ":express:", 1);
    let child = ExecutionArn::parse(&format!("{express}/{NOBODY}:{NOBODY}:{NOBODY}")).ok()?;
    let answers = [
        ("states:DescribeMapRun", &map_runs, reader.describe_map_run(&map_run).await.map(drop)),
        ("states:ListExecutions", &map_runs, reader.children(&map_run, Status::Failed, 1).await.map(drop)),
        ("states:DescribeExecution", &express, reader.describe_execution(&child).await.map(drop)),
    ];
    let is_denied = |answer: &Result<(), ReadError>| {
        answer.as_ref().is_err_and(|error| error.class() == ErrorClass::Denied)
    };
    let missing: Vec<String> = answers
        .iter()
        .filter(|(_, _, answer)| is_denied(answer))
        .map(|(action, resource, _)| format!("{action} on {resource}/*"))
        .collect();
    let found = |verb: &str| format!("the Map runs of {state_machine} {verb} be looked into");
    Some(if missing.is_empty() {
        CheckResult::ok("map runs", found("may"))
    } else {
        CheckResult::warn(
            "map runs",
            format!("{}: reports on Distributed Maps lack why their children failed", found("may not")),
            format!("allow {}", missing.join(", ")),
        )
    })
}

fn judge(
    check: &str,
    action: &str,
    state_machine: &str,
    named: bool,
    answer: Result<(), ReadError>,
) -> CheckResult {
    let executions = format!("{}:*", state_machine.replacen(":stateMachine:", ":execution:", 1));
    match answer {
        Ok(()) => CheckResult::ok(check, format!("readable of {state_machine}")),
        Err(error) if error.class() == ErrorClass::Gone => CheckResult::ok(
            check,
            format!("readable of {state_machine}, asked of an execution that does not exist"),
        ),
        Err(error) if matches!(error.class(), ErrorClass::Denied | ErrorClass::Kms) => {
            let others = if named {
                ""
            } else {
                "; where it is allowed on some state machines only, name them in MISSTEP_STEP_FUNCTION_ARNS"
            };
            CheckResult::fail(check, chain(&error), format!("allow {action} on {executions}{others}"))
        }
        Err(error) if error.class() == ErrorClass::Throttled => CheckResult::warn(
            check,
            chain(&error),
            "try again; docs/scaling.md has the quotas of Step Functions",
        ),
        Err(error) => CheckResult::fail(check, chain(&error), unanswered(error.class())),
    }
}
