//! From a failed state down into what it ran: nested executions and the children of a Map run.

use std::collections::HashSet;

use super::calls::{BUDGET, Calls};
use super::newest::{self, EndSelector, Read};
use super::{DeepestFailure, Unread};
use crate::analysis::answer::{Hop, HopKind, InFlight, RootCause};
use crate::analysis::resources::{Resource, ResourceRole};
use crate::analysis::{Analysis, Lead, analyse_to, named_state};
use crate::aws::arn::{ExecutionArn, MapRunArn, Workflow};
use crate::aws::error::ErrorClass;
use crate::history::{ReadError, Status};

/// How many executions deep a cause is followed.
const DEEPEST: usize = 5;

/// How many failed children of a Map run are read.
const CHILDREN: u32 = 3;

/// The end of the way down.
pub(super) struct Deepest {
    pub(super) root_cause: Option<RootCause>,
    /// What the state called where the way ends, if that is in another execution.
    pub(super) resource: Option<Resource>,
    pub(super) unread: Vec<Unread>,
    pub(super) notes: Vec<String>,
    /// The failure where the way ends, if that is in another execution whose history was read.
    pub(super) failure: Option<Box<DeepestFailure>>,
}

/// What is known of a child: its root cause, and where that leads further.
struct Child {
    root_cause: RootCause,
    /// What its root cause's state called.
    resource: Option<Resource>,
    lead: Option<Lead>,
    /// Whether it ended by itself, and was not stopped because what waited for it had ended.
    ended_itself: bool,
    /// What was in flight in it, in words.
    in_flight: Option<String>,
    /// Its failure, where its history was read.
    failure: Option<Box<DeepestFailure>>,
}

/// Why a child was not read.
#[derive(Debug, thiserror::Error)]
enum NotRead {
    #[error("it lies more than {DEEPEST} executions deep")]
    TooDeep,
    #[error("it was read already: the executions run in a circle")]
    Circle,
    #[error("{BUDGET} calls had been made for this execution")]
    OutOfBudget,
    #[error("{}", refusal(*.0))]
    Refused(ErrorClass),
    #[error("its history holds no failure (yet)")]
    NoFailure,
    #[error("Step Functions keeps no history of it")]
    NoHistory,
    #[error("none of its {children} children failed")]
    NoFailedChild { children: i64 },
    #[error("none of its failed children could be read")]
    NoReadableChild,
}

/// Follows an execution's root cause down as far as possible. If something cannot be read, the finding
/// names it, and the cause remains the one that the parent recorded.
pub(super) async fn descend(calls: &mut Calls<'_>, execution: &ExecutionArn, analysis: &Analysis) -> Deepest {
    let mut down =
        Deepest { root_cause: None, resource: None, unread: Vec::new(), notes: Vec::new(), failure: None };
    let Some(mut here) = start(execution, analysis) else { return down };
    let mut is_below_failure = false;
    let mut seen = HashSet::from([execution.to_string()]);
    for depth in 0.. {
        let Some(lead) = here.lead.take() else { break };
        if depth == DEEPEST {
            down.unread.push(unread(&lead, &NotRead::TooDeep));
            break;
        }
        let (how, below) = match &lead {
            Lead::Execution(child) => (HopKind::NestedExecution, nested(calls, child, &mut seen).await),
            Lead::MapRun(map_run) => {
                (HopKind::MapRun, map_run_child(calls, map_run, &mut seen, &mut down).await)
            }
        };
        match below {
            Ok(mut child) => {
                // A child that was stopped fell with what waited for it, and has no bug of its own.
                let failure = child.failure.take().filter(|_| child.ended_itself);
                is_below_failure = failure.is_none();
                down.failure = failure.or(down.failure.take());
                down.notes.extend(child.in_flight.clone());
                here = here.into_below(how, &lead, child);
            }
            Err(why) => {
                down.unread.push(unread(&lead, &why));
                break;
            }
        }
    }
    if let Some(failure) = down.failure.as_mut().filter(|_| is_below_failure && here.ended_itself) {
        // Its own report follows the way down from it, too.
        failure.root_cause = Some(here.root_cause.clone());
    }
    down.resource = here.resource.filter(|_| here.ended_itself);
    down.root_cause = here.ended_itself.then_some(here.root_cause);
    down
}

/// Where the way down begins: at the root cause inside the execution, or where it timed out or was
/// stopped, at what it waited for. That only explains it if it ended by itself.
fn start(execution: &ExecutionArn, analysis: &Analysis) -> Option<Child> {
    let (root_cause, lead, ended_itself) = match (&analysis.root_cause, &analysis.waited_for) {
        (Some(own), _) => (own.clone(), analysis.lead.clone(), true),
        (None, Some((state, lead))) => {
            let waiting = RootCause { state: Some(state.clone()), ..RootCause::default() };
            (waiting, Some(lead.clone()), false)
        }
        (None, None) => return None,
    };
    Some(Child {
        root_cause: within(root_cause, execution),
        resource: None,
        lead,
        ended_itself,
        in_flight: None,
        failure: None,
    })
}

impl Child {
    /// The child below, with the way from the first execution down to it.
    fn into_below(self, how: HopKind, lead: &Lead, mut below: Self) -> Self {
        let mut via = self.root_cause.via;
        via.push(Hop {
            how,
            state: self.root_cause.state,
            execution_arn: self.root_cause.execution_arn,
            into: Some(arn(lead)),
        });
        via.append(&mut below.root_cause.via);
        below.root_cause.via = via;
        below.ended_itself |= self.ended_itself;
        below
    }
}

fn within(mut root: RootCause, execution: &ExecutionArn) -> RootCause {
    root.execution_arn = Some(execution.to_string());
    for hop in &mut root.via {
        hop.execution_arn = Some(execution.to_string());
    }
    root
}

fn arn(lead: &Lead) -> String {
    match lead {
        Lead::Execution(execution) => execution.to_string(),
        Lead::MapRun(map_run) => map_run.to_string(),
    }
}

fn unread(lead: &Lead, why: &NotRead) -> Unread {
    Unread { arn: arn(lead), why: why.to_string() }
}

impl NotRead {
    fn refused(error: &ReadError) -> Self {
        Self::Refused(error.class())
    }
}

/// What a refusal of Step Functions means for the execution or Map run that was asked about.
fn refusal(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Gone => "it does not exist, or no longer",
        ErrorClass::Denied => "access to it was denied",
        ErrorClass::Kms => "the key that encrypts it refused",
        ErrorClass::Invalid => "Step Functions rejects its ARN",
        ErrorClass::Unsupported => "Step Functions keeps no history of it",
        ErrorClass::Throttled => "Step Functions throttled the call",
        ErrorClass::Unavailable | ErrorClass::Unreachable => "Step Functions gave no usable answer",
        ErrorClass::Credentials => "the AWS credentials were refused",
        ErrorClass::Unparsable => "the answer of Step Functions could not be parsed",
        ErrorClass::TooLarge => "the answer of Step Functions is too large for the memory budget",
    }
}

/// A child execution's own root cause.
async fn nested(
    calls: &mut Calls<'_>,
    execution: &ExecutionArn,
    seen: &mut HashSet<String>,
) -> Result<Child, NotRead> {
    if !seen.insert(execution.to_string()) {
        return Err(NotRead::Circle);
    }
    if !calls.may_go_on() {
        return Err(NotRead::OutOfBudget);
    }
    if execution.workflow() == Workflow::Express {
        return described(calls, execution).await;
    }
    // Redriven since, it may have succeeded: what the parent saw is its last failure.
    let Read { history, end, share, .. } = match newest::read(calls, execution, EndSelector::LastFailure)
        .await
    {
        Ok(read) => read,
        Err(error) if error.class() == ErrorClass::Unsupported => return described(calls, execution).await,
        Err(error) => return Err(NotRead::refused(&error)),
    };
    if end.is_none() {
        return Err(NotRead::NoFailure);
    }
    let mut analysis = analyse_to(&history, end);
    drop((history, share));
    // The innermost is the first.
    let resource = (!analysis.resources.is_empty()).then(|| analysis.resources.swap_remove(0));
    let resource = resource.map(|resource| Resource { role: ResourceRole::RootCause, ..resource });
    let root_cause = analysis.root_cause.clone().unwrap_or_else(|| RootCause {
        error: analysis.failure.error.clone(),
        cause: analysis.failure.cause.clone(),
        ..RootCause::default()
    });
    Ok(Child {
        root_cause: within(root_cause, execution),
        resource,
        lead: analysis.lead.clone(),
        ended_itself: matches!(analysis.status, Status::Failed | Status::TimedOut),
        in_flight: in_flight(execution, &analysis.in_flight),
        failure: Some(Box::new(DeepestFailure::of(execution.clone(), analysis))),
    })
}

fn in_flight(execution: &ExecutionArn, states: &[InFlight]) -> Option<String> {
    let names: Vec<&str> = states.iter().take(5).map(|state| state.name.as_str()).collect();
    let more = states.len().checked_sub(names.len()).filter(|more| *more > 0);
    let more = more.map(|more| format!(" and {more} more")).unwrap_or_default();
    (!names.is_empty()).then(|| format!("In flight in {execution} at its end: {}{more}.", names.join(", ")))
}

/// An execution without a history: the children of a Map run may be Express executions, and
/// DescribeExecution still has their errors.
async fn described(calls: &mut Calls<'_>, execution: &ExecutionArn) -> Result<Child, NotRead> {
    if !calls.may() {
        return Err(NotRead::OutOfBudget);
    }
    let description =
        calls.reader.describe_execution(execution).await.map_err(|error| NotRead::refused(&error))?;
    if description.error.is_none() && description.cause.is_none() {
        return Err(NotRead::NoHistory);
    }
    let state = description.cause.as_deref().and_then(named_state).map(|(name, _)| name.to_owned());
    let root_cause = RootCause {
        execution_arn: Some(execution.to_string()),
        state,
        error: description.error,
        cause: description.cause,
        via: Vec::new(),
        called: None,
    };
    Ok(Child { root_cause, resource: None, lead: None, ended_itself: true, in_flight: None, failure: None })
}

/// The newest of a Map run's failed children with a readable cause. The run failed with it, or
/// soon after. The causes of the others that were read go into a note.
async fn map_run_child(
    calls: &mut Calls<'_>,
    map_run: &MapRunArn,
    seen: &mut HashSet<String>,
    down: &mut Deepest,
) -> Result<Child, NotRead> {
    if !calls.may() {
        return Err(NotRead::OutOfBudget);
    }
    let run = calls.reader.describe_map_run(map_run).await.map_err(|error| NotRead::refused(&error))?;
    let (status, failed) = [
        (Status::Failed, run.children.failed),
        (Status::TimedOut, run.children.timed_out),
        (Status::Aborted, run.children.aborted),
    ]
    .into_iter()
    .find(|(_, count)| *count > 0)
    .ok_or(NotRead::NoFailedChild { children: run.children.total })?;
    if !calls.may() {
        return Err(NotRead::OutOfBudget);
    }
    let children =
        calls.reader.children(map_run, status, CHILDREN).await.map_err(|error| NotRead::refused(&error))?;
    let mut read = Vec::new();
    for child in children.iter().take(CHILDREN as usize) {
        match nested(calls, child, seen).await {
            Ok(child) => read.push(child),
            Err(why) => down.unread.push(Unread { arn: child.to_string(), why: why.to_string() }),
        }
    }
    down.notes.push(note(&read, status, failed, run.children.total));
    if read.is_empty() {
        return Err(NotRead::NoReadableChild);
    }
    Ok(read.swap_remove(0))
}

fn note(read: &[Child], status: Status, failed: i64, total: i64) -> String {
    let mut kinds: Vec<(String, usize)> = Vec::new();
    for child in read {
        let root = &child.root_cause;
        let kind = match (&root.state, &root.error) {
            (Some(state), Some(error)) => format!("{error} in {state}"),
            (Some(state), None) => format!("a failure of {state}"),
            (None, Some(error)) => error.clone(),
            (None, None) => "a failure without an error's name".to_owned(),
        };
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((kind, 1)),
        }
    }
    let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} with {kind}")).collect();
    let kinds = if kinds.is_empty() { String::new() } else { format!(": {}", kinds.join(", ")) };
    let how = match status {
        Status::TimedOut => "timed out",
        Status::Aborted => "were aborted",
        _ => "failed",
    };
    format!("Of the {total} children of the Map run {failed} {how}; {} were read{kinds}.", read.len())
}
