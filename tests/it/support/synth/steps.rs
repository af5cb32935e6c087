//! The script of an execution: what each state does, written down before it happens.
//!
//! A flow is the states that one branch goes through, in their order. A caught failure simply goes
//! on with the next state of the flow, which then is the handler. Everything that depends on chance
//! in a real execution (which of two failing iterations was first, how far the others had come) is
//! said here, so that it is the same in every interleaving.

/// The states of one branch, one after the other.
pub(crate) type Flow = Vec<Step>;

/// One state and what becomes of it.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(super) id: usize,
    pub(super) name: String,
    pub(super) does: Does,
    /// What happens in the first run and after each redrive; the last one holds for all later.
    pub(super) rounds: Vec<Round>,
    pub(super) timeout_seconds: Option<u64>,
    pub(super) heartbeat_seconds: Option<u64>,
}

#[derive(Debug, Clone)]
pub(super) enum Does {
    Pass,
    Choice,
    Wait,
    Succeed,
    Fail,
    Task(Integration),
    /// A Distributed Map, whose iterations are executions of their own.
    MapRun,
    Many(Container),
}

#[derive(Debug, Clone)]
pub(super) enum Integration {
    /// `TaskScheduled` and so on. With `submits`, the task is waited for after the service took it.
    Service { kind: String, resource: String, submits: Option<String> },
    /// `LambdaFunctionScheduled` and so on.
    Lambda,
    /// `ActivityScheduled` and so on.
    Activity,
}

/// An inline Map or a Parallel.
#[derive(Debug, Clone)]
pub(super) struct Container {
    pub(super) is_map: bool,
    /// The branches of each try; all tries but the last fail.
    pub(super) tries: Vec<Vec<Branch>>,
    pub(super) catches: bool,
    /// How many iterations run at a time.
    pub(super) at_most: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Branch {
    pub(super) id: usize,
    pub(super) flow: Flow,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Round {
    pub(super) failures: Vec<Failure>,
    pub(super) then: Then,
}

/// What follows the failures of a round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Then {
    #[default]
    Succeeds,
    /// The last failure ends the branch.
    Fails,
    /// The last failure comes in the moment in which a sibling has already ended everything.
    FailsToo,
    /// The last failure is caught.
    Catches,
    Stops(Phase),
}

/// How far a state came that neither failed nor ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Entered,
    Scheduled,
    Started,
    Submitted,
    Waiting,
    Backoff,
}

impl Phase {
    /// The name in a report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Entered => "entered",
            Self::Scheduled => "scheduled",
            Self::Started => "started",
            Self::Submitted => "submitted",
            Self::Waiting => "waiting",
            Self::Backoff => "backoff",
        }
    }
}

/// One failure: what kind of event it writes and what that says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(super) how: How,
    pub(super) error: Option<String>,
    pub(super) cause: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// `TaskFailed`, `LambdaFunctionFailed`, `ActivityFailed`, `MapRunFailed`; a Fail state.
    Failed,
    /// `*TimedOut` after it was started.
    TimedOut,
    /// `*TimedOut` of a task that nobody began.
    NeverStarted,
    /// `LambdaFunctionScheduleFailed`, `ActivityScheduleFailed`.
    ScheduleFailed,
    /// `TaskStartFailed`, `LambdaFunctionStartFailed`.
    StartFailed,
    /// `TaskSubmitFailed`.
    SubmitFailed,
    /// `EvaluationFailed`, with the place of the expression.
    Evaluation(Option<&'static str>),
    /// The interpreter gives up: no event of the state's own, nothing that could be caught.
    Runtime,
}

impl Failure {
    pub(crate) fn new(how: How, error: &str, cause: &str) -> Self {
        Self { how, error: Some(error.to_owned()), cause: Some(cause.to_owned()) }
    }

    /// A timeout, as AWS records one: without a cause.
    pub(crate) fn timeout() -> Self {
        Self { how: How::TimedOut, error: Some("States.Timeout".to_owned()), cause: None }
    }

    /// A failure that says nothing at all.
    pub(crate) fn silent() -> Self {
        Self { how: How::Failed, error: None, cause: None }
    }

    /// A JSONata expression that could not be evaluated; AWS names the state in front of `said`.
    pub(crate) fn evaluation(location: Option<&'static str>, said: &str) -> Self {
        Self::new(How::Evaluation(location), "States.QueryEvaluationError", said)
    }

    /// An error of the interpreter; AWS names the state in front of `said`.
    pub(crate) fn runtime(said: &str) -> Self {
        Self::new(How::Runtime, "States.Runtime", said)
    }

    /// Whether AWS's sentence about the state stands in front of the cause.
    pub(super) fn is_located(&self) -> bool {
        matches!(self.how, How::Evaluation(_)) || self.error.as_deref() == Some("States.Runtime")
    }
}

impl From<(&str, &str)> for Failure {
    fn from((error, cause): (&str, &str)) -> Self {
        Self::new(How::Failed, error, cause)
    }
}

pub(crate) fn pass(name: &str) -> Step {
    Step::new(name, Does::Pass)
}

pub(crate) fn choice(name: &str) -> Step {
    Step::new(name, Does::Choice)
}

pub(crate) fn wait(name: &str) -> Step {
    Step::new(name, Does::Wait)
}

pub(crate) fn succeed(name: &str) -> Step {
    Step::new(name, Does::Succeed)
}

/// A Fail state; what it says appears in the terminal event only.
pub(crate) fn fail(name: &str, says: impl Into<Failure>) -> Step {
    Step::new(name, Does::Fail).fails(says)
}

/// A task of the Lambda integration (`lambda:invoke`).
pub(crate) fn task(name: &str) -> Step {
    service(name, "lambda", "invoke")
}

/// A task of any integration that answers at once.
pub(crate) fn service(name: &str, kind: &str, resource: &str) -> Step {
    let (kind, resource) = (kind.to_owned(), resource.to_owned());
    Step::new(name, Does::Task(Integration::Service { kind, resource, submits: None }))
}

/// A task that waits for its token to come back.
pub(crate) fn callback(name: &str) -> Step {
    let (kind, resource) = ("sqs".to_owned(), "sendMessage.waitForTaskToken".to_owned());
    let submits = Some(r#"{"MessageId":"m-1"}"#.to_owned());
    Step::new(name, Does::Task(Integration::Service { kind, resource, submits }))
}

/// A task that runs another execution to its end.
pub(crate) fn child(name: &str, execution_arn: &str) -> Step {
    let (kind, resource) = ("states".to_owned(), "startExecution.sync:2".to_owned());
    let submits = serde_json::json!({"ExecutionArn": execution_arn, "StartDate": 1_772_366_400_000_u64});
    let submits = Some(submits.to_string());
    Step::new(name, Does::Task(Integration::Service { kind, resource, submits }))
}

/// A task whose resource is a function's ARN.
pub(crate) fn lambda(name: &str) -> Step {
    Step::new(name, Does::Task(Integration::Lambda))
}

/// A task for an activity's workers.
pub(crate) fn activity(name: &str) -> Step {
    Step::new(name, Does::Task(Integration::Activity))
}

/// A Distributed Map. Its failure, if it has one, is the Map run's.
pub(crate) fn map_run(name: &str) -> Step {
    Step::new(name, Does::MapRun)
}

/// An inline Map, all of its iterations at once.
pub(crate) fn map(name: &str, iterations: Vec<Flow>) -> Step {
    Step::many(name, true, iterations)
}

pub(crate) fn parallel(name: &str, branches: Vec<Flow>) -> Step {
    Step::many(name, false, branches)
}

impl Step {
    fn new(name: &str, does: Does) -> Self {
        let rounds = vec![Round::default()];
        Self { id: 0, name: name.to_owned(), does, rounds, timeout_seconds: None, heartbeat_seconds: None }
    }

    fn many(name: &str, is_map: bool, branches: Vec<Flow>) -> Self {
        let container =
            Container { is_map, tries: vec![numbered(branches)], catches: false, at_most: usize::MAX };
        Self::new(name, Does::Many(container))
    }

    /// A failure after which the state is tried again.
    pub(crate) fn retries(mut self, failure: impl Into<Failure>) -> Self {
        self.round().failures.push(failure.into());
        self
    }

    /// A failure that ends the branch.
    pub(crate) fn fails(self, failure: impl Into<Failure>) -> Self {
        self.retries(failure).then(Then::Fails)
    }

    /// A failure right after the one of a sibling, which decided.
    pub(crate) fn fails_too(self, failure: impl Into<Failure>) -> Self {
        self.retries(failure).then(Then::FailsToo)
    }

    /// A failure that is caught: the flow goes on with the next state.
    pub(crate) fn catches(self, failure: impl Into<Failure>) -> Self {
        self.retries(failure).then(Then::Catches)
    }

    /// Stays in a phase until something else ends it.
    pub(crate) fn stops(self, phase: Phase) -> Self {
        self.then(Then::Stops(phase))
    }

    /// What is said from here on happens after the next redrive.
    pub(crate) fn redriven(mut self) -> Self {
        self.rounds.push(Round::default());
        self
    }

    pub(crate) fn timeout(mut self, seconds: u64) -> Self {
        self.timeout_seconds = Some(seconds);
        self
    }

    pub(crate) fn heartbeat(mut self, seconds: u64) -> Self {
        self.heartbeat_seconds = Some(seconds);
        self
    }

    /// For a Map: one iteration after the other (MaxConcurrency 1), or a few at a time.
    pub(crate) fn at_most(mut self, iterations: usize) -> Self {
        self.container().at_most = iterations;
        self
    }

    /// For a Map or a Parallel: a try before those already there, which failed and was retried.
    pub(crate) fn tried_before(mut self, branches: Vec<Flow>) -> Self {
        self.container().tries.insert(0, numbered(branches));
        self
    }

    /// For a Map or a Parallel: the failure inside is caught.
    pub(crate) fn catches_inside(mut self) -> Self {
        self.container().catches = true;
        self
    }

    pub(super) fn in_round(&self, round: usize) -> &Round {
        self.rounds.get(round).or(self.rounds.last()).expect("a step has at least one round")
    }

    /// `Task`, `Map` and so on.
    pub(super) fn kind(&self) -> &'static str {
        match &self.does {
            Does::Pass => "Pass",
            Does::Choice => "Choice",
            Does::Wait => "Wait",
            Does::Succeed => "Succeed",
            Does::Fail => "Fail",
            Does::Task(_) => "Task",
            Does::MapRun => "Map",
            Does::Many(container) if container.is_map => "Map",
            Does::Many(_) => "Parallel",
        }
    }

    fn then(mut self, then: Then) -> Self {
        self.round().then = then;
        self
    }

    fn round(&mut self) -> &mut Round {
        self.rounds.last_mut().expect("a step has at least one round")
    }

    fn container(&mut self) -> &mut Container {
        match &mut self.does {
            Does::Many(container) => container,
            _ => panic!("{} is neither a Map nor a Parallel", self.name),
        }
    }
}

fn numbered(branches: Vec<Flow>) -> Vec<Branch> {
    branches.into_iter().map(|flow| Branch { id: 0, flow }).collect()
}

/// Gives every step and every branch of a flow a number of its own, and returns how many there are.
pub(super) fn number(flow: &mut Flow, next: usize) -> usize {
    let mut next = next;
    for step in flow {
        step.id = next;
        next += 1;
        if let Does::Many(container) = &mut step.does {
            for branch in container.tries.iter_mut().flatten() {
                branch.id = next;
                next = number(&mut branch.flow, next + 1);
            }
        }
    }
    next
}
