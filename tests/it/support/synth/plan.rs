//! From a script to events and what must come before what.
//!
//! Every state leaves a record, so that a redrive can go on where it stood.

use std::rc::Rc;

use serde_json::{Map, Value, json};

use super::line::{MARK, Node, Pace, Prev, Random};
use super::steps::{Does, Failure, How, Phase, Step, Then};

/// What became of a step or a branch.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) path: Rc<[String]>,
    pub(super) input: String,
    /// Its first event, once there is one.
    pub(super) entered: Option<usize>,
    /// The event that the next one points at.
    pub(super) tip: usize,
    pub(super) is_done: bool,
    /// Whose error was caught here: its own, or that of a step inside.
    pub(super) caught: Option<usize>,
    /// Whether it failed when a sibling had already decided.
    pub(super) failed_too: bool,
    pub(super) output: String,
    /// Where it stopped, if it did.
    pub(super) phase: Option<Phase>,
    pub(super) attempts: Vec<Tried>,
    /// For a container, the event that its branches start from.
    pub(super) started: usize,
    /// For an iteration, the event of its success.
    pub(super) ended: Option<usize>,
}

/// One failed attempt.
#[derive(Debug, Clone)]
pub(super) struct Tried {
    pub(super) scheduled: Option<usize>,
    /// The event of the failure; the terminal one where the interpreter gave up.
    pub(super) failed: Option<usize>,
    pub(super) error: Option<String>,
    pub(super) cause: Option<String>,
}

/// Why another state instance is worth mentioning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// Its error was caught, by itself or by a container around it.
    Caught,
    /// It was tried again, by itself, by a container around it, or by a redrive.
    Retried,
    /// It failed in the moment in which a sibling ended everything.
    AlsoFailed,
    /// It was open when a sibling ended everything.
    Aborted,
}

/// How a flow or a step ended.
pub(super) enum End {
    Done,
    Stopped,
    Failed(Fatal),
    /// The interpreter gave up: nothing around it is told.
    Dead(Fatal),
}

/// The failure that goes outwards.
#[derive(Debug, Clone)]
pub(super) struct Fatal {
    pub(super) tip: usize,
    pub(super) step: usize,
    pub(super) error: Option<String>,
    pub(super) cause: Option<String>,
    /// For a Fail state behind a Catch: whose error it was.
    pub(super) caught: Option<usize>,
}

/// What AWS does in one way or another, as far as anybody measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quirks {
    /// `MapStateExited` points at `MapRunSucceeded` or past it: both were recorded.
    pub(super) map_run_exit_points_past: bool,
    /// Whether a container that failed within a failing one gets a `*StateAborted` too, as a task
    /// does. Not measured.
    pub(super) failed_containers_are_aborted: bool,
    /// Whether `ExecutionRedriven` points at the terminal event before it, or at 0. Not measured.
    pub(super) redrive_points_back: bool,
    /// Whether a redriven state goes on from `ExecutionRedriven` or from its own last event. Not
    /// measured.
    pub(super) redrive_is_the_chain: bool,
}

pub(super) struct Plan {
    pub(super) nodes: Vec<Node>,
    pub(super) records: Vec<Record>,
    pub(super) others: Vec<(usize, Fate)>,
    pub(super) quirks: Quirks,
    pub(super) round: usize,
    pub(super) state_machine: String,
    /// The last `ExecutionRedriven`, or the first event.
    pub(super) floor: usize,
    /// Failures that must wait for the one that decided.
    pub(super) too: Vec<usize>,
}

impl Plan {
    pub(super) fn new(records: usize, state_machine: &str, random: &mut Random) -> Self {
        let mut toss = || random.chance(50);
        let quirks = Quirks {
            map_run_exit_points_past: toss(),
            failed_containers_are_aborted: toss(),
            redrive_points_back: toss(),
            redrive_is_the_chain: toss(),
        };
        Self {
            nodes: Vec::new(),
            records: vec![Record::default(); records],
            others: Vec::new(),
            quirks,
            round: 0,
            state_machine: state_machine.to_owned(),
            floor: 0,
            too: Vec::new(),
        }
    }

    /// Writes an event. `details` that are null are none.
    pub(super) fn push(&mut self, kind: &str, prev: Prev, details: Value) -> usize {
        let details = match details {
            Value::Object(details) => Some(details),
            _ => None,
        };
        let at = self.nodes.len();
        let after = if at == self.floor { Vec::new() } else { vec![self.floor] };
        self.nodes.push(Node { kind: kind.to_owned(), details, prev, after, pace: Pace::Soon });
        at
    }

    pub(super) fn pace(&mut self, node: usize, pace: Pace) {
        self.nodes[node].pace = pace;
    }

    /// Runs a flow, from `prev` on, or goes on with it after a redrive. Where it ends well, the
    /// branch's record has its output and its last event.
    pub(super) fn run_flow(
        &mut self,
        branch: usize,
        flow: &[Step],
        path: &Rc<[String]>,
        prev: Prev,
        input: &str,
    ) -> End {
        let (mut prev, mut input) = (prev, input.to_owned());
        let mut caught = None;
        for step in flow {
            if !self.records[step.id].is_done {
                match self.run_step(step, path, prev, &input, caught) {
                    End::Done => {}
                    other => return other,
                }
            }
            let record = &self.records[step.id];
            caught = match step.does {
                _ if record.caught.is_some() => record.caught,
                Does::Pass | Does::Choice => caught,
                _ => None,
            };
            prev = Prev::Event(record.tip);
            input.clone_from(&record.output);
        }
        if let Prev::Event(tip) = prev {
            self.records[branch].tip = tip;
        }
        self.records[branch].output = input;
        self.records[branch].is_done = true;
        End::Done
    }

    fn run_step(
        &mut self,
        step: &Step,
        path: &Rc<[String]>,
        prev: Prev,
        input: &str,
        caught: Option<usize>,
    ) -> End {
        let resumes = self.records[step.id].entered.is_some();
        if !resumes {
            let kind = step.kind();
            let details = json!({"input": input, "inputDetails": {"truncated": false}, "name": step.name});
            let entered = self.push(&format!("{kind}StateEntered"), prev, details);
            let (name, path, input) = (step.name.clone(), path.clone(), input.to_owned());
            let entered_at = Some(entered);
            self.records[step.id] =
                Record { name, kind, path, input, entered: entered_at, tip: entered, ..Record::default() };
        } else if self.quirks.redrive_is_the_chain {
            self.records[step.id].tip = self.floor;
        }
        self.records[step.id].phase = None;
        self.records[step.id].failed_too = false;
        match &step.does {
            Does::Fail | Does::Pass | Does::Choice | Does::Succeed if resumes => {
                panic!("{}: what a redrive writes for such a state is not known", step.name)
            }
            Does::Task(integration) => self.run_task(step, integration),
            Does::MapRun => self.run_map_run(step, resumes),
            Does::Many(container) => self.run_many(step, container, resumes),
            Does::Fail => {
                let round = step.in_round(self.round);
                let failure = round.failures.first().expect("a Fail state says something").clone();
                let entered = self.records[step.id].tip;
                self.note_failure(step, None, Some(entered), &failure);
                End::Failed(self.fatal(step, &failure, caught))
            }
            Does::Pass | Does::Choice | Does::Wait | Does::Succeed => self.run_plain(step),
        }
    }

    fn run_plain(&mut self, step: &Step) -> End {
        let round = step.in_round(self.round);
        if let Some(failure) = round.failures.first() {
            return self.own_failure(step, failure, round.then);
        }
        if let Then::Stops(phase) = round.then {
            return self.stop(step, phase);
        }
        if matches!(step.does, Does::Wait) {
            let output = self.records[step.id].input.clone();
            return self.exit(step, output, Pace::Work);
        }
        let output = self.records[step.id].input.clone();
        self.exit(step, output, Pace::Soon)
    }

    /// A failure that a state has before it does anything: an expression or the interpreter.
    pub(super) fn own_failure(&mut self, step: &Step, failure: &Failure, then: Then) -> End {
        if failure.how == How::Runtime {
            self.note_failure(step, None, None, failure);
            return End::Dead(self.fatal(step, failure, None));
        }
        self.evaluation_failed(step, failure);
        self.after_failure(step, failure, then)
    }

    /// What follows the last failure of a step.
    pub(super) fn after_failure(&mut self, step: &Step, failure: &Failure, then: Then) -> End {
        match then {
            Then::Fails => End::Failed(self.fatal(step, failure, None)),
            Then::FailsToo => {
                let failed = self.records[step.id].tip;
                self.too.push(failed);
                self.records[step.id].failed_too = true;
                End::Stopped
            }
            Then::Catches => {
                self.others.push((step.id, Fate::Caught));
                self.records[step.id].caught = Some(step.id);
                let caught = self.caught_output(step, failure);
                self.exit(step, caught, Pace::Soon)
            }
            Then::Succeeds | Then::Stops(_) => unreachable!("a last failure is fatal or caught"),
        }
    }

    /// `EvaluationFailed`, which points past its own state's Entered, except in a Wait.
    pub(super) fn evaluation_failed(&mut self, step: &Step, failure: &Failure) {
        let How::Evaluation(location) = failure.how else {
            panic!("{} cannot fail in this way: {failure:?}", step.name);
        };
        let entered = self.records[step.id].entered.expect("entered before it fails");
        let prev = if step.kind() == "Wait" { Prev::Event(entered) } else { Prev::SameAs(entered) };
        let (error, cause) = self.said(step, failure);
        let mut details = error_details(error.as_deref(), cause.as_deref());
        if let Some(location) = location {
            details.insert("location".into(), json!(location));
        }
        details.insert("state".into(), json!(step.name));
        let after = self.records[step.id].tip;
        let failed = self.push("EvaluationFailed", prev, Value::Object(details));
        self.nodes[failed].after.push(after);
        self.records[step.id].tip = failed;
        self.note_failure(step, None, Some(failed), failure);
    }

    /// Leaves a state, from its last event on.
    pub(super) fn exit(&mut self, step: &Step, output: String, pace: Pace) -> End {
        let prev = Prev::Event(self.records[step.id].tip);
        self.exit_from(step, prev, output, pace)
    }

    pub(super) fn exit_from(&mut self, step: &Step, prev: Prev, output: String, pace: Pace) -> End {
        let details = json!({"name": step.name, "output": output, "outputDetails": {"truncated": false}});
        let exited = self.push(&format!("{}StateExited", step.kind()), prev, details);
        self.pace(exited, pace);
        let record = &mut self.records[step.id];
        record.tip = exited;
        record.output = output;
        record.is_done = true;
        if !record.attempts.is_empty() && record.caught.is_none() {
            self.others.push((step.id, Fate::Retried));
        }
        End::Done
    }

    pub(super) fn stop(&mut self, step: &Step, phase: Phase) -> End {
        self.records[step.id].phase = Some(phase);
        End::Stopped
    }

    pub(super) fn note_failure(
        &mut self,
        step: &Step,
        scheduled: Option<usize>,
        failed: Option<usize>,
        failure: &Failure,
    ) {
        let (error, cause) = self.said(step, failure);
        self.records[step.id].attempts.push(Tried { scheduled, failed, error, cause });
    }

    pub(super) fn fatal(&self, step: &Step, failure: &Failure, caught: Option<usize>) -> Fatal {
        let (error, cause) = self.said(step, failure);
        Fatal { tip: self.records[step.id].tip, step: step.id, error, cause, caught }
    }

    /// What a caught error becomes in the state's output.
    fn caught_output(&self, step: &Step, failure: &Failure) -> String {
        let (error, cause) = self.said(step, failure);
        caught_output(error.as_deref(), cause.as_deref())
    }

    /// Error and cause as they are written, AWS's sentence in front where it belongs.
    pub(super) fn said(&self, step: &Step, failure: &Failure) -> (Option<String>, Option<String>) {
        let cause = failure.cause.as_ref().map(|said| {
            if !failure.is_located() {
                return said.clone();
            }
            let entered = self.records[step.id].entered.expect("entered before it fails");
            let name = &step.name;
            format!(
                "An error occurred while executing the state '{name}' (entered at the event id #{MARK}{entered}{MARK}). {said}"
            )
        });
        (failure.error.clone(), cause)
    }
}

pub(super) fn caught_output(error: Option<&str>, cause: Option<&str>) -> String {
    json!({"Error": error.unwrap_or("States.TaskFailed"), "Cause": cause.unwrap_or_default()}).to_string()
}

/// The keys that are there: AWS leaves out what it does not know.
pub(super) fn error_details(error: Option<&str>, cause: Option<&str>) -> Map<String, Value> {
    let mut details = Map::new();
    if let Some(cause) = cause {
        details.insert("cause".into(), json!(cause));
    }
    if let Some(error) = error {
        details.insert("error".into(), json!(error));
    }
    details
}
