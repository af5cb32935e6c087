//! What a notification says of the incident that a failure belongs to: `analysis.incident`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The incident that a notification is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentNote {
    /// The incident: the same for all failures of one bug.
    pub id: String,
    /// Which of its episodes, counted from 1.
    pub episode: u32,
    /// The number of this notification in the episode; 1 is the alert.
    pub number: u32,
    /// What this notification is.
    pub kind: IncidentKind,
    /// How many executions had failed.
    pub count: u64,
    /// Of how many of them the history was read. The others look the same by their events, and are read later.
    pub read: u64,
    /// When the first of them was recorded.
    pub since: String,
    /// When they were counted.
    pub as_of: String,
    /// Why they belong together.
    pub reason: String,
    /// Whether it was opened again after a resolve.
    pub reopened: bool,
    /// For a resolve, whether an execution has succeeded since; null where that is not known.
    pub succeeded_since: Option<bool>,
    /// For a resolve, who asked for it; null where it has been quiet for long enough.
    pub resolved_by: Option<String>,
    /// The executions that no notification to this route has named before.
    pub new_executions: Vec<NewExecution>,
    /// Which part of the notification this is, counted from 1.
    pub part: u32,
    /// How many parts there are.
    pub parts: u32,
}

/// What a notification about an incident is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IncidentKind {
    /// The first one.
    Alert,
    /// It has grown.
    Update,
    /// It was quiet for long enough.
    Resolved,
}

impl IncidentKind {
    /// The name in reports and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Update => "update",
            Self::Resolved => "resolved",
        }
    }
}

/// An execution that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewExecution {
    /// Its ARN.
    pub execution_arn: String,
    /// Its name.
    pub name: String,
    /// Values of its input by which people know what it was for.
    pub keys: BTreeMap<String, String>,
    /// Whether the bug is in it.
    pub role: ExecutionRole,
}

/// Where the bug is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExecutionRole {
    /// In this execution.
    Cause,
    /// In an execution that this one waited for.
    Parent,
}

impl ExecutionRole {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cause => "cause",
            Self::Parent => "parent",
        }
    }
}
