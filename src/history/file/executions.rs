//! Which execution of a file is meant.

use super::super::{EventType, History, Status};
use crate::aws::arn::ExecutionArn;

/// The history of one execution, as a file holds it.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The execution, where the file names it.
    pub execution: Option<ExecutionArn>,
    /// What happened in it.
    pub history: History,
}

/// The executions that a file holds; at least one.
#[derive(Debug, Clone)]
pub struct Executions(pub(super) Vec<Recorded>);

/// The most executions that an error lists.
const MOST_LISTED: usize = 20;

/// Why no execution of a file was selected.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SelectError {
    /// None has the name.
    #[error("no execution in it is named {wanted:?}; it holds {list}")]
    NotFound {
        /// The name asked for.
        wanted: String,
        /// The executions that the file holds.
        list: String,
    },
    /// More than one may be meant.
    #[error("it holds {list}\nselect one with --execution NAME")]
    Several {
        /// The executions that may be meant.
        list: String,
    },
    /// A name was asked for, but the file has none.
    #[error("it is a history, which does not name its execution; leave out --execution")]
    Unnamed,
}

/// An execution that was selected.
#[derive(Debug, Clone)]
pub struct Selected {
    /// The execution.
    pub recorded: Recorded,
    /// Why this one, where the file holds others and none was asked for.
    pub reason: Option<String>,
}

impl Recorded {
    /// How the execution ended; `None` where its end is not in the file.
    pub fn status(&self) -> Option<Status> {
        let last = self.history.events().iter().rev();
        let mut ends = last.take_while(|event| event.event_type != EventType::ExecutionRedriven);
        ends.find_map(|event| event.event_type.end())
    }

    fn failed(&self) -> bool {
        matches!(self.status(), Some(Status::Failed | Status::TimedOut | Status::Aborted))
    }

    /// Whether the execution is meant by this name or ARN. The name of an Express execution is followed by
    /// an id that people do not know.
    fn is_meant_by(&self, wanted: &str) -> bool {
        self.execution.as_ref().is_some_and(|execution| {
            let name = execution.name();
            [execution.as_str(), name].contains(&wanted)
                || name.split_once(':').is_some_and(|(name, _)| name == wanted)
        })
    }
}

impl Executions {
    /// Selects the execution of this name or ARN. Without one, the file's only execution, or the only one
    /// that failed.
    ///
    /// # Errors
    /// When none is named so, or more than one may be meant.
    pub fn select(self, wanted: Option<&str>) -> Result<Selected, SelectError> {
        let Self(mut all) = self;
        if let Some(wanted) = wanted {
            if all.iter().all(|one| one.execution.is_none()) {
                return Err(SelectError::Unnamed);
            }
            let (mut meant, others): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|one| one.is_meant_by(wanted));
            return match meant.len() {
                0 => Err(SelectError::NotFound { wanted: wanted.to_owned(), list: list(&others) }),
                1 => Ok(Selected { recorded: meant.remove(0), reason: None }),
                _ => Err(SelectError::Several { list: list(&meant) }),
            };
        }
        if all.len() == 1 {
            return Ok(Selected { recorded: all.remove(0), reason: None });
        }
        let failed: Vec<usize> = (0..all.len()).filter(|at| all[*at].failed()).collect();
        match failed.as_slice() {
            &[only] => {
                let reason = format!(
                    "of {} executions in it, only {} failed; --execution NAME selects another",
                    all.len(),
                    name(&all[only])
                );
                Ok(Selected { recorded: all.swap_remove(only), reason: Some(reason) })
            }
            _ => Err(SelectError::Several { list: list(&all) }),
        }
    }
}

fn name(one: &Recorded) -> &str {
    one.execution.as_ref().map_or("an execution without a name", ExecutionArn::name)
}

/// Names executions, failures first, a line each.
fn list(executions: &[Recorded]) -> String {
    let mut sorted: Vec<&Recorded> = executions.iter().collect();
    sorted.sort_by_key(|one| !one.failed());
    let mut text = match sorted.len() {
        1 => "1 execution:".to_owned(),
        count => format!("{count} executions:"),
    };
    for one in sorted.iter().take(MOST_LISTED) {
        let status = one.status().map_or("no end in the file", Status::as_str);
        let events = one.history.events().len();
        let plural = if events == 1 { "" } else { "s" };
        text.push_str(&format!("\n  {}  {status}  {events} event{plural}", name(one)));
    }
    if let Some(more) = sorted.len().checked_sub(MOST_LISTED).filter(|more| *more > 0) {
        text.push_str(&format!("\n  and {more} more"));
    }
    text
}
