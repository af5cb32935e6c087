//! One execution investigated: its history read, analysed, and followed down to the root cause.
//!
//! [`investigate`] calls Step Functions. [`Finding::of_file`] uses only a given history, and
//! names the executions that it would have read.

mod calls;
mod descent;
mod newest;
mod texts;

use crate::analysis::answer::RootCause;
use crate::analysis::resources::{Resource, ResourceRole};
use crate::analysis::{Analysis, Lead, Question, analyse, analyse_to, find_end};
use crate::aws::arn::ExecutionArn;
use crate::history::{ExecutionReader, History, ReadError, Status};
use crate::memory::ReportShare;
use calls::Calls;
use newest::{EndSelector, Read};

/// What is asked about an execution.
#[derive(Debug, Clone)]
pub struct ExecutionRequest {
    /// Which execution.
    pub execution: ExecutionArn,
    /// How it ended, if that is known.
    pub status: Option<Status>,
    /// How often it had been redriven when it ended, if that is known.
    pub redrive_count: Option<u32>,
}

/// Why an execution could not be investigated.
#[derive(Debug, thiserror::Error)]
pub enum InvestigationError {
    /// The end asked about is not in the history, or not yet.
    #[error("{execution} has not ended{asked} according to its history of {events} events")]
    NotEnded {
        /// Which execution.
        execution: ExecutionArn,
        /// What was asked for: ` as FAILED after 2 redrives`.
        asked: String,
        /// How many events its history holds.
        events: usize,
    },
    /// Its history could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// What was found out about an execution.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The analysis of its own history.
    pub analysis: Analysis,
    /// The deepest cause known, also from other executions.
    pub root_cause: Option<RootCause>,
    /// What the root cause's state and the failed state called, innermost first.
    pub resources: Vec<Resource>,
    /// What was read for it.
    pub reading: Reading,
    /// What was not read, though the cause may lie there.
    pub unread: Vec<Unread>,
    /// The failure of the deepest execution that failed by itself, if that is not this one.
    pub deepest: Option<Box<DeepestFailure>>,
}

/// The failure of an execution that another one waited for: what tells which bug it is, and no more.
#[derive(Debug, Clone)]
pub struct DeepestFailure {
    /// Which execution.
    pub execution: ExecutionArn,
    /// What its history says, without inputs and without the timeline.
    pub analysis: Analysis,
    /// The deepest cause known of it, also from executions below that have no history.
    pub root_cause: Option<RootCause>,
}

impl DeepestFailure {
    fn of(execution: ExecutionArn, mut analysis: Analysis) -> Self {
        analysis.payload = None;
        analysis.steps.clear();
        analysis.also_failed.clear();
        analysis.timeline.instances.clear();
        analysis.timeline.scopes.clear();
        for input in analysis.in_flight.iter_mut().map(|state| &mut state.input) {
            *input = None;
        }
        if let Some(failed) = &mut analysis.failed_state {
            failed.input = None;
            failed.attempts.clear();
        }
        Self { execution, root_cause: analysis.root_cause.clone(), analysis }
    }
}

/// What was read for a finding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Reading {
    /// Calls made, of whichever kind.
    pub calls: u32,
    /// Events read of the execution's own history.
    pub events: usize,
    /// Whether these are the whole history.
    pub complete: bool,
    /// Whether something was left unread because of the number of calls.
    pub budget_hit: bool,
}

/// Something that was not read.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Unread {
    /// The ARN of the execution or the Map run.
    pub arn: String,
    /// Why it was not read.
    pub why: String,
}

/// Investigates an execution, within its share of the memory budget.
///
/// # Errors
/// When its history cannot be read, or does not contain the requested end. If a child cannot be read, the
/// finding has what is known without it.
pub async fn investigate(
    reader: &dyn ExecutionReader,
    asked: &ExecutionRequest,
    memory: &ReportShare,
) -> Result<Finding, InvestigationError> {
    let mut calls = Calls::of(reader, memory);
    let question = Question { status: asked.status, redrive_count: asked.redrive_count };
    let Read { history, end, input, share } =
        newest::read(&mut calls, &asked.execution, EndSelector::Asked(question)).await?;
    if question != Question::default() && end.is_none() {
        return Err(not_ended(asked, &history));
    }
    let mut analysis = analyse_to(&history, end);
    analysis.payload = analysis.payload.or(input);
    let (events, complete) = (history.events().len(), history.is_complete());
    // The analysis keeps what it needs, and a child's history may need the memory.
    drop((history, share));
    let deepest = descent::descend(&mut calls, &asked.execution, &analysis).await;
    analysis.notes.extend(deepest.notes);
    let reading = Reading { calls: calls.made, events, complete, budget_hit: calls.budget_hit };
    let resources = within(&analysis, deepest.resource);
    Ok(Finding {
        analysis,
        root_cause: deepest.root_cause,
        resources,
        reading,
        unread: deepest.unread,
        deepest: deepest.failure,
    })
}

/// What the state called where the way down ends, then what the execution's own states called.
fn within(analysis: &Analysis, deepest: Option<Resource>) -> Vec<Resource> {
    let own =
        analysis.resources.iter().filter(|own| deepest.is_none() || own.role != ResourceRole::RootCause);
    deepest.iter().chain(own).cloned().collect()
}

fn not_ended(asked: &ExecutionRequest, history: &History) -> InvestigationError {
    let mut text = String::new();
    if let Some(status) = asked.status {
        text.push_str(&format!(" as {}", status.as_str()));
    }
    if let Some(count) = asked.redrive_count.filter(|count| *count > 0) {
        text.push_str(&format!(" after redrive {count}"));
    }
    InvestigationError::NotEnded {
        execution: asked.execution.clone(),
        asked: text,
        events: history.events().len(),
    }
}

impl Finding {
    /// The finding from a given history, without any call. It names what would have been read.
    pub fn of_file(history: &History, question: &Question) -> Self {
        let analysis = analyse(history, question);
        let reading =
            Reading { events: history.events().len(), complete: history.is_complete(), ..Reading::default() };
        let lead = analysis.lead.as_ref().or(analysis.waited_for.as_ref().map(|(_, lead)| lead));
        let arn = match lead {
            Some(Lead::Execution(execution)) => Some(execution.to_string()),
            Some(Lead::MapRun(map_run)) => Some(map_run.to_string()),
            None => None,
        };
        let why = "a file was explained; explain the execution by its ARN to read this too".to_owned();
        let unread = arn.map(|arn| Unread { arn, why }).into_iter().collect();
        let (root_cause, resources) = (analysis.root_cause.clone(), analysis.resources.clone());
        Self { root_cause, resources, analysis, reading, unread, deepest: None }
    }
}
