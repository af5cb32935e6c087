//! Whether histories may be read: asked of an execution that does not exist.

use super::Finding;
use crate::arn::ExecutionArn;
use crate::history::{ExecutionReader, PageRequest, ReadClass, ReadError};
use crate::telemetry::chain;

/// No execution is called so.
const NOBODY: &str = "misstep-check";

/// How many state machines are asked about; the others are like them.
const MOST: usize = 20;

/// Asks about each of these state machines.
pub async fn check(reader: &dyn ExecutionReader, state_machines: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for state_machine in state_machines.iter().take(MOST) {
        findings.extend(ask(reader, state_machine).await);
    }
    if state_machines.len() > MOST {
        let left = state_machines.len() - MOST;
        findings.push(Finding::ok("history", format!("{left} more state machines were not asked about")));
    }
    findings
}

async fn ask(reader: &dyn ExecutionReader, state_machine: &str) -> Vec<Finding> {
    let text = format!("{}:{NOBODY}", state_machine.replacen(":stateMachine:", ":execution:", 1));
    let Ok(execution) = ExecutionArn::parse(&text) else {
        let found = format!("{state_machine} is not the ARN of a state machine");
        return vec![Finding::fail("history", found, "check MISSTEP_STEP_FUNCTION_ARNS")];
    };
    let page = PageRequest { newest_first: true, max_results: 1, token: None };
    let read = reader.history_page(&execution, &page).await.map(drop);
    let described = reader.describe_execution(&execution).await.map(drop);
    vec![
        judge("history", "states:GetExecutionHistory", state_machine, read),
        judge("description", "states:DescribeExecution", state_machine, described),
    ]
}

fn judge(check: &str, action: &str, state_machine: &str, answer: Result<(), ReadError>) -> Finding {
    let executions = format!("{}:*", state_machine.replacen(":stateMachine:", ":execution:", 1));
    match answer {
        Ok(()) => Finding::ok(check, format!("readable of {state_machine}")),
        Err(error) if error.class() == ReadClass::Gone => Finding::ok(
            check,
            format!("readable of {state_machine}, asked of an execution that does not exist"),
        ),
        Err(error) if matches!(error.class(), ReadClass::Denied | ReadClass::Kms) => {
            Finding::fail(check, chain(&error), format!("allow {action} on {executions}"))
        }
        Err(error) => {
            Finding::fail(check, chain(&error), "check the region, the network and AWS_ENDPOINT_URL")
        }
    }
}
