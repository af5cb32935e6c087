//! What works on data: Glue, EMR, SageMaker, queries, models and media.

use super::{FoundResource, LogPlace, arn, both, encoded, last, named, sdk_status};
use crate::analysis::resources::facts::{Facts, last_part};
use crate::analysis::resources::links::Console;

/// A job's run. Its log group has a part for errors and one for output.
pub(super) fn glue(facts: &Facts<'_>, console: &Console) -> FoundResource {
    let job = facts.get(&["JobName"]);
    let run = facts.in_cause(&["Id", "JobRunId", "JobRun.Id"]).or_else(|| facts.get(&["JobRunId"]));
    let page = |job: &String| {
        let run = run.as_deref().map(|run| format!("/run/{}", encoded(run))).unwrap_or_default();
        console.home("gluestudio", &format!("/job/{}{run}", encoded(job)))
    };
    let group = facts.in_cause(&["LogGroupName", "JobRun.LogGroupName"]);
    let group = group.unwrap_or_else(|| "/aws-glue/jobs".to_owned());
    FoundResource {
        console: job.as_ref().and_then(page),
        log: match &job {
            Some(_) => LogPlace::stream(Some(format!("{}/error", group.trim_end_matches('/'))), run.clone()),
            None => LogPlace::default(),
        },
        name: job.or_else(|| facts.get(&["CrawlerName", "Name"])),
        status: facts.in_cause(&["JobRunState", "JobRun.JobRunState"]).or_else(|| sdk_status(facts)),
        id: run.or_else(|| facts.request_id()),
        arn: None,
    }
}

pub(super) fn databrew(facts: &Facts<'_>, console: &Console) -> FoundResource {
    let job = facts.get(&["JobName", "Name"]);
    let default = || job.as_deref().map(|job| format!("/aws-glue-databrew/jobs/{job}"));
    let run = facts.get(&["RunId"]);
    FoundResource {
        console: job
            .as_ref()
            .and_then(|job| console.home("databrew", &format!("job-details?job={}", encoded(job)))),
        log: LogPlace::stream(
            facts.in_cause(&["LogGroupName"]).or_else(default),
            facts.in_cause(&["LogStreamName", "LogStream"]).or_else(|| run.clone()),
        ),
        name: job,
        id: run.or_else(|| facts.request_id()),
        status: facts.in_cause(&["State"]).or_else(|| sdk_status(facts)),
        arn: None,
    }
}

pub(super) fn emr(facts: &Facts<'_>, console: &Console) -> FoundResource {
    let cluster =
        facts.get(&["ClusterId", "Cluster.Id"]).or_else(|| facts.in_cause(&["Cluster.Id", "JobFlowId"]));
    let step = facts.in_cause(&["Step.Id", "StepId"]).or_else(|| facts.get(&["StepId"]));
    let name = if step.is_some() {
        None
    } else {
        facts.in_cause(&["Cluster.Name"]).or_else(|| facts.parameter("Name"))
    };
    FoundResource {
        console: cluster
            .as_ref()
            .and_then(|cluster| console.home("emr", &format!("/clusterDetails/{}", encoded(cluster)))),
        name: name.or_else(|| cluster.clone()),
        arn: arn(facts, &["ClusterArn"]).or_else(|| facts.in_cause(&["Cluster.ClusterArn"])),
        id: step.or(cluster).or_else(|| facts.request_id()),
        status: facts.in_cause(&["Step.Status.State", "Cluster.Status.State"]).or_else(|| sdk_status(facts)),
        log: LogPlace::default(),
    }
}

/// A job on a virtual cluster, whose log goes where its call says.
pub(super) fn emr_containers(facts: &Facts<'_>, console: &Console) -> FoundResource {
    let arn = facts.in_cause(&["JobRun.Arn"]).or_else(|| arn(facts, &["Arn"]));
    let in_arn = |before: &str| {
        let (_, rest) = arn.as_deref()?.split_once(before)?;
        rest.split('/').next().map(str::to_owned)
    };
    let cluster = facts
        .in_cause(&["JobRun.VirtualClusterId"])
        .or_else(|| facts.get(&["VirtualClusterId"]))
        .or_else(|| in_arn("/virtualclusters/"));
    let run = facts.in_cause(&["JobRun.Id"]).or_else(|| in_arn("/jobruns/")).or_else(|| facts.get(&["Id"]));
    let group = logging(facts, "CloudWatchMonitoringConfiguration.LogGroupName");
    let prefix = logging(facts, "CloudWatchMonitoringConfiguration.LogStreamNamePrefix");
    let own = || Some(format!("{}/jobs/{}/", cluster.as_deref()?, run.as_deref()?));
    let stream = group.is_some().then(|| both(prefix, own())).flatten();
    FoundResource {
        console: cluster
            .as_ref()
            .and_then(|cluster| console.home("emr", &format!("/eks/clusters/{}", encoded(cluster)))),
        log: LogPlace::stream(group, stream),
        name: cluster,
        id: run.or_else(|| facts.request_id()),
        status: facts.in_cause(&["JobRun.State", "State"]).or_else(|| sdk_status(facts)),
        arn,
    }
}

/// A job of an application. Its pages belong to a studio that the history does not name.
pub(super) fn emr_serverless(facts: &Facts<'_>, _console: &Console) -> FoundResource {
    let application = facts.in_cause(&["JobRun.ApplicationId"]).or_else(|| facts.get(&["ApplicationId"]));
    let run = facts.in_cause(&["JobRun.JobRunId"]).or_else(|| facts.get(&["JobRunId"]));
    let enabled = logging(facts, "CloudWatchLoggingConfiguration.Enabled");
    let group = logging(facts, "CloudWatchLoggingConfiguration.LogGroupName");
    let group = match enabled.as_deref() {
        Some("true") => Some(group.unwrap_or_else(|| "/aws/emr-serverless".to_owned())),
        Some(_) => None,
        None => group,
    };
    let prefix = logging(facts, "CloudWatchLoggingConfiguration.LogStreamNamePrefix");
    let own = || Some(format!("applications/{}/jobs/{}/", application.as_deref()?, run.as_deref()?));
    let stream = group.is_some().then(|| both(prefix, own())).flatten();
    FoundResource {
        log: LogPlace::stream(group, stream),
        arn: facts.in_cause(&["JobRun.Arn"]).or_else(|| arn(facts, &["Arn"])),
        name: application,
        id: run.or_else(|| facts.request_id()),
        status: facts.in_cause(&["JobRun.State", "State"]).or_else(|| sdk_status(facts)),
        console: None,
    }
}

/// What a job's monitoring configuration says. A stream's prefix alone is half a name.
fn logging(facts: &Facts<'_>, path: &str) -> Option<String> {
    facts
        .get(&[&format!("ConfigurationOverrides.MonitoringConfiguration.{path}")])
        .map(|value| value.trim_end_matches('/').to_owned())
}

/// How SageMaker calls its jobs: the kind in names of fields, its log group and its page.
const JOBS: &[(&str, Option<&str>, Option<&str>)] = &[
    ("TrainingJob", Some("TrainingJobs"), Some("jobs")),
    ("ProcessingJob", Some("ProcessingJobs"), Some("processing-jobs")),
    ("TransformJob", Some("TransformJobs"), Some("transform-jobs")),
    // Its training jobs have names of their own, which begin like its own.
    ("HyperParameterTuningJob", Some("TrainingJobs"), Some("hyper-tuning-jobs")),
    ("LabelingJob", Some("LabelingJobs"), Some("labeling-jobs/details")),
    ("AutoMLJob", None, None),
];

pub(super) fn sagemaker(facts: &Facts<'_>, console: &Console) -> FoundResource {
    for (kind, group, page) in JOBS {
        let arn = arn(facts, &[&format!("{kind}Arn")]);
        let in_arn = || arn.as_deref().map(|arn| last_part(arn).to_owned());
        let Some(name) = facts.get(&[&format!("{kind}Name")]).or_else(in_arn) else { continue };
        // A tuning job's own trials are named after it, with a number and an id behind.
        let stream = if *kind == "HyperParameterTuningJob" { None } else { Some(format!("{name}/")) };
        let log = LogPlace::stream(
            group.map(|group| format!("/aws/sagemaker/{group}")),
            stream.filter(|_| group.is_some()),
        );
        let found = FoundResource {
            console: page.and_then(|page| console.home("sagemaker", &format!("/{page}/{}", encoded(&name)))),
            log,
            id: Some(name.clone()),
            name: Some(name),
            status: facts.in_cause(&[&format!("{kind}Status")]).or_else(|| sdk_status(facts)),
            arn,
        };
        return found;
    }
    let Some(endpoint) = facts.get(&["EndpointName"]).or_else(|| last(facts, &["EndpointArn"])) else {
        return named(facts.get(&["ModelName", "Name"]), facts.request_id(), facts);
    };
    FoundResource {
        console: console.home("sagemaker", &format!("/endpoints/{}", encoded(&endpoint))),
        log: LogPlace::stream(Some(format!("/aws/sagemaker/Endpoints/{endpoint}")), None),
        arn: arn(facts, &["EndpointArn"]),
        id: Some(endpoint.clone()),
        name: Some(endpoint),
        status: facts.in_cause(&["EndpointStatus"]).or_else(|| sdk_status(facts)),
    }
}

pub(super) fn athena(facts: &Facts<'_>, console: &Console) -> FoundResource {
    let query =
        facts.in_cause(&["QueryExecution.QueryExecutionId"]).or_else(|| facts.get(&["QueryExecutionId"]));
    FoundResource {
        name: facts.in_cause(&["QueryExecution.WorkGroup"]).or_else(|| facts.get(&["WorkGroup"])),
        console: query
            .as_ref()
            .and_then(|query| console.home("athena", &format!("/query-editor/history/{}", encoded(query)))),
        id: query.or_else(|| facts.request_id()),
        status: facts
            .in_cause(&["QueryExecution.Status.State", "Status.State"])
            .or_else(|| sdk_status(facts)),
        ..FoundResource::default()
    }
}

pub(super) fn redshift_data(facts: &Facts<'_>, _console: &Console) -> FoundResource {
    let cluster = facts.get(&["ClusterIdentifier", "WorkgroupName"]).map(|name| last_part(&name).to_owned());
    FoundResource {
        name: both(cluster, facts.get(&["Database"])),
        id: facts.get(&["Id"]).or_else(|| facts.request_id()),
        status: facts.in_cause(&["Status"]).or_else(|| sdk_status(facts)),
        ..FoundResource::default()
    }
}

pub(super) fn bedrock(facts: &Facts<'_>, _console: &Console) -> FoundResource {
    if let Some(job) = facts.get(&["JobName"]) {
        let arn = arn(facts, &["JobArn"]);
        let id = arn.as_deref().map(|arn| last_part(arn).to_owned()).or_else(|| facts.request_id());
        return FoundResource {
            name: Some(job),
            arn,
            id,
            status: facts.in_cause(&["Status"]),
            ..FoundResource::default()
        };
    }
    // A model's id has a `:` in it: `anthropic.claude-v2:1`.
    let model = facts.get(&["ModelId"]);
    let found = named(model.clone(), facts.request_id(), facts);
    let name = model.map(|model| model.rsplit('/').next().unwrap_or(&model).to_owned());
    FoundResource { name, ..found }
}

pub(super) fn mediaconvert(facts: &Facts<'_>, console: &Console) -> FoundResource {
    let job = facts.get(&["Job.Id"]).or_else(|| facts.in_cause(&["JobId", "Id"]));
    let queue = facts.in_cause(&["Job.Queue"]).or_else(|| facts.get(&["Queue"]));
    FoundResource {
        name: queue.map(|queue| last_part(&queue).to_owned()),
        arn: arn(facts, &["Job.Arn"]),
        console: job
            .as_ref()
            .and_then(|job| console.home("mediaconvert", &format!("/jobs/summary/{}", encoded(job)))),
        id: job.or_else(|| facts.request_id()),
        status: facts.in_cause(&["Job.Status", "Status"]).or_else(|| sdk_status(facts)),
        ..FoundResource::default()
    }
}
