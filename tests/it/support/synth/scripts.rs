//! Machines that nobody wrote by hand: very long ones, and random ones from a seed.

use super::steps::{
    Does, Failure, Flow, How, Phase, Step, Then, activity, callback, choice, fail, lambda, map, map_run,
    parallel, pass, service, succeed, task, wait,
};
use super::{MAX_EVENTS, Machine, Random};

/// A Map with all its iterations at once, as many as fit into so many events; one of them fails,
/// some are still open, the others have ended.
pub(crate) fn big_map(events: usize) -> Machine {
    // A whole iteration writes 7 events, an open one 6, and the frame around them about 20.
    let iterations = events.saturating_sub(30) / 7;
    let flows = (0..iterations).map(|at| match at {
        _ if at == iterations * 2 / 3 => vec![task("Charge").fails(("Declined", "card expired"))],
        _ if at % 50 == 1 => vec![task("Charge").stops(Phase::Started)],
        _ => vec![task("Charge")],
    });
    Machine::new(vec![pass("Prepare"), map("Orders", flows.collect())])
}

/// One state after the other, exactly so many events (an even number), and a failure at the end.
pub(crate) fn long(events: usize) -> Machine {
    let mut flow: Flow = (0..(events - 6) / 2).map(|at| pass(&format!("Step{}", at % 40))).collect();
    flow.push(task("Charge").fails(("Declined", "card expired")));
    Machine::new(flow)
}

/// A loop that runs into the limit of 25,000 events.
pub(crate) fn endless() -> Machine {
    // The first and the last event, 7 Pass states, and rounds of 2 + 5 + 2 events.
    let mut flow: Flow = (0..7).map(|at| pass(&format!("Prepare{at}"))).collect();
    for _ in 0..(MAX_EVENTS - 2 - 14) / 9 {
        flow.extend([choice("Done?"), task("Poll"), wait("Pause")]);
    }
    Machine { is_endless: true, ..Machine::new(flow) }
}

/// A random execution, the same for the same seed, of every kind that there is.
pub(crate) fn random(seed: u64) -> Machine {
    let mut maker = Maker { random: Random::new(seed), names: 0, budget: 60, is_redrivable: false };
    match maker.random.below(8) {
        0 => Machine::new(maker.flow(Role::Ends, 0, "")),
        1 => Machine::new(maker.flow(Role::Stops, 0, "")).times_out(),
        2 => Machine::new(maker.flow(Role::Stops, 0, "")).stopped(Some(("Manual", "by hand"))),
        3 => Machine::new(maker.flow(Role::Dies, 0, "")),
        4 | 5 => {
            maker.is_redrivable = true;
            let mut flow = maker.flow(Role::Fails, 0, "");
            let fails_again = maker.random.chance(60);
            redrive(&mut flow, fails_again);
            Machine::new(flow).redriven()
        }
        _ => Machine::new(maker.flow(Role::Fails, 0, "")),
    }
}

/// What becomes of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Ends,
    Stops,
    Fails,
    FailsToo,
    Dies,
}

struct Maker {
    random: Random,
    names: usize,
    budget: usize,
    /// Only such ends whose redrive is understood.
    is_redrivable: bool,
}

impl Maker {
    /// A flow: some states that end well, then the one that decides its role.
    fn flow(&mut self, role: Role, depth: usize, scope: &str) -> Flow {
        let mut flow = Flow::new();
        for at in 0..self.random.below(4) {
            flow.push(self.ending_well(depth, &format!("{scope}{at}")));
        }
        match role {
            Role::Ends if flow.is_empty() => flow.push(pass(&format!("{scope}Pass"))),
            Role::Ends => {}
            _ => flow.extend(self.deciding(role, depth, scope)),
        }
        if role == Role::Ends && depth == 0 && self.random.chance(20) {
            flow.push(succeed("Done"));
        }
        flow
    }

    fn ending_well(&mut self, depth: usize, scope: &str) -> Step {
        self.budget = self.budget.saturating_sub(1);
        match self.random.below(10) {
            0 => pass(&format!("{scope}Pass")),
            1 => choice(&format!("{scope}Choice")),
            2 => wait(&format!("{scope}Wait")),
            3 => map_run(&format!("{scope}MapRun")),
            4 | 5 if depth < 3 && self.budget > 0 => self.container(Role::Ends, depth, scope),
            _ => {
                let mut step = self.task(scope);
                while self.random.chance(30) {
                    let failure = self.failure(&step);
                    step = step.retries(failure);
                }
                if self.random.chance(25) {
                    let failure = self.failure(&step);
                    step = step.catches(failure);
                }
                step
            }
        }
    }

    /// The last states of a branch that does not end well.
    fn deciding(&mut self, role: Role, depth: usize, scope: &str) -> Flow {
        self.budget = self.budget.saturating_sub(1);
        let scope = &format!("{scope}X");
        if role != Role::FailsToo && depth < 3 && self.budget > 0 && self.random.chance(50) {
            return vec![self.container(role, depth, scope)];
        }
        let step = self.task(scope);
        match role {
            Role::Ends => unreachable!("a branch that ends well has no such state"),
            Role::FailsToo => {
                let failure = self.failure(&step);
                vec![step.fails_too(failure)]
            }
            Role::Dies => {
                let dead = Failure::runtime("The JSONPath '$.nope' could not be found.");
                vec![if self.random.chance(50) {
                    step.fails(dead)
                } else {
                    pass(&format!("{scope}Pass")).fails(dead)
                }]
            }
            Role::Stops => vec![self.stopping(step, scope)],
            Role::Fails => self.failing(step, scope),
        }
    }

    fn stopping(&mut self, step: Step, scope: &str) -> Step {
        match self.random.below(7) {
            0 => step.stops(Phase::Entered),
            1 => step.stops(Phase::Scheduled),
            2 => step.stops(Phase::Started),
            3 => {
                let failure = self.failure(&step);
                step.retries(failure).stops(Phase::Backoff)
            }
            4 => wait(&format!("{scope}Wait")).stops(Phase::Waiting),
            5 => map_run(&format!("{scope}MapRun")).stops(Phase::Started),
            _ => callback(&format!("{scope}Callback")).stops(Phase::Submitted),
        }
    }

    fn failing(&mut self, mut step: Step, scope: &str) -> Flow {
        if !self.is_redrivable {
            let evaluation =
                Failure::evaluation(Some("Output"), "The JSONata expression '$x' returned nothing.");
            match self.random.below(7) {
                0 => return vec![fail(&format!("{scope}Fail"), ("Stock", "none left"))],
                1 => {
                    let failure = self.failure(&step);
                    let fail = fail(&format!("{scope}Fail"), ("Stock", "none left"));
                    return vec![step.catches(failure), pass(&format!("{scope}Handler")), fail];
                }
                2 => return vec![pass(&format!("{scope}Pass")).fails(evaluation)],
                3 => return vec![map(&format!("{scope}Map"), vec![]).fails(evaluation)],
                4 => return vec![wait(&format!("{scope}Wait")).fails(evaluation)],
                _ => {}
            }
        }
        if self.random.chance(15) {
            let threshold = (
                "States.ExceedToleratedFailureThreshold",
                "The specified tolerated failure threshold was exceeded",
            );
            return vec![map_run(&format!("{scope}MapRun")).fails(threshold)];
        }
        while self.random.chance(40) {
            let failure = self.failure(&step);
            step = step.retries(failure);
        }
        let failure = self.failure(&step);
        vec![step.fails(failure)]
    }

    fn container(&mut self, role: Role, depth: usize, scope: &str) -> Step {
        let is_map = self.random.chance(60);
        let name = format!("{scope}{}", if is_map { "Map" } else { "Parallel" });
        let at_most = if is_map { [usize::MAX, usize::MAX, 1, 2][self.random.below(4)] } else { usize::MAX };
        // A container that ends well may have failed inside, caught or tried again.
        let catches = role == Role::Ends && self.random.chance(20);
        let inside = if catches { Role::Fails } else { role };
        let mut branches = self.branches(inside, depth, &name, is_map, at_most);
        let before = if self.random.chance(20) {
            Some(self.branches(Role::Fails, depth, &name, is_map, at_most))
        } else {
            None
        };
        if branches.is_empty() {
            branches.push(self.flow(inside, depth + 1, &name));
        }
        let mut step = if is_map { map(&name, branches) } else { parallel(&name, branches) };
        if is_map {
            step = step.at_most(at_most);
        }
        if let Some(before) = before {
            step = step.tried_before(before);
        }
        if catches { step.catches_inside() } else { step }
    }

    /// The branches of one try: one has the role, the others anything that goes with it.
    fn branches(&mut self, role: Role, depth: usize, name: &str, is_map: bool, at_most: usize) -> Vec<Flow> {
        let count = 1 + self.random.below(4);
        let decides = self.random.below(count);
        let mut branches = Vec::new();
        for at in 0..count {
            // Iterations go through the same states, branches have states of their own.
            let scope = if is_map { format!("{name}.") } else { format!("{name}.{at}.") };
            let anything = match role {
                Role::Ends => Role::Ends,
                Role::Fails => [Role::Ends, Role::Stops, Role::FailsToo][self.random.below(3)],
                _ => [Role::Ends, Role::Stops][self.random.below(2)],
            };
            let role = match at {
                _ if at == decides => role,
                // The one that decides must find room.
                _ if at < decides && at_most != usize::MAX => Role::Ends,
                _ => anything,
            };
            branches.push(self.flow(role, depth + 1, &scope));
        }
        branches
    }

    fn task(&mut self, scope: &str) -> Step {
        let step = match self.random.below(6) {
            0 => lambda(&format!("{scope}Lambda")),
            1 => activity(&format!("{scope}Activity")),
            2 => callback(&format!("{scope}Callback")),
            3 => service(&format!("{scope}Put"), "dynamodb", "putItem"),
            _ => task(&format!("{scope}Task")),
        };
        if self.random.chance(30) { step.timeout(60).heartbeat(5) } else { step }
    }

    /// A failure that this kind of task can have.
    fn failure(&mut self, step: &Step) -> Failure {
        use super::steps::Integration;
        self.names += 1;
        let Does::Task(integration) = &step.does else { panic!("{} is no task", step.name) };
        let cause = format!("failure number {}", self.names);
        let how = match (self.random.below(8), integration) {
            (0, _) => return Failure::timeout(),
            (1, _) => return Failure::silent(),
            (2, Integration::Lambda | Integration::Activity) => How::ScheduleFailed,
            (2, Integration::Service { .. }) => How::StartFailed,
            (3, Integration::Service { .. }) => How::SubmitFailed,
            (3, Integration::Lambda) => How::StartFailed,
            (3, Integration::Activity) => How::NeverStarted,
            (4, _) if !self.is_redrivable => return Failure::evaluation(Some("Arguments"), &cause),
            _ => How::Failed,
        };
        Failure::new(how, &format!("Error{}", self.names), &cause)
    }
}

/// Says what everything that was open does after a redrive: the same once more, or better.
fn redrive(flow: &mut Flow, fails_again: bool) {
    for step in flow {
        let last = step.in_round(0).clone();
        if matches!(last.then, Then::Fails | Then::FailsToo | Then::Stops(_)) {
            step.rounds.push(if fails_again { last } else { Default::default() });
        }
        if let Does::Many(container) = &mut step.does {
            for branch in container.tries.iter_mut().flatten() {
                redrive(&mut branch.flow, fails_again);
            }
        }
    }
}
