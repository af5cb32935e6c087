//! What runs code: functions, tasks, jobs and builds.

use serde_json::{Map, Value};

use super::{FoundResource, LogPlace, arn, both, encoded, last, sdk_status};
use crate::analysis::resources::facts::{Arn, Facts, at, last_part, text};
use crate::analysis::resources::links::Console;

/// How deeply a log configuration is looked for.
const DEEPEST: usize = 16;

/// A function by its name, its ARN, or a part of the ARN, each with or without a version or an alias.
pub(super) fn lambda(facts: &Facts<'_>, console: &Console) -> FoundResource {
    let own = facts.resource.filter(|resource| resource.contains(":function:")).map(str::to_owned);
    let called = own.or_else(|| facts.parameter("FunctionName"));
    let id = facts.request_id();
    let Some(called) = called else {
        return FoundResource { id, status: sdk_status(facts), ..FoundResource::default() };
    };
    let (account, function) = match called.split_once(":function:").or_else(|| called.split_once("function:"))
    {
        Some((before, function)) => (Some(last_part(before).to_owned()), function),
        None => (None, called.as_str()),
    };
    let (name, qualifier) = match function.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier.to_owned())),
        None => (function, facts.parameter("Qualifier")),
    };
    let arn = Arn::parse(&called).map(|_| called.clone()).or_else(|| {
        let account = account.filter(|account| account.bytes().all(|digit| digit.is_ascii_digit()))?;
        let (region, partition) = (console.region(), crate::aws::arn::partition_of(console.region()));
        (!account.is_empty())
            .then(|| format!("arn:{partition}:lambda:{region}:{account}:function:{function}"))
    });
    let at = match qualifier.as_deref() {
        None | Some("$LATEST") => String::new(),
        Some(version) if version.bytes().all(|digit| digit.is_ascii_digit()) => {
            format!("/versions/{version}")
        }
        Some(alias) => format!("/aliases/{}", encoded(alias)),
    };
    FoundResource {
        console: console.home("lambda", &format!("/functions/{}{at}", encoded(name))),
        log: LogPlace {
            group: Some(format!("/aws/lambda/{name}")),
            request: id.clone(),
            ..LogPlace::default()
        },
        name: Some(name.to_owned()),
        arn,
        id,
        status: sdk_status(facts),
    }
}

/// A task: its log is where its definition says, which the history seldom holds. The console shows it by
/// the task.
pub(super) fn ecs(facts: &Facts<'_>, console: &Console) -> FoundResource {
    let task_arn = facts.get(&["TaskArn", "Tasks.0.TaskArn"]);
    let task = task_arn.as_deref().map(|arn| last_part(arn).to_owned());
    let in_arn = || {
        let resource = Arn::parse(task_arn.as_deref()?)?.resource;
        let (cluster, _) = resource.strip_prefix("task/")?.split_once('/')?;
        Some(cluster.to_owned())
    };
    let cluster = last(facts, &["ClusterArn", "Tasks.0.ClusterArn", "Cluster"]).or_else(in_arn);
    let definition = facts.get(&["TaskDefinitionArn", "Tasks.0.TaskDefinitionArn", "TaskDefinition"]);
    let definition = definition.map(|name| name.rsplit('/').next().unwrap_or(&name).to_owned());
    let page = |tab: &str| {
        let (cluster, task) = (encoded(cluster.as_deref()?), encoded(task.as_deref()?));
        console.page(&format!("ecs/v2/clusters/{cluster}/tasks/{task}/{tab}?region={}", console.region()))
    };
    let container = facts.cause.get("Containers").and_then(failing);
    let mut log = facts.awslogs().unwrap_or_default();
    let prefix = log.stream.take();
    log.stream = container.and_then(|container| match prefix {
        Some(prefix) => Some(format!("{prefix}/{}/{}", container.get("Name")?.as_str()?, task.as_deref()?)),
        None => container.get("RuntimeId").and_then(text),
    });
    log.page = page("logs");
    FoundResource {
        console: page("configuration"),
        name: both(cluster.clone(), definition),
        arn: task_arn.filter(|arn| Arn::parse(arn).is_some()),
        status: facts.in_cause(&["StopCode", "LastStatus"]).or_else(|| sdk_status(facts)),
        id: task.or_else(|| facts.request_id()),
        log,
    }
}

/// A job: its containers name their streams, one an attempt.
pub(super) fn batch(facts: &Facts<'_>, console: &Console) -> FoundResource {
    let id = facts.get(&["JobId"]).or_else(|| last(facts, &["JobArn"]));
    let on_kubernetes = facts.cause.contains_key("EksProperties");
    let mut log = facts.awslogs().unwrap_or_default();
    // Any other driver than awslogs writes elsewhere.
    let elsewhere = at(&facts.cause, "Container.LogConfiguration.LogDriver")
        .is_some_and(|driver| driver.as_str().is_some_and(|driver| driver != "awslogs"));
    if !on_kubernetes && !elsewhere {
        log.group.get_or_insert_with(|| "/aws/batch/job".to_owned());
        log.stream = batch_stream(&facts.cause);
    }
    FoundResource {
        name: facts.get(&["JobName"]),
        arn: arn(facts, &["JobArn"]),
        console: id.as_deref().and_then(|id| console.home("batch", &format!("jobs/detail/{}", encoded(id)))),
        status: facts.in_cause(&["Status"]).or_else(|| sdk_status(facts)),
        id: id.or_else(|| facts.request_id()),
        log,
    }
}

/// The stream of the last attempt, of the container that failed where there are several.
fn batch_stream(job: &Map<String, Value>) -> Option<String> {
    let last_attempt = job.get("Attempts").and_then(Value::as_array).and_then(|attempts| attempts.last());
    let own = |of: &Value| text(of.get("Container")?.get("LogStreamName")?);
    let several = |of: &Value| {
        let tasks = of.get("TaskProperties").and_then(Value::as_array)?;
        tasks.iter().find_map(|task| text(failing(task.get("Containers")?)?.get("LogStreamName")?))
    };
    let whole = Value::Object(
        ["Container", "TaskProperties"]
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), job.get(*key)?.clone())))
            .collect(),
    );
    let of_all = [last_attempt, Some(&whole), job.get("EcsProperties")];
    of_all
        .into_iter()
        .flatten()
        .find_map(|of| own(of).or_else(|| several(of)))
        .filter(|stream| !stream.is_empty())
}

/// The container that failed, else the first; one with a stream before others.
fn failing(containers: &Value) -> Option<&Value> {
    let list = containers.as_array()?;
    let failed = |one: &&Value| one.get("ExitCode").and_then(Value::as_i64).is_some_and(|code| code != 0);
    let streams = |one: &&Value| one.get("LogStreamName").is_some();
    list.iter()
        .find(|one| failed(one) && streams(one))
        .or_else(|| list.iter().find(failed))
        .or_else(|| list.iter().find(streams))
        .or_else(|| list.first())
}

/// A job on Kubernetes: its log is the cluster's affair.
pub(super) fn eks(facts: &Facts<'_>, console: &Console) -> FoundResource {
    let cluster = facts.get(&["ClusterName", "Name"]);
    let job = facts.in_cause(&["metadata.name"]).or_else(|| facts.parameter("Job.metadata.name"));
    let page = |cluster: &String| {
        console.page(&format!("eks/home?region={}#/clusters/{}", console.region(), encoded(cluster)))
    };
    FoundResource {
        console: cluster.as_ref().and_then(page),
        name: both(cluster, job),
        id: facts.in_cause(&["metadata.uid"]).or_else(|| facts.request_id()),
        status: facts.in_cause(&["status.conditions.0.reason"]).or_else(|| sdk_status(facts)),
        ..FoundResource::default()
    }
}

/// A build: `PROJECT:UUID`, and the same as an ARN.
pub(super) fn codebuild(facts: &Facts<'_>, console: &Console) -> FoundResource {
    let arn = arn(facts, &["Build.Arn", "Arn"]);
    let in_arn = || Some(Arn::parse(arn.as_deref()?)?.resource.strip_prefix("build/")?.to_owned());
    let id = facts.get(&["Build.Id", "Id"]).or_else(in_arn);
    let project = facts.get(&["Build.ProjectName", "ProjectName"]);
    let project = project.or_else(|| Some(id.as_deref()?.split_once(':')?.0.to_owned()));
    let (deep_group, deep_stream) = deep_link(facts).unzip();
    let group = facts.get(&["Build.Logs.GroupName"]).or_else(|| facts.in_cause(&["Logs.GroupName"]));
    let stream = facts.get(&["Build.Logs.StreamName"]).or_else(|| facts.in_cause(&["Logs.StreamName"]));
    let uuid = || id.as_deref().and_then(|id| Some(id.split_once(':')?.1.to_owned()));
    let page = || {
        let (project, id) = (encoded(project.as_deref()?), encoded(id.as_deref()?));
        let account =
            arn.as_deref().and_then(Arn::parse).map(|arn| arn.account).filter(|account| !account.is_empty());
        let account = account.map(|account| format!("{}/", encoded(account))).unwrap_or_default();
        let region = console.region();
        console.page(&format!("codesuite/codebuild/{account}projects/{project}/build/{id}/?region={region}"))
    };
    let default_group = || project.as_deref().map(|project| format!("/aws/codebuild/{project}"));
    FoundResource {
        console: page(),
        log: LogPlace::stream(
            group.or(deep_group).or_else(default_group),
            stream.or(deep_stream).or_else(uuid),
        ),
        status: facts.in_cause(&["Build.BuildStatus", "BuildStatus"]).or_else(|| sdk_status(facts)),
        name: project,
        id: id.or_else(|| facts.request_id()),
        arn,
    }
}

/// Group and stream in the older form of a build's link: `…#logEvent:group=/aws/codebuild/x;stream=y`.
fn deep_link(facts: &Facts<'_>) -> Option<(String, String)> {
    let link = facts.in_cause(&["Build.Logs.DeepLink", "Logs.DeepLink"])?;
    let (_, rest) = link.split_once("#logEvent:group=")?;
    let (group, stream) = rest.split_once(";stream=")?;
    [group, stream]
        .iter()
        .all(|part| *part != "null" && !part.is_empty())
        .then(|| (group.to_owned(), stream.to_owned()))
}

impl Facts<'_> {
    /// What a log configuration in the cause says of the driver awslogs: the group, and the streams' prefix
    /// in place of a stream.
    fn awslogs(&self) -> Option<LogPlace> {
        let options = options(&self.cause, DEEPEST)?;
        let option = |name: &str| options.get(name).and_then(text).filter(|value| !value.is_empty());
        Some(LogPlace {
            group: option("awslogs-group"),
            stream: option("awslogs-stream-prefix"),
            region: option("awslogs-region").filter(|region| crate::aws::arn::is_region(region)),
            ..LogPlace::default()
        })
    }
}

fn options(fields: &Map<String, Value>, depth: usize) -> Option<&Map<String, Value>> {
    if fields.contains_key("awslogs-group") {
        return Some(fields);
    }
    let depth = depth.checked_sub(1)?;
    fields.values().find_map(|value| match value {
        Value::Object(inner) => options(inner, depth),
        Value::Array(list) => {
            list.iter().filter_map(Value::as_object).find_map(|inner| options(inner, depth))
        }
        _ => None,
    })
}
