//! What a task called, by the few names that its parameters and the service's first answer hold.
//!
//! Parameters and outputs may have 256 KiB each and a history 25,000 of them, so only the values under
//! `KEPT` stay, each short, and of the rest nothing.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The longest value that is kept, in bytes: the longest ARN. A longer one is dropped, since half a name
/// leads nowhere.
const LONGEST: usize = 2_048;

/// The most bytes that are kept of one event.
const MOST: usize = 8_192;

/// The longest list that a path leads into.
const LONGEST_LIST: usize = 1_000;

/// Where AWS services put the names of what they run, as paths: a number is an index in a
/// list. From the services' API models, as Step Functions writes them.
pub(crate) const KEPT: &[&str] = &[
    "ActivityArn",
    "ApiEndpoint",
    "ApplicationId",
    "Arn",
    "AutoMLJobArn",
    "AutoMLJobName",
    "Bucket",
    "Build.Arn",
    "Build.Id",
    "Build.Logs.GroupName",
    "Build.Logs.StreamName",
    "Build.ProjectName",
    "ClientRequestToken",
    "Cluster",
    "ClusterArn",
    "ClusterId",
    "ClusterIdentifier",
    "ClusterName",
    "ConfigurationOverrides.MonitoringConfiguration.CloudWatchLoggingConfiguration.Enabled",
    "ConfigurationOverrides.MonitoringConfiguration.CloudWatchLoggingConfiguration.LogGroupName",
    "ConfigurationOverrides.MonitoringConfiguration.CloudWatchLoggingConfiguration.LogStreamNamePrefix",
    "ConfigurationOverrides.MonitoringConfiguration.CloudWatchMonitoringConfiguration.LogGroupName",
    "ConfigurationOverrides.MonitoringConfiguration.CloudWatchMonitoringConfiguration.LogStreamNamePrefix",
    "CrawlerName",
    "Database",
    "DbClusterIdentifier",
    "DbInstanceIdentifier",
    "DeliveryStreamName",
    "DomainName",
    "EndpointArn",
    "EndpointName",
    "Entries.0.EventBusName",
    "EventBusName",
    "ExecutionArn",
    "FileSystemId",
    "FunctionName",
    "HyperParameterTuningJobArn",
    "HyperParameterTuningJobName",
    "Id",
    "InstanceId",
    "InstanceIds.0",
    "Job.Arn",
    "Job.Id",
    "Job.metadata.name",
    "Job.metadata.namespace",
    "JobArn",
    "JobDefinition",
    "JobId",
    "JobName",
    "JobQueue",
    "JobRunId",
    "KeyId",
    "LabelingJobArn",
    "LabelingJobName",
    "LogGroupName",
    "LogStreamName",
    "MessageId",
    "Method",
    "ModelId",
    "ModelName",
    "Name",
    "Path",
    "PipelineName",
    "ProcessingJobArn",
    "ProcessingJobName",
    "ProjectName",
    "Qualifier",
    "QueryExecutionId",
    "QueryId",
    "Queue",
    "QueueName",
    "QueueUrl",
    "ReplicationTaskArn",
    "RuleName",
    "RunId",
    "SdkResponseMetadata.RequestId",
    "SecretId",
    "Stage",
    "StateMachineArn",
    "Step.Name",
    "StepId",
    "StreamName",
    "TableName",
    "TargetArn",
    "TaskArn",
    "TaskDefinition",
    "Tasks.0.ClusterArn",
    "Tasks.0.Containers.0.Name",
    "Tasks.0.TaskArn",
    "Tasks.0.TaskDefinitionArn",
    "TopicArn",
    "TrainingJobArn",
    "TrainingJobName",
    "TransformJobArn",
    "TransformJobName",
    "UserPoolId",
    "VirtualClusterId",
    "WorkGroup",
    "WorkgroupName",
];

/// The names that one event holds of what its task called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallTarget {
    region: Option<Box<str>>,
    values: Vec<(&'static str, Box<str>)>,
}

impl CallTarget {
    /// Reads what a task was called with, or what the service first answered, both as JSON text. `None`
    /// where neither that nor a region names anything.
    pub(crate) fn read(json: &str, region: Option<&str>) -> Option<Box<Self>> {
        let mut target = Self {
            region: region.filter(|region| region.len() <= LONGEST).map(Box::from),
            values: Vec::new(),
        };
        target.collect(json);
        (target != Self::default()).then(|| Box::new(target))
    }

    /// The region that the task called.
    pub fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// The value at a path of `KEPT`.
    pub fn get(&self, path: &str) -> Option<&str> {
        self.values.iter().find(|(known, _)| *known == path).map(|(_, value)| &**value)
    }

    fn collect(&mut self, json: &str) {
        let Ok(Top(fields)) = serde_json::from_str(json) else { return };
        let mut left = MOST;
        for (key, raw) in fields {
            for path in KEPT.iter().filter(|path| first(path) == key) {
                let Some(value) = descend(raw, rest(path)) else { continue };
                if value.is_empty() || value.len() > LONGEST.min(left) || self.get(path).is_some() {
                    continue;
                }
                left -= value.len();
                self.values.push((path, value.into()));
            }
        }
    }
}

fn first(path: &str) -> &str {
    path.split_once('.').map_or(path, |(first, _)| first)
}

fn rest(path: &str) -> Option<&str> {
    path.split_once('.').map(|(_, rest)| rest)
}

/// The text or number at the end of a path.
fn descend(raw: &RawValue, path: Option<&str>) -> Option<String> {
    let Some(path) = path else {
        return match raw.get().as_bytes().first()? {
            b'"' if raw.get().len() <= 6 * LONGEST => serde_json::from_str(raw.get()).ok(),
            b'-' | b'0'..=b'9' | b't' | b'f' => Some(raw.get().to_owned()),
            _ => None,
        };
    };
    let key = first(path);
    if let Ok(place) = key.parse::<usize>() {
        let list: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
        return descend(list.get(place).filter(|_| list.len() <= LONGEST_LIST)?, rest(path));
    }
    let Top(fields) = serde_json::from_str(raw.get()).ok()?;
    fields.into_iter().find(|(known, _)| *known == key).and_then(|(_, value)| descend(value, rest(path)))
}

/// The fields of an object that some path of `KEPT` goes through, as they are written.
struct Top<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Top<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TargetReader;
        impl<'de> Visitor<'de> for TargetReader {
            type Value = Top<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = Vec::new();
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    if KEPT.iter().any(|path| path.split('.').any(|part| part == key)) {
                        fields.push((key, map.next_value()?));
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Top(fields))
            }
        }
        deserializer.deserialize_map(TargetReader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_kept_and_nothing_else() {
        let parameters = r#"{"FunctionName": "charge", "Payload": {"FunctionName": "no", "big": [1, 2]},
            "Tasks": [{"TaskArn": "t\u0031", "Containers": [{"Name": "app"}]}, {"TaskArn": "t2"}]}"#;
        let target = CallTarget::read(parameters, Some("eu-west-1")).unwrap();
        assert_eq!(target.region(), Some("eu-west-1"));
        let mut values: Vec<_> = target.values.iter().map(|(path, value)| (*path, &**value)).collect();
        values.sort_unstable();
        assert_eq!(
            values,
            [("FunctionName", "charge"), ("Tasks.0.Containers.0.Name", "app"), ("Tasks.0.TaskArn", "t1")]
        );
    }

    #[test]
    fn what_names_nothing_is_not_kept_at_all() {
        for json in
            ["{}", "", "[1]", "null", "\"FunctionName\"", r#"{"FunctionName": null}"#, r#"{"Id": []}"#, "{"]
        {
            assert_eq!(CallTarget::read(json, None), None, "{json}");
        }
    }

    #[test]
    fn a_value_that_is_too_long_is_dropped_and_all_together_are_bounded() {
        let long = |length: usize| "x".repeat(length);
        let target = |json: serde_json::Value| CallTarget::read(&json.to_string(), None);
        assert_eq!(target(serde_json::json!({"FunctionName": long(LONGEST + 1)})), None);
        let all: serde_json::Map<String, serde_json::Value> = KEPT
            .iter()
            .filter(|path| !path.contains('.'))
            .map(|path| ((*path).to_owned(), long(LONGEST).into()))
            .collect();
        let kept = target(all.into()).unwrap();
        assert_eq!(kept.values.iter().map(|(_, value)| value.len()).sum::<usize>(), MOST);
    }
}
