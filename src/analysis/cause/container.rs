//! How containers ended: those of an ECS task, of a Batch job of any kind, and of Kubernetes' pods.

use serde_json::{Map, Value};

use super::field::{self, is_named, meaningful, number, objects, text};

/// How many containers a message names.
const MAX_NAMED: usize = 5;

/// How many containers are read.
const MAX_READ: usize = 1_000;

/// Where the containers of an ECS task lie, also of one in an answer of RunTask.
const ECS: &[&str] = &["Containers", "Tasks.Containers"];

/// Where those of a Batch job lie: of a plain job, of one with several containers, of one on EKS; in
/// the attempts too, which come first where a cause is cut.
const BATCH: &[&str] = &[
    "Container",
    "EcsProperties.TaskProperties.Containers",
    "EksProperties.PodProperties.Containers",
    "EksProperties.PodProperties.InitContainers",
    "Attempts.Container",
    "Attempts.TaskProperties.Containers",
    "EksAttempts.Containers",
    "EksAttempts.InitContainers",
];

/// How one container ended.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct ContainerExit {
    pub(super) name: Option<String>,
    pub(super) code: Option<i64>,
    pub(super) reason: Option<String>,
}

impl ContainerExit {
    fn of(container: &Map<String, Value>) -> Self {
        Self {
            name: text(container, "Name").map(str::to_owned),
            code: number(container, "ExitCode"),
            reason: text(container, "Reason").map(str::to_owned),
        }
    }

    fn went_wrong(&self) -> bool {
        self.reason.is_some() || self.code.is_some_and(|code| code != 0)
    }

    fn speaks_of_memory(&self) -> bool {
        self.reason.as_deref().is_some_and(speaks_of_memory)
    }

    /// `container app exited with code 137 (killed, often for lack of memory): OutOfMemoryError: …`.
    fn said(&self, stopped_otherwise: bool) -> String {
        let name = match &self.name {
            Some(name) => format!("container {name}"),
            None => "the container".to_owned(),
        };
        let otherwise = match &self.reason {
            Some(_) => !self.speaks_of_memory(),
            None => stopped_otherwise,
        };
        let ended = match self.code {
            Some(0) | None => "stopped".to_owned(),
            Some(code) => format!("exited with code {code}{}", meaning(code, otherwise)),
        };
        match &self.reason {
            Some(reason) => format!("{name} {ended}: {}", without_stop(reason)),
            None => format!("{name} {ended}"),
        }
    }
}

/// The containers of a stopped ECS task that went wrong.
pub(super) fn of_ecs_task(task: &Map<String, Value>) -> Vec<String> {
    let by_choice = text(task, "StopCode").is_some_and(|code| code != "EssentialContainerExited");
    let otherwise = by_choice || text(task, "StoppedReason").is_some_and(says_otherwise);
    said(merged(task, ECS), otherwise)
}

/// The containers of a Batch job that went wrong, and how many jobs of an array did.
pub(super) fn of_batch_job(job: &Map<String, Value>) -> Vec<String> {
    let by_choice = ["IsTerminated", "IsCancelled"]
        .iter()
        .any(|key| field::value(job, key).is_some_and(|value| *value == Value::Bool(true)));
    let reasons = [text(job, "StatusReason")]
        .into_iter()
        .chain(objects(job, "Attempts").into_iter().map(|attempt| text(attempt, "StatusReason")));
    let otherwise = by_choice || reasons.flatten().any(says_otherwise);
    let mut parts = said(merged(job, BATCH), otherwise);
    parts.extend(objects(job, "ArrayProperties").into_iter().find_map(of_array));
    parts
}

/// `3 of 10 jobs of the array failed`.
fn of_array(array: &Map<String, Value>) -> Option<String> {
    let failed = number(objects(array, "StatusSummary").first()?, "FAILED").filter(|failed| *failed > 0)?;
    Some(match number(array, "Size") {
        Some(size) => format!("{failed} of {size} jobs of the array failed"),
        None => format!("{failed} jobs of the array failed"),
    })
}

/// The containers under these paths, each name once: what one place does not say, another may.
fn merged(object: &Map<String, Value>, paths: &[&str]) -> Vec<ContainerExit> {
    let mut exits: Vec<ContainerExit> = Vec::new();
    // More than any task has: a forged cause must not be searched for long.
    for container in paths.iter().flat_map(|path| objects(object, path)).take(MAX_READ) {
        let exit = ContainerExit::of(container);
        match exits.iter_mut().find(|known| known.name == exit.name) {
            Some(known) => {
                // Another attempt may have ended otherwise.
                let is_empty = known.code.is_none() && known.reason.is_none();
                if is_empty || known.code == exit.code {
                    known.code = exit.code;
                    known.reason = known.reason.take().or(exit.reason);
                }
            }
            None => exits.push(exit),
        }
    }
    exits
}

/// Those that went wrong in words, the ones with a reason first.
pub(super) fn said(mut exits: Vec<ContainerExit>, stopped_otherwise: bool) -> Vec<String> {
    exits.retain(ContainerExit::went_wrong);
    exits.sort_by_key(|exit| exit.reason.is_none());
    let more = exits.len().saturating_sub(MAX_NAMED);
    let mut parts: Vec<String> =
        exits.iter().take(MAX_NAMED).map(|exit| exit.said(stopped_otherwise)).collect();
    if more > 0 {
        parts.push(format!("and {more} more containers"));
    }
    parts
}

/// Whether a reason says more than that a container exited, and does not mention memory: then the kill
/// had another cause than lack of memory.
fn says_otherwise(reason: &str) -> bool {
    const SAYS_NOTHING: [&str; 2] = ["Essential container in task exited", "Array Child Job failed"];
    !SAYS_NOTHING.iter().any(|known| reason.starts_with(known)) && !speaks_of_memory(reason)
}

fn speaks_of_memory(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    reason.contains("memory") || reason.contains("oomkill")
}

/// Exit codes above 128 are a signal's number plus 128.
fn meaning(code: i64, stopped_otherwise: bool) -> &'static str {
    match code {
        126 => " (the command could not be run)",
        127 => " (command not found)",
        134 => " (aborted itself)",
        137 if stopped_otherwise => " (killed)",
        137 => " (killed, often for lack of memory)",
        139 => " (segmentation fault)",
        143 => " (told to stop)",
        _ => "",
    }
}

/// A sentence without its full stop, to go on behind it.
pub(super) fn without_stop(text: &str) -> &str {
    text.trim().trim_end_matches('.')
}

/// How the containers of a pod ended, as Kubernetes says it under `containerStatuses`.
pub(super) fn of_pod(status: &Map<String, Value>) -> Vec<ContainerExit> {
    let lists = ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"];
    let containers = lists.iter().flat_map(|list| objects(status, list));
    containers.filter_map(of_container_status).collect()
}

fn of_container_status(container: &Map<String, Value>) -> Option<ContainerExit> {
    let ended = ["state.terminated", "lastState.terminated", "state.waiting"]
        .iter()
        .find_map(|path| objects(container, path).into_iter().next())?;
    // `Error` adds nothing to the exit code.
    let known = |reason: &&str| !["Error", "Completed"].iter().any(|nothing| is_named(reason, nothing));
    let reason = text(ended, "reason").filter(known);
    let message = text(ended, "message");
    let reason = match (reason, message) {
        (Some(reason), Some(message)) => Some(format!("{reason}: {message}")),
        (one, other) => one.or(other).and_then(meaningful).map(str::to_owned),
    };
    let name = text(container, "name").map(str::to_owned);
    Some(ContainerExit { name, code: number(ended, "exitCode"), reason })
}
