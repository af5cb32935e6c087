//! What is known to be true of a generated history, because it was written down beforehand.

use super::line::with_ids;
use super::plan::{Fate, Plan, Record};
use super::steps::Phase;

/// The truth about one ending of an execution; a redriven one has several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Truth {
    /// `FAILED`, `TIMED_OUT`, `ABORTED`, `SUCCEEDED` or `RUNNING`.
    pub(crate) status: &'static str,
    /// Of the terminal event.
    pub(crate) error: Option<String>,
    pub(crate) cause: Option<String>,
    pub(crate) terminal_event_id: Option<u64>,
    /// The state whose failure ended the execution.
    pub(crate) failed_state: Option<Instance>,
    /// For a Fail state behind a Catch, with only Pass and Choice states between: the innermost
    /// state whose error was caught.
    pub(crate) caught_before: Option<Instance>,
    /// For timeouts and aborts: the innermost open states, in the order in which they were entered.
    pub(crate) in_flight: Vec<Instance>,
    /// Other instances that failed or fell, of the run and those before it.
    pub(crate) others: Vec<(Instance, Fate)>,
}

/// One state instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instance {
    pub(crate) path: Vec<String>,
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) input: String,
    pub(crate) entered_event_id: u64,
    /// Its failed attempts, over all redrives.
    pub(crate) attempts: Vec<Attempt>,
    /// How far it came, if it neither failed nor ended.
    pub(crate) phase: Option<Phase>,
}

/// A failed attempt. Where it was never scheduled, only the failure has an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Attempt {
    pub(crate) scheduled_event_id: Option<u64>,
    pub(crate) failed_event_id: u64,
    pub(crate) error: Option<String>,
    pub(crate) cause: Option<String>,
}

impl Truth {
    /// The same without ids and without the order of entry: equal in every interleaving. Causes
    /// that name an event are shortened by that sentence.
    pub(crate) fn shape(&self) -> Self {
        let mut shape = self.clone();
        shape.terminal_event_id = None;
        shape.cause = shape.cause.as_deref().map(unnumbered);
        let instances = shape.failed_state.iter_mut().chain(&mut shape.caught_before);
        for instance in instances.chain(&mut shape.in_flight) {
            instance.forget_ids();
        }
        for (instance, _) in &mut shape.others {
            instance.forget_ids();
        }
        shape.in_flight.sort();
        shape.others.sort();
        shape
    }
}

impl Instance {
    /// The error of its last attempt.
    pub(crate) fn error(&self) -> Option<&str> {
        self.attempts.last()?.error.as_deref()
    }

    /// The cause of its last attempt.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.attempts.last()?.cause.as_deref()
    }

    fn forget_ids(&mut self) {
        self.entered_event_id = 0;
        self.input = unnumbered(&self.input);
        for attempt in &mut self.attempts {
            attempt.scheduled_event_id = attempt.scheduled_event_id.map(|_| 0);
            attempt.failed_event_id = 0;
            attempt.cause = attempt.cause.as_deref().map(unnumbered);
        }
    }
}

fn unnumbered(text: &str) -> String {
    let Some((before, after)) = text.split_once("(entered at the event id #") else { return text.to_owned() };
    let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}(entered at the event id #{}", unnumbered(rest))
}

/// One ending, as the plan left it.
pub(super) struct Ending {
    pub(super) status: &'static str,
    pub(super) error: Option<String>,
    pub(super) cause: Option<String>,
    pub(super) terminal: Option<usize>,
    pub(super) failed: Option<(usize, Option<usize>)>,
    pub(super) in_flight: Vec<usize>,
    pub(super) others: Vec<(usize, Fate)>,
    /// The records as they were then.
    pub(super) records: Vec<(usize, Record)>,
}

impl Ending {
    /// Remembers the records that the truth speaks of.
    pub(super) fn remember(&mut self, plan: &Plan) {
        let failed = self.failed.iter().flat_map(|(step, caught)| [Some(*step), *caught]).flatten();
        let spoken_of = failed.chain(self.in_flight.iter().copied());
        let spoken_of = spoken_of.chain(self.others.iter().map(|(step, _)| *step));
        let mut spoken_of: Vec<usize> = spoken_of.collect();
        spoken_of.sort_unstable();
        spoken_of.dedup();
        self.records = spoken_of.into_iter().map(|step| (step, plan.records[step].clone())).collect();
    }

    /// The truth in the ids of one interleaving.
    pub(super) fn truth(&self, ids: &[u64]) -> Truth {
        let named = |text: &Option<String>| text.as_ref().map(|text| with_ids(text, ids));
        let terminal_event_id = self.terminal.map(|event| ids[event]);
        let instance = |step: usize| {
            let at = self.records.binary_search_by_key(&step, |(step, _)| *step);
            let (_, record) = &self.records[at.expect("remembered")];
            let attempts = record.attempts.iter().map(|tried| Attempt {
                scheduled_event_id: tried.scheduled.map(|event| ids[event]),
                failed_event_id: tried
                    .failed
                    .map(|event| ids[event])
                    .or(terminal_event_id)
                    .unwrap_or_default(),
                error: tried.error.clone(),
                cause: named(&tried.cause),
            });
            Instance {
                path: record.path.to_vec(),
                name: record.name.clone(),
                kind: record.kind,
                input: with_ids(&record.input, ids),
                entered_event_id: record.entered.map(|event| ids[event]).unwrap_or_default(),
                attempts: attempts.collect(),
                phase: record.phase,
            }
        };
        let mut in_flight: Vec<Instance> = self.in_flight.iter().map(|step| instance(*step)).collect();
        in_flight.sort_by_key(|instance| instance.entered_event_id);
        Truth {
            status: self.status,
            error: self.error.clone(),
            cause: named(&self.cause),
            terminal_event_id,
            failed_state: self.failed.map(|(step, _)| instance(step)),
            caught_before: self.failed.and_then(|(_, caught)| caught).map(instance),
            in_flight,
            others: self.others.iter().map(|(step, fate)| (instance(*step), *fate)).collect(),
        }
    }
}
