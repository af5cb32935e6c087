//! Which integration a task called: the history names it, and so the service that wrote a cause.

use crate::history::Details;

/// An integration of Step Functions: a service and what was asked of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Called {
    service: String,
    action: String,
}

impl Called {
    /// An integration by the resource type and the resource of a task's events: `batch` and
    /// `submitJob.sync`. With a task token, somebody's own code answers and not the service: `None`.
    pub fn new(resource_type: &str, resource: &str) -> Option<Self> {
        let (action, pattern) = resource.split_once('.').unwrap_or((resource, ""));
        if resource_type.is_empty() || pattern.starts_with("waitForTaskToken") {
            return None;
        }
        Some(Self { service: resource_type.to_ascii_lowercase(), action: action.to_owned() })
    }

    /// The integration of a task's event. A function that is called by its ARN is Lambda's.
    pub(in crate::analysis) fn of(details: &Details) -> Option<Self> {
        let resource = details.resource.as_deref()?;
        match details.resource_type.as_deref() {
            Some(resource_type) => Self::new(resource_type, resource),
            None if resource.contains(":lambda:") => Self::new("lambda", "invoke"),
            None => None,
        }
    }

    /// Whether it is one of these: `batch:submitJob`, `lambda:*`, `aws-sdk:*`.
    pub(super) fn is_one_of(&self, integrations: &[&str]) -> bool {
        integrations.iter().any(|integration| {
            let (service, action) = integration.rsplit_once(':').unwrap_or((integration, "*"));
            let is_service =
                service == self.service || (service == "aws-sdk" && self.service.starts_with("aws-sdk:"));
            is_service && (action == "*" || action.eq_ignore_ascii_case(&self.action))
        })
    }

    /// Whether an SDK makes the call, and its exceptions are the errors.
    pub(super) fn is_sdk(&self) -> bool {
        self.service.starts_with("aws-sdk:")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_of_the_call_does_not_matter_but_for_a_task_token() {
        let batch = Called::new("batch", "submitJob.sync").unwrap();
        assert!(batch.is_one_of(&["glue:startJobRun", "batch:submitJob"]) && batch.is_one_of(&["batch:*"]));
        assert!(!batch.is_one_of(&["batch:describeJobs"]) && !batch.is_sdk());
        assert_eq!(Called::new("states", "startExecution.sync:2"), Called::new("states", "startExecution"));
        assert_eq!(Called::new("lambda", "invoke.waitForTaskToken"), None);
        let sdk = Called::new("aws-sdk:s3", "headObject").unwrap();
        assert!(sdk.is_sdk() && sdk.is_one_of(&["aws-sdk:*"]) && !sdk.is_one_of(&["s3:*"]));
    }
}
