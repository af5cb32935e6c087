//! Parallel states and inline Maps: branches that run at once, and what is told when one fails.
//!
//! When a branch fails, AWS writes one block of events that all point at the last event of that
//! branch: for each iteration in the order of its index `MapIterationFailed` or
//! `MapIterationAborted`, each followed by a `*StateAborted` for the state that it was in (the
//! failed task's own included), then `MapStateFailed` or `ParallelStateFailed`. A state that is
//! tried again writes no `*StateFailed`.

use std::rc::Rc;

use serde_json::{Value, json};

use super::line::{Pace, Prev};
use super::plan::{End, Fatal, Fate, Plan, caught_output};
use super::steps::{Branch, Container, Does, How, Phase, Step, Then};

/// How the branches of one try ended.
#[derive(Default)]
struct Ended {
    done: Vec<usize>,
    /// Where in the list the branch is that failed, and with what.
    failed: Option<(usize, Fatal)>,
    dead: Option<Fatal>,
    is_open: bool,
}

impl Plan {
    pub(super) fn run_many(&mut self, step: &Step, container: &Container, resumes: bool) -> End {
        let round = step.in_round(self.round);
        if let Some(failure) = round.failures.first() {
            let evaluates = matches!(failure.how, How::Evaluation(_));
            if !evaluates {
                return self.own_failure(step, failure, round.then);
            }
            self.evaluation_failed(step, failure);
            self.next(step, &format!("{}StateFailed", step.kind()), Value::Null);
            return self.after_failure(step, failure, round.then);
        }
        if round.then == Then::Stops(Phase::Entered) {
            return self.stop(step, Phase::Entered);
        }
        let tries = &container.tries;
        let first = if resumes { tries.len() - 1 } else { 0 };
        // The fatal event of the try before, and the last events that tell of it.
        let mut failed_before: Option<(usize, Vec<usize>)> = None;
        for (at, branches) in tries.iter().enumerate().skip(first) {
            let before = self.nodes.len();
            if !resumes {
                let details = if container.is_map { json!({"length": branches.len()}) } else { Value::Null };
                let started = self.next(step, &format!("{}StateStarted", step.kind()), details);
                self.records[step.id].started = started;
                if let Some((failed, told)) = failed_before.take() {
                    self.nodes[started].after.extend(told);
                    self.pace(started, Pace::After(failed, 1000));
                }
            }
            if let Then::Stops(phase) = round.then {
                return self.stop(step, phase);
            }
            let ended = self.run_branches(step, container, branches);
            if let Some(dead) = ended.dead {
                assert!(ended.failed.is_none(), "{}: only one branch can be first", step.name);
                return End::Dead(dead);
            }
            let Some((failing, fatal)) = ended.failed else {
                return if ended.is_open { End::Stopped } else { self.all_done(step, branches, &ended.done) };
            };
            let told = self.tell_failed(step, container, branches, failing, &fatal, before);
            if at + 1 == tries.len() {
                return self.container_failed(step, container, fatal, told);
            }
            self.others.push((fatal.step, Fate::Retried));
            self.records[step.id].tip = fatal.tip;
            failed_before = Some((fatal.tip, told));
        }
        unreachable!("the last try returns")
    }

    fn run_branches(&mut self, step: &Step, container: &Container, branches: &[Branch]) -> Ended {
        let started = self.records[step.id].started;
        let mut ended = Ended::default();
        for (index, branch) in branches.iter().enumerate() {
            if self.records[branch.id].is_done {
                ended.done.push(branch.id);
                continue;
            }
            let path = self.path_into(step, container, index);
            let mut input = self.records[step.id].input.clone();
            let mut from = started;
            if container.is_map {
                input = json!({"item": index, "of": path.join("/")}).to_string();
                let entered = self.records[branch.id].entered;
                match entered.or_else(|| self.start_iteration(step, container, branch, index, &ended.done)) {
                    Some(entered) => from = entered,
                    None => {
                        ended.is_open = true;
                        break;
                    }
                }
            }
            match self.run_flow(branch.id, &branch.flow, &path, Prev::Event(from), &input) {
                End::Done => {
                    self.iteration_succeeded(step, container, branch, index);
                    ended.done.push(branch.id);
                }
                End::Stopped => ended.is_open = true,
                End::Failed(fatal) => {
                    assert!(ended.failed.is_none(), "{}: only one branch can be first", step.name);
                    ended.failed = Some((index, fatal));
                }
                End::Dead(fatal) => ended.dead = Some(fatal),
            }
        }
        ended
    }

    /// Starts an iteration, if there is room for it.
    fn start_iteration(
        &mut self,
        step: &Step,
        container: &Container,
        branch: &Branch,
        index: usize,
        done: &[usize],
    ) -> Option<usize> {
        let mut made_room = None;
        if let Some(needed) = index.checked_sub(container.at_most) {
            made_room = Some(self.records[*done.get(needed)?].ended?);
        }
        // One at a time, an iteration goes on where the one before it ended.
        let prev = match (container.at_most, done.last()) {
            (1, Some(before)) => self.records[*before].tip,
            _ => self.records[step.id].started,
        };
        let details = json!({"index": index, "name": step.name});
        let event = self.push("MapIterationStarted", Prev::Event(prev), details);
        self.nodes[event].after.extend(made_room);
        let record = &mut self.records[branch.id];
        record.entered = Some(event);
        record.tip = event;
        Some(event)
    }

    fn iteration_succeeded(&mut self, step: &Step, container: &Container, branch: &Branch, index: usize) {
        if container.is_map {
            let prev = Prev::Event(self.records[branch.id].tip);
            let details = json!({"index": index, "name": step.name});
            self.records[branch.id].ended = Some(self.push("MapIterationSucceeded", prev, details));
        }
    }

    fn all_done(&mut self, step: &Step, branches: &[Branch], done: &[usize]) -> End {
        assert_eq!(done.len(), branches.len(), "{}: all branches have ended well", step.name);
        let started = self.records[step.id].started;
        let ends = done.iter().map(|branch| {
            let record = &self.records[*branch];
            record.ended.unwrap_or(record.tip)
        });
        let mut ends: Vec<usize> = ends.collect();
        if ends.is_empty() {
            ends.push(started);
        }
        let output: Vec<&str> = done.iter().map(|branch| self.records[*branch].output.as_str()).collect();
        let output = if output.len() > 20 { json!({"results": output.len()}) } else { json!(output) };
        let succeeded =
            self.push(&format!("{}StateSucceeded", step.kind()), Prev::Last(ends.clone()), Value::Null);
        let end = self.exit_from(step, Prev::Last(ends), output.to_string(), Pace::Soon);
        let exited = self.records[step.id].tip;
        self.nodes[exited].after.push(succeeded);
        end
    }

    /// Writes the block of events that tells of a branch's failure, after everything that happened
    /// since the event `before`. Returns what must have been written before things go on.
    fn tell_failed(
        &mut self,
        step: &Step,
        container: &Container,
        branches: &[Branch],
        failing: usize,
        fatal: &Fatal,
        before: usize,
    ) -> Vec<usize> {
        // Who failed in the same moment came after the one that decided.
        for too in std::mem::take(&mut self.too) {
            self.nodes[too].after.push(fatal.tip);
        }
        let block = self.nodes.len();
        for (index, branch) in branches.iter().enumerate() {
            let record = &self.records[branch.id];
            if record.is_done || (container.is_map && record.entered.is_none()) {
                continue;
            }
            let is_failing = index == failing;
            if container.is_map {
                let told = if is_failing { "Failed" } else { "Aborted" };
                let details = json!({"index": index, "name": step.name});
                self.push(&format!("MapIteration{told}"), Prev::Event(fatal.tip), details);
            }
            if is_failing {
                self.tell_failing_state(&branch.flow, fatal.tip);
                continue;
            }
            self.tell_aborted(&branch.flow, fatal.tip);
            let mut leaves = Vec::new();
            self.open_leaves(&branch.flow, &mut leaves);
            for leaf in leaves {
                let fate = if self.records[leaf].failed_too { Fate::AlsoFailed } else { Fate::Aborted };
                self.others.push((leaf, fate));
            }
        }
        let end = self.nodes.len();
        for event in block + 1..end {
            self.nodes[event].after.push(event - 1);
        }
        if block == end {
            return (before..block).collect();
        }
        self.nodes[block].after.extend(before..block);
        vec![end - 1]
    }

    /// The state that failed gets its `*StateAborted` like the others; a Fail state does not.
    fn tell_failing_state(&mut self, flow: &[Step], tip: usize) {
        let Some(step) = self.open_step(flow) else { return };
        let last = step.in_round(self.round).failures.last().map(|failure| failure.how);
        let told = match step.kind() {
            "Task" => !matches!(last, Some(How::Evaluation(_))),
            "Map" | "Parallel" => self.quirks.failed_containers_are_aborted,
            _ => false,
        };
        if told {
            self.push(&format!("{}StateAborted", step.kind()), Prev::Event(tip), Value::Null);
        }
    }

    /// `*StateAborted` for the state that a branch was in, and for those inside it.
    fn tell_aborted(&mut self, flow: &[Step], tip: usize) {
        let Some(step) = self.open_step(flow) else { return };
        if matches!(step.does, Does::MapRun) && self.records[step.id].phase == Some(Phase::Started) {
            self.push("MapRunAborted", Prev::Event(tip), Value::Null);
        }
        if matches!(step.kind(), "Task" | "Wait" | "Map" | "Parallel") {
            self.push(&format!("{}StateAborted", step.kind()), Prev::Event(tip), Value::Null);
        }
        let Does::Many(container) = &step.does else { return };
        for (index, branch) in container.tries.last().into_iter().flatten().enumerate() {
            let record = &self.records[branch.id];
            if record.is_done || (container.is_map && record.entered.is_none()) {
                continue;
            }
            if container.is_map {
                let details = json!({"index": index, "name": step.name});
                self.push("MapIterationAborted", Prev::Event(tip), details);
            }
            self.tell_aborted(&branch.flow, tip);
        }
    }

    /// The failure of a container's last try: caught, or on its way further out.
    fn container_failed(
        &mut self,
        step: &Step,
        container: &Container,
        fatal: Fatal,
        told: Vec<usize>,
    ) -> End {
        let prev = Prev::Event(fatal.tip);
        let failed = self.push(&format!("{}StateFailed", step.kind()), prev, Value::Null);
        self.nodes[failed].after.extend(told);
        self.records[step.id].tip = failed;
        if !container.catches {
            return End::Failed(Fatal { tip: failed, ..fatal });
        }
        self.others.push((fatal.step, Fate::Caught));
        self.records[step.id].caught = Some(fatal.step);
        let output = caught_output(fatal.error.as_deref(), fatal.cause.as_deref());
        self.exit(step, output, Pace::Soon)
    }

    /// The step of a flow that was entered and not left.
    pub(super) fn open_step<'a>(&self, flow: &'a [Step]) -> Option<&'a Step> {
        flow.iter().find(|step| self.records[step.id].entered.is_some() && !self.records[step.id].is_done)
    }

    /// The innermost open steps of a flow.
    pub(super) fn open_leaves(&self, flow: &[Step], leaves: &mut Vec<usize>) {
        let Some(step) = self.open_step(flow) else { return };
        let before = leaves.len();
        if let Does::Many(container) = &step.does {
            for branch in container.tries.last().into_iter().flatten() {
                self.open_leaves(&branch.flow, leaves);
            }
        }
        if leaves.len() == before {
            leaves.push(step.id);
        }
    }

    fn path_into(&self, step: &Step, container: &Container, index: usize) -> Rc<[String]> {
        let mut path = self.records[step.id].path.to_vec();
        path.push(if container.is_map { format!("{}[{index}]", step.name) } else { step.name.clone() });
        path.into()
    }
}
