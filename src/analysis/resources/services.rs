//! The services that a task may call: what each calls its runs, and where it writes its log.
//!
//! One table, by the resource types of Step Functions. `docs/explain.md` shows it; a test holds the two
//! together. What is not in it is read by names that many services share ([`other`]).

mod analytics;
mod calls;
mod compute;
mod table;

use super::facts::{Arn, Facts, last_part};
use super::links::{Console, Window, encoded, encoded_arn};
use table::SERVICES;

/// What is known of a call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FoundResource {
    pub(super) name: Option<String>,
    pub(super) arn: Option<String>,
    pub(super) id: Option<String>,
    pub(super) status: Option<String>,
    pub(super) log: LogPlace,
    /// The page in the console.
    pub(super) console: Option<String>,
}

/// Where a call wrote its log.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LogPlace {
    pub(super) group: Option<String>,
    /// A stream, or what streams begin with: then it ends in `/`.
    pub(super) stream: Option<String>,
    /// Its region, where that is another one.
    pub(super) region: Option<String>,
    /// A text that its lines hold, where the stream is not known.
    pub(super) request: Option<String>,
    /// A page of the service itself that shows it.
    pub(super) page: Option<String>,
}

impl LogPlace {
    fn stream(group: Option<String>, stream: Option<String>) -> Self {
        Self { group, stream, ..Self::default() }
    }
}

/// One service.
pub(super) struct ServiceRow {
    /// Its name in a report.
    pub(super) name: &'static str,
    /// How Step Functions and its SDK integrations call it, `aws-sdk:` left out.
    types: &'static [&'static str],
    /// What is read of a call.
    pub(super) read: fn(&Facts<'_>, &Console) -> FoundResource,
    /// What is called, in words.
    noun: &'static str,
    /// What its id is the id of, in words.
    run: &'static str,
    /// What a report names, for people.
    #[cfg_attr(not(test), expect(dead_code, reason = "docs/explain.md has it; a test compares"))]
    named: &'static str,
    /// Which log group and stream, for people.
    #[cfg_attr(not(test), expect(dead_code, reason = "docs/explain.md has it; a test compares"))]
    log: &'static str,
    /// Which pages, for people.
    #[cfg_attr(not(test), expect(dead_code, reason = "docs/explain.md has it; a test compares"))]
    links: &'static str,
}

/// The service of a resource type, and the name that it has in a report. `aws-sdk:` in front of it
/// makes no difference.
pub(super) fn service(resource_type: &str) -> (&str, fn(&Facts<'_>, &Console) -> FoundResource) {
    let plain = resource_type.strip_prefix("aws-sdk:").unwrap_or(resource_type);
    let known = SERVICES.iter().find(|service| service.types.contains(&plain));
    known.map_or((plain, other), |service| (service.name, service.read))
}

/// A service by its name in a report: what is called, and what the id is the id of, in words.
pub(super) fn words(service: &str) -> Option<(&'static str, &'static str)> {
    SERVICES.iter().find(|known| known.name == service).map(|known| (known.noun, known.run))
}

/// A service that is not in the table: what many of them call their resources.
fn other(facts: &Facts<'_>, _console: &Console) -> FoundResource {
    let name = facts.get(&[
        "TableName",
        "QueueUrl",
        "TopicArn",
        "Bucket",
        "FunctionName",
        "StateMachineArn",
        "StreamName",
        "DeliveryStreamName",
        "EventBusName",
        "SecretId",
        "KeyId",
        "InstanceId",
        "InstanceIds.0",
        "DbInstanceIdentifier",
        "DbClusterIdentifier",
        "ClusterIdentifier",
        "ClusterName",
        "DomainName",
        "FileSystemId",
        "UserPoolId",
        "PipelineName",
        "CrawlerName",
        "ReplicationTaskArn",
        "JobName",
        "RuleName",
        "ModelName",
        "EndpointName",
        "TargetArn",
        "Name",
    ]);
    let id = facts.get(&["JobId", "RunId", "QueryId", "ClientRequestToken"]).or_else(|| facts.request_id());
    named(name, id, facts)
}

/// A name, or an ARN and the name in it.
fn named(name: Option<String>, id: Option<String>, facts: &Facts<'_>) -> FoundResource {
    let arn = name.clone().filter(|name| Arn::parse(name).is_some());
    let name = name.map(|name| last_part(&name).to_owned());
    FoundResource { name, arn, id, status: sdk_status(facts), ..FoundResource::default() }
}

/// The status that an SDK names in its message: `Status Code: 404`.
fn sdk_status(facts: &Facts<'_>) -> Option<String> {
    let (_, rest) = facts.text.split_once("Status Code: ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (digits.len() == 3).then_some(digits)
}

/// An ARN under one of these paths.
fn arn(facts: &Facts<'_>, paths: &[&str]) -> Option<String> {
    facts.get(paths).filter(|value| Arn::parse(value).is_some())
}

/// What stands last in a value, as in an ARN.
fn last(facts: &Facts<'_>, paths: &[&str]) -> Option<String> {
    facts.get(paths).map(|value| last_part(&value).to_owned())
}

/// `CLUSTER/DEFINITION`, or the one that is known.
fn both(outer: Option<String>, inner: Option<String>) -> Option<String> {
    match (outer, inner) {
        (Some(outer), Some(inner)) => Some(format!("{outer}/{inner}")),
        (outer, inner) => outer.or(inner),
    }
}

/// The address of a log, at the time of an attempt.
pub(super) fn log_link(log: &LogPlace, console: &Console, window: Option<Window>) -> Option<String> {
    let there = log.region.as_deref().map(|region| Console::of(region, None));
    let console = there.as_ref().unwrap_or(console);
    let Some(group) = &log.group else { return log.page.clone() };
    match (&log.stream, window) {
        (Some(prefix), _) if prefix.ends_with('/') => console.log_streams(group, prefix),
        (Some(stream), window) => console.log_stream(group, stream, window),
        (None, Some(window)) => console.insights(group, log.request.as_deref(), window),
        (None, None) => console.log_group(group),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/explain.md");
        let doc = std::fs::read_to_string(path).expect("the documentation is in the repository");
        for ServiceRow { name, named, log, links, .. } in SERVICES {
            let row = format!("| `{name}` | {named} | {log} | {links} |\n");
            assert!(doc.contains(&row), "docs/explain.md lacks the row\n{row}");
        }
        let rows = doc.lines().skip_while(|line| !line.starts_with("| service |")).skip(2);
        let rows: Vec<&str> = rows.take_while(|line| line.starts_with("| `")).collect();
        assert_eq!(rows.len(), SERVICES.len(), "docs/explain.md has a row too many");
    }

    #[test]
    fn no_type_belongs_to_two_services() {
        let mut types: Vec<&str> = SERVICES.iter().flat_map(|service| service.types).copied().collect();
        let all = types.len();
        types.sort_unstable();
        types.dedup();
        assert_eq!(types.len(), all);
    }

    #[test]
    fn an_sdk_integration_is_the_service_that_it_calls() {
        for (resource_type, name) in [
            ("lambda", "lambda"),
            ("aws-sdk:sfn", "states"),
            ("elasticmapreduce", "emr"),
            ("aws-sdk:emrserverless", "emr-serverless"),
            ("aws-sdk:kinesis", "kinesis"),
        ] {
            assert_eq!(service(resource_type).0, name);
        }
    }
}
