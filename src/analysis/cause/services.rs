//! The services whose answers are read by a table: where the reason stands, what is beside it, and
//! what is said where there is none.
//!
//! The names are those of the services' API models, as Step Functions writes them into the cause of a
//! `.sync` task that failed: DescribeJobs for AWS Batch, GetJobRun for AWS Glue, and so on.

use super::container::{self, without_stop};
use super::field::{meaningful, number, objects, text, value};
use super::partial::Fields;
use super::reader::{Object, Reader, Row};
use super::{CauseKind, ParsedCause, Reading, json};

/// What is read of the answer of one service.
pub(super) struct Service {
    name: &'static str,
    called: &'static [&'static str],
    /// What ran, in a sentence.
    what: &'static str,
    kind: CauseKind,
    /// The fields that its object may lie in.
    within: &'static [&'static str],
    /// Fields that no other service's object has, by their paths; one is enough.
    marks: &'static [&'static str],
    /// Where the reason may stand, the most telling place first.
    reasons: &'static [Reason],
    /// How it ended, by the path.
    state: &'static str,
    /// How long it may take.
    limit: Option<Limit>,
    /// What else says why.
    more: Option<More>,
}

/// A field with a reason, in the objects under a path, and the one beside it that names the error.
struct Reason(&'static str, &'static str, &'static str);

/// What a function reads of an object, and what that is in words.
struct More(fn(&Object) -> Vec<String>, &'static str);

/// A field with a number of seconds or minutes, in the object under a path.
struct Limit(&'static str, &'static str, Unit);

#[derive(Clone, Copy)]
enum Unit {
    Seconds,
    Minutes,
}

/// What most rows have in common.
const PLAIN: Service = Service {
    name: "",
    called: &[],
    what: "",
    kind: CauseKind::Json,
    within: &[],
    marks: &[],
    reasons: &[],
    state: "Status",
    limit: None,
    more: None,
};

pub(super) static SERVICES: &[Service] = &[
    Service {
        name: "AWS Batch",
        called: &["batch:submitJob"],
        what: "the Batch job",
        within: &["Jobs"],
        marks: &[
            "JobQueue",
            "JobDefinition",
            "ArrayProperties",
            "EcsProperties",
            "EksProperties",
            "EksAttempts",
            "NodeProperties",
            "Attempts.Container",
            "Attempts.TaskProperties",
        ],
        reasons: &[
            Reason("", "StatusReason", ""),
            Reason("Attempts", "StatusReason", ""),
            Reason("EksAttempts", "StatusReason", ""),
        ],
        limit: Some(Limit("Timeout", "AttemptDurationSeconds", Unit::Seconds)),
        more: Some(More(
            container::of_batch_job,
            "exit code and reason of each container, in the job or its attempts; how many jobs of an array failed",
        )),
        ..PLAIN
    },
    Service {
        name: "Amazon ECS",
        called: &["ecs:runTask"],
        what: "the ECS task",
        kind: CauseKind::Ecs,
        within: &["Tasks"],
        marks: &[
            "StoppedReason",
            "StopCode",
            "TaskDefinitionArn",
            "Containers.TaskArn",
            "Containers.ContainerArn",
            "Failures.Reason",
        ],
        reasons: &[
            Reason("", "StoppedReason", "StopCode"),
            Reason("Failures", "Detail", "Reason"),
            Reason("Failures", "Reason", ""),
        ],
        state: "LastStatus",
        more: Some(More(container::of_ecs_task, "exit code and reason of each container")),
        ..PLAIN
    },
    Service {
        name: "AWS Glue",
        called: &["glue:startJobRun"],
        what: "the Glue job run",
        within: &["JobRun", "JobRuns"],
        marks: &["JobRunState"],
        reasons: &[Reason("", "ErrorMessage", ""), Reason("", "StateDetail", "")],
        state: "JobRunState",
        limit: Some(Limit("", "Timeout", Unit::Minutes)),
        ..PLAIN
    },
    Service {
        name: "AWS Glue crawlers",
        called: &["aws-sdk:glue:getCrawler", "aws-sdk:glue:startCrawler"],
        what: "the crawler",
        within: &["Crawler"],
        marks: &["LastCrawl"],
        reasons: &[Reason("LastCrawl", "ErrorMessage", "")],
        state: "LastCrawl.Status",
        ..PLAIN
    },
    Service {
        name: "AWS Glue DataBrew",
        called: &["databrew:startJobRun"],
        what: "the DataBrew job run",
        within: &["JobRun"],
        marks: &["RecipeReference", "DatasetName"],
        reasons: &[Reason("", "ErrorMessage", "")],
        state: "State",
        ..PLAIN
    },
    Service {
        name: "Amazon EKS clusters",
        called: &[
            "eks:createCluster",
            "eks:deleteCluster",
            "eks:createNodegroup",
            "eks:createFargateProfile",
        ],
        what: "the EKS resource",
        within: &["Cluster", "Nodegroup", "FargateProfile"],
        marks: &["Health.Issues", "PlatformVersion", "NodegroupName", "FargateProfileName"],
        reasons: &[Reason("Health.Issues", "Message", "Code")],
        ..PLAIN
    },
    Service {
        name: "Amazon EMR steps",
        called: &["elasticmapreduce:addStep", "elasticmapreduce:cancelStep"],
        what: "the EMR step",
        within: &["Step"],
        marks: &["Status.FailureDetails", "ActionOnFailure"],
        reasons: &[
            Reason("Status.FailureDetails", "Message", "Reason"),
            Reason("Status.FailureDetails", "Reason", ""),
            Reason("Status.StateChangeReason", "Message", "Code"),
        ],
        state: "Status.State",
        ..PLAIN
    },
    Service {
        name: "Amazon EMR clusters",
        called: &["elasticmapreduce:createCluster", "elasticmapreduce:terminateCluster"],
        what: "the EMR cluster",
        within: &["Cluster"],
        marks: &["TerminationProtected", "Ec2InstanceAttributes", "Status.ErrorDetails"],
        reasons: &[
            Reason("Status.ErrorDetails", "ErrorMessage", "ErrorCode"),
            Reason("Status.StateChangeReason", "Message", "Code"),
        ],
        state: "Status.State",
        ..PLAIN
    },
    Service {
        name: "Amazon EMR on EKS",
        called: &["emr-containers:*"],
        what: "the EMR job run",
        within: &["JobRun", "VirtualCluster"],
        marks: &["VirtualClusterId", "FailureReason+StateDetails"],
        reasons: &[Reason("", "StateDetails", "FailureReason"), Reason("", "FailureReason", "")],
        state: "State",
        ..PLAIN
    },
    Service {
        name: "Amazon EMR Serverless",
        called: &["emr-serverless:*"],
        what: "the EMR Serverless job run",
        within: &["JobRun", "Application"],
        marks: &["ApplicationId+StateDetails", "JobDriver+ReleaseLabel+ApplicationId"],
        reasons: &[Reason("", "StateDetails", "")],
        state: "State",
        limit: Some(Limit("", "ExecutionTimeoutMinutes", Unit::Minutes)),
        ..PLAIN
    },
    Service {
        name: "Amazon SageMaker AI training",
        called: &["sagemaker:createTrainingJob"],
        what: "the training job",
        marks: &["TrainingJobStatus"],
        reasons: &[Reason("", "FailureReason", "")],
        state: "TrainingJobStatus",
        limit: Some(Limit("StoppingCondition", "MaxRuntimeInSeconds", Unit::Seconds)),
        ..PLAIN
    },
    Service {
        name: "Amazon SageMaker AI processing",
        called: &["sagemaker:createProcessingJob"],
        what: "the processing job",
        marks: &["ProcessingJobStatus"],
        reasons: &[Reason("", "FailureReason", ""), Reason("", "ExitMessage", "")],
        state: "ProcessingJobStatus",
        limit: Some(Limit("StoppingCondition", "MaxRuntimeInSeconds", Unit::Seconds)),
        more: Some(More(exit_message, "`ExitMessage`")),
        ..PLAIN
    },
    Service {
        name: "Amazon SageMaker AI transform",
        called: &["sagemaker:createTransformJob"],
        what: "the transform job",
        marks: &["TransformJobStatus"],
        reasons: &[Reason("", "FailureReason", "")],
        state: "TransformJobStatus",
        ..PLAIN
    },
    Service {
        name: "Amazon SageMaker AI tuning",
        called: &["sagemaker:createHyperParameterTuningJob"],
        what: "the tuning job",
        marks: &["HyperParameterTuningJobStatus"],
        reasons: &[Reason("", "FailureReason", "")],
        state: "HyperParameterTuningJobStatus",
        ..PLAIN
    },
    Service {
        name: "Amazon SageMaker AI labeling",
        called: &["sagemaker:createLabelingJob"],
        what: "the labeling job",
        marks: &["LabelingJobStatus"],
        reasons: &[Reason("", "FailureReason", "")],
        state: "LabelingJobStatus",
        ..PLAIN
    },
    Service {
        name: "Amazon SageMaker AI AutoML",
        called: &["sagemaker:createAutoMLJob", "sagemaker:createAutoMLJobV2"],
        what: "the AutoML job",
        marks: &["AutoMLJobStatus"],
        reasons: &[Reason("", "FailureReason", "")],
        state: "AutoMLJobStatus",
        ..PLAIN
    },
    Service {
        name: "Amazon SageMaker AI endpoints",
        called: &["sagemaker:createEndpoint", "sagemaker:updateEndpoint"],
        what: "the endpoint",
        marks: &["EndpointStatus"],
        reasons: &[Reason("", "FailureReason", "")],
        state: "EndpointStatus",
        ..PLAIN
    },
    Service {
        name: "AWS CodeBuild",
        called: &["codebuild:startBuild", "codebuild:startBuildBatch"],
        what: "the build",
        within: &["Build", "Builds", "BuildBatch", "BuildBatches"],
        marks: &["BuildStatus", "BuildBatchStatus", "Phases.PhaseType"],
        reasons: &[Reason("Phases.Contexts", "Message", "StatusCode")],
        state: "BuildStatus",
        limit: Some(Limit("", "TimeoutInMinutes", Unit::Minutes)),
        ..PLAIN
    },
    Service {
        name: "Amazon Athena",
        called: &["athena:startQueryExecution"],
        what: "the query",
        within: &["QueryExecution"],
        marks: &["QueryExecutionId", "Status.AthenaError", "ResultConfiguration"],
        reasons: &[
            Reason("Status", "StateChangeReason", ""),
            Reason("Status.AthenaError", "ErrorMessage", ""),
        ],
        state: "Status.State",
        ..PLAIN
    },
    Service {
        name: "Amazon Bedrock",
        called: &["bedrock:createModelCustomizationJob"],
        what: "the customization job",
        marks: &["CustomizationType", "BaseModelArn", "OutputModelName"],
        reasons: &[Reason("", "FailureMessage", "")],
        ..PLAIN
    },
    Service {
        name: "AWS Elemental MediaConvert",
        called: &["mediaconvert:createJob"],
        what: "the MediaConvert job",
        within: &["Job"],
        marks: &["BillingTagsSource", "OutputGroupDetails", "JobPercentComplete", "AccelerationStatus"],
        reasons: &[Reason("", "ErrorMessage", "ErrorCode")],
        ..PLAIN
    },
    Service {
        name: "Amazon EventBridge",
        called: &["events:putEvents"],
        what: "the call",
        marks: &["FailedEntryCount"],
        reasons: &[Reason("Entries", "ErrorMessage", "ErrorCode")],
        ..PLAIN
    },
    Service {
        name: "AWS CloudFormation",
        called: &["aws-sdk:cloudformation:*"],
        what: "the stack",
        within: &["Stacks"],
        marks: &["StackStatus", "StackEvents"],
        reasons: &[Reason("", "StackStatusReason", ""), Reason("StackEvents", "ResourceStatusReason", "")],
        state: "StackStatus",
        ..PLAIN
    },
    Service {
        name: "AWS Systems Manager",
        called: &["aws-sdk:ssm:*"],
        what: "the automation or command",
        within: &["AutomationExecution"],
        marks: &["AutomationExecutionStatus", "AutomationExecutionId", "StandardErrorContent", "CommandId"],
        reasons: &[
            Reason("", "FailureMessage", ""),
            Reason("StepExecutions", "FailureMessage", ""),
            Reason("", "StandardErrorContent", ""),
            Reason("", "StatusDetails", ""),
        ],
        state: "AutomationExecutionStatus",
        ..PLAIN
    },
    Service {
        name: "AWS Database Migration Service",
        called: &["aws-sdk:databasemigration:*"],
        what: "the replication",
        within: &["ReplicationTask", "ReplicationTasks", "Replications"],
        marks: &["LastFailureMessage", "ReplicationTaskArn", "ReplicationConfigArn"],
        reasons: &[
            Reason("", "LastFailureMessage", ""),
            Reason("", "FailureMessages", ""),
            Reason("", "StopReason", ""),
        ],
        ..PLAIN
    },
    Service {
        name: "Amazon Redshift Data API",
        called: &["aws-sdk:redshiftdata:*", "redshift-data:*"],
        what: "the statement",
        marks: &["RedshiftPid", "RedshiftQueryId", "SubStatements"],
        reasons: &[Reason("", "Error", ""), Reason("SubStatements", "Error", "")],
        ..PLAIN
    },
    Service {
        name: "Amazon Transcribe",
        called: &["aws-sdk:transcribe:*"],
        what: "the transcription job",
        within: &["TranscriptionJob", "MedicalTranscriptionJob", "CallAnalyticsJob"],
        marks: &["TranscriptionJobStatus", "CallAnalyticsJobStatus"],
        reasons: &[Reason("", "FailureReason", "")],
        state: "TranscriptionJobStatus",
        ..PLAIN
    },
    Service {
        name: "Amazon Textract, Rekognition, Comprehend",
        called: &["aws-sdk:textract:*", "aws-sdk:rekognition:*", "aws-sdk:comprehend:*"],
        what: "the job",
        marks: &["JobStatus+StatusMessage"],
        reasons: &[Reason("", "StatusMessage", ""), Reason("", "Message", "")],
        state: "JobStatus",
        ..PLAIN
    },
];

/// What a processing container wrote for its reader, beside the reason.
fn exit_message(job: &Object) -> Vec<String> {
    let both = text(job, "FailureReason").zip(text(job, "ExitMessage"));
    both.filter(|(reason, said)| !reason.contains(said))
        .map(|(_, said)| said.to_owned())
        .into_iter()
        .collect()
}

impl Service {
    /// Its object: the whole, or what lies in a field of it.
    fn objects<'a>(&self, fields: &'a Fields) -> Vec<&'a Object> {
        let within = self.within.iter().flat_map(|path| objects(&fields.values, path));
        std::iter::once(&fields.values).chain(within).collect()
    }

    fn has_mark(&self, object: &Object) -> bool {
        self.marks.iter().any(|mark| mark.split('+').all(|path| has(object, path)))
    }

    /// The reason and the error's type beside it.
    fn reason(&self, objects_of: &[&Object]) -> Option<(String, Option<String>)> {
        self.reasons.iter().find_map(|Reason(path, message, kind)| {
            let places = objects_of.iter().flat_map(|object| objects(object, path));
            places
                .into_iter()
                .find_map(|place| Some((text(place, message)?.to_owned(), json::code_of(place, kind))))
        })
    }

    /// The code of an error without a message.
    fn code(&self, objects_of: &[&Object]) -> Option<String> {
        self.reasons.iter().filter(|reason| !reason.2.is_empty()).find_map(|Reason(path, _, kind)| {
            let mut places = objects_of.iter().flat_map(|object| objects(object, path));
            places.find_map(|place| json::code_of(place, kind))
        })
    }

    /// What is known where no reason is given.
    fn ended(&self, objects_of: &[&Object]) -> Option<String> {
        let state = objects_of.iter().find_map(|object| at(object, self.state))?;
        let limit = self.limit.as_ref().and_then(|Limit(path, field, unit)| {
            let places = objects_of.iter().flat_map(|object| objects(object, path));
            let limit = places.into_iter().find_map(|place| number(place, field))?;
            Some(match unit {
                Unit::Seconds => format!(" of {limit} s"),
                Unit::Minutes => format!(" of {limit} min"),
            })
        });
        json::ended(self.what, state, limit.as_deref())
    }
}

/// Whether a path leads to something.
fn has(object: &Object, path: &str) -> bool {
    let (path, name) = path.rsplit_once('.').unwrap_or(("", path));
    objects(object, path).into_iter().any(|place| value(place, name).is_some())
}

/// The text that a path leads to.
fn at<'a>(object: &'a Object, path: &str) -> Option<&'a str> {
    let (path, name) = path.rsplit_once('.').unwrap_or(("", path));
    objects(object, path).into_iter().find_map(|place| text(place, name))
}

impl Reader for Service {
    fn called(&self) -> &'static [&'static str] {
        self.called
    }

    fn fits(&self, _: Reading<'_>, fields: &Fields) -> bool {
        self.objects(fields).iter().any(|object| self.has_mark(object))
    }

    fn can_read(&self, reading: Reading<'_>, fields: &Fields) -> bool {
        let objects = self.objects(fields);
        self.fits(reading, fields)
            || self.reason(&objects).is_some()
            || objects.iter().any(|object| at(object, self.state).is_some())
    }

    fn understand(&self, _: Reading<'_>, fields: &Fields) -> ParsedCause {
        let objects = self.objects(fields);
        let (reason, error_type) = self.reason(&objects).unzip();
        let mut error_type = error_type.flatten();
        let mut parts: Vec<String> = reason.into_iter().collect();
        if let Some(More(more, _)) = &self.more {
            parts.extend(
                objects.iter().map(|object| more(object)).find(|more| !more.is_empty()).unwrap_or_default(),
            );
            if error_type.is_none() && !parts.is_empty() {
                let Reason(_, _, kind) = &self.reasons[0];
                error_type = objects.iter().find_map(|object| json::code_of(object, kind));
            }
        }
        if let [first, _, ..] = parts.as_mut_slice() {
            *first = without_stop(first).to_owned();
        }
        if parts.is_empty() {
            let code = || self.code(&objects).map(|code| (code.clone(), Some(code)));
            let ended = || self.ended(&objects).map(|ended| (ended, None));
            let (message, kind) = json::strong(fields).or_else(code).or_else(ended).unzip();
            return ParsedCause::says(self.kind, message, kind.flatten());
        }
        ParsedCause::says(self.kind, meaningful(&parts.join("; ")).map(str::to_owned), error_type)
    }

    fn row(&self) -> Row {
        let mut reads: Vec<String> = Vec::new();
        for Reason(path, message, kind) in self.reasons {
            let path = if path.is_empty() { String::new() } else { format!("{path}.") };
            let kind = if kind.is_empty() { String::new() } else { format!(" with `{kind}`") };
            reads.push(format!("`{path}{message}`{kind}"));
        }
        reads.extend(self.more.as_ref().map(|More(_, says)| (*says).to_owned()));
        reads.dedup();
        let mut reads = reads.join("; ");
        reads.push_str(&format!("; else `{}`", self.state));
        Row { name: self.name, called: self.called, reads }
    }
}
