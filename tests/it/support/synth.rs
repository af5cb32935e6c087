//! Generated histories, for what no recording shows: redrives, Map runs that fail by threshold,
//! concurrent Maps where several iterations fail, the 25,000-event end.
//!
//! A [`Machine`] is the script of an execution, built from the states in [`steps`]. Its
//! [`history`](Machine::history) obeys what is known of AWS's histories: which event each
//! `previousEventId` points at, what a failing branch writes about its siblings, that ids are dense.
//! It comes with the [`Truth`]: which state failed, where, on what input, after which attempts. The
//! seed decides only how branches that run at once interleave, so two seeds give two histories of
//! the same truth. Where nobody has measured what AWS does, the seed picks one of the
//! possibilities, so that nothing relies on either.

mod line;
mod many;
mod plan;
mod scripts;
pub(crate) mod steps;
mod tasks;
#[cfg(test)]
mod tests;
mod truth;

use serde_json::{Value, json};

pub(crate) use line::Random;
pub(crate) use plan::Fate;
pub(crate) use scripts::{big_map, endless, long, random};
pub(crate) use tasks::{execution_arn, map_run_arn};
pub(crate) use truth::{Instance, Truth};

use line::{Pace, Prev};
use plan::{End, Plan, error_details};
use steps::Flow;
use truth::Ending;

/// How many events AWS writes into one history; the last of them is the failure.
pub(crate) const MAX_EVENTS: usize = 25_000;

/// An execution to be.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    flow: Flow,
    input: Value,
    /// How each run ends; a redrive starts another.
    runs: Vec<Run>,
    /// Whether the flow is a loop that only the limit of events ends.
    is_endless: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Run {
    /// By what the states do.
    ByItself,
    TimesOut,
    IsStopped {
        error: Option<String>,
        cause: Option<String>,
    },
}

/// A history with the truth about it.
#[derive(Debug, Clone)]
pub(crate) struct History {
    /// Each as in `aws stepfunctions get-execution-history --output json`, by id.
    pub(crate) events: Vec<Value>,
    /// One for each time that the execution ended, the last one last.
    pub(crate) truths: Vec<Truth>,
}

impl History {
    /// What the AWS CLI prints.
    pub(crate) fn json(&self) -> Value {
        json!({"events": self.events})
    }

    /// The truth about the last ending.
    pub(crate) fn truth(&self) -> &Truth {
        self.truths.last().expect("a history has an ending, if only that it still runs")
    }
}

impl Machine {
    pub(crate) fn new(flow: Flow) -> Self {
        Self { flow, input: json!({"order": 1}), runs: vec![Run::ByItself], is_endless: false }
    }

    /// The execution's input.
    pub(crate) fn input(mut self, input: Value) -> Self {
        self.input = input;
        self
    }

    /// The machine's own timeout ends the run; its states have stopped by then.
    pub(crate) fn times_out(mut self) -> Self {
        *self.last_run() = Run::TimesOut;
        self
    }

    /// Somebody stops the run, with or without saying why.
    pub(crate) fn stopped(mut self, why: Option<(&str, &str)>) -> Self {
        let (error, cause) = why.map(|(error, cause)| (error.to_owned(), cause.to_owned())).unzip();
        *self.last_run() = Run::IsStopped { error, cause };
        self
    }

    /// The execution is redriven after that.
    pub(crate) fn redriven(mut self) -> Self {
        self.runs.push(Run::ByItself);
        self
    }

    /// One of the histories that this execution may have.
    pub(crate) fn history(&self, seed: u64) -> History {
        let mut random = Random::new(seed);
        let mut flow = self.flow.clone();
        // Number 0 is the flow itself.
        let records = steps::number(&mut flow, 1);
        let mut plan = Plan::new(records, "shop", &mut random);
        let input = self.input.to_string();
        let role = "arn:aws:iam::123456789012:role/shop";
        let started = json!({"input": input, "inputDetails": {"truncated": false}, "roleArn": role});
        plan.push("ExecutionStarted", Prev::Zero, started);
        let mut endings: Vec<Ending> = Vec::new();
        for (round, run) in self.runs.iter().enumerate() {
            let before = plan.nodes.len();
            if round > 0 {
                plan.round = round;
                let terminal = endings.last().and_then(|ending| ending.terminal);
                let terminal = terminal.expect("only what has ended is redriven");
                let back = if plan.quirks.redrive_points_back { Prev::Event(terminal) } else { Prev::Zero };
                let redriven = plan.push("ExecutionRedriven", back, json!({"redriveCount": round}));
                plan.nodes[redriven].after.push(terminal);
                plan.pace(redriven, Pace::After(terminal, 60_000));
                plan.floor = redriven;
            }
            let end = plan.run_flow(0, &flow, &[].into(), Prev::Zero, &input);
            let mut ending = if self.is_endless { cut(&mut plan) } else { ended(&mut plan, &flow, run, end) };
            if let Some(terminal) = ending.terminal {
                plan.nodes[terminal].after.extend(before..terminal);
            }
            ending.others.clone_from(&plan.others);
            ending.remember(&plan);
            endings.push(ending);
        }
        assert!(plan.too.is_empty(), "who fails too needs a sibling that fails");
        let line = line::up(plan.nodes, &mut random);
        let truths = endings.iter().map(|ending| ending.truth(&line.ids)).collect();
        History { events: line.events, truths }
    }

    fn last_run(&mut self) -> &mut Run {
        self.runs.last_mut().expect("there is at least one run")
    }
}

/// Writes the terminal event, and says what is true of it.
fn ended(plan: &mut Plan, flow: &Flow, run: &Run, end: End) -> Ending {
    let mut open = Vec::new();
    plan.open_leaves(flow, &mut open);
    let mut ending = Ending {
        status: "RUNNING",
        error: None,
        cause: None,
        terminal: None,
        failed: None,
        in_flight: Vec::new(),
        others: Vec::new(),
        records: Vec::new(),
    };
    match (run, end) {
        (Run::ByItself, End::Done) => {
            let output = plan.records[0].output.clone();
            let details = json!({"output": output, "outputDetails": {"truncated": false}});
            let prev = Prev::Event(plan.records[0].tip);
            ending.status = "SUCCEEDED";
            ending.terminal = Some(plan.push("ExecutionSucceeded", prev, details));
        }
        (Run::ByItself, End::Failed(fatal)) => failed(plan, &mut ending, fatal),
        (Run::ByItself, End::Dead(fatal)) => {
            let fallen = open.into_iter().filter(|step| *step != fatal.step);
            plan.others.extend(fallen.map(|step| (step, Fate::Aborted)));
            failed(plan, &mut ending, fatal);
        }
        (Run::ByItself, End::Stopped) => ending.in_flight = open,
        (Run::TimesOut, End::Stopped) => {
            ending.status = "TIMED_OUT";
            ending.error = Some("States.Timeout".to_owned());
            let details = json!({"error": "States.Timeout"});
            let terminal = plan.push("ExecutionTimedOut", Prev::Zero, details);
            plan.pace(terminal, Pace::OnTheSecond);
            ending.terminal = Some(terminal);
            ending.in_flight = open;
        }
        (Run::IsStopped { error, cause }, End::Stopped) => {
            ending.status = "ABORTED";
            let details = error_details(error.as_deref(), cause.as_deref());
            ending.terminal = Some(plan.push("ExecutionAborted", Prev::Zero, Value::Object(details)));
            ending.error.clone_from(error);
            ending.cause.clone_from(cause);
            ending.in_flight = open;
        }
        (run, _) => panic!("{run:?}: the states must have stopped before"),
    }
    ending
}

fn failed(plan: &mut Plan, ending: &mut Ending, fatal: plan::Fatal) {
    let details = error_details(fatal.error.as_deref(), fatal.cause.as_deref());
    ending.status = "FAILED";
    ending.terminal = Some(plan.push("ExecutionFailed", Prev::Event(fatal.tip), Value::Object(details)));
    ending.error = fatal.error;
    ending.cause = fatal.cause;
    ending.failed = Some((fatal.step, fatal.caught));
}

/// Ends an endless loop where AWS does: event 25,000 is the failure.
fn cut(plan: &mut Plan) -> Ending {
    assert_eq!(plan.nodes.len(), MAX_EVENTS - 1, "the loop fills the history");
    let cause = "The execution reached the maximum number of history events (25000).";
    let tip = plan.records[0].tip;
    let details = error_details(Some("States.Runtime"), Some(cause));
    Ending {
        status: "FAILED",
        error: Some("States.Runtime".to_owned()),
        cause: Some(cause.to_owned()),
        terminal: Some(plan.push("ExecutionFailed", Prev::Event(tip), Value::Object(details))),
        failed: None,
        in_flight: Vec::new(),
        others: Vec::new(),
        records: Vec::new(),
    }
}
