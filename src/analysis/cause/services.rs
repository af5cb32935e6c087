//! The services whose answers are read by a table: where the reason stands, what is beside it, and
//! which message replaces a missing one.
//!
//! The names are those of the services' API models, as Step Functions writes them into the cause of a
//! `.sync` task that failed: DescribeJobs for AWS Batch, GetJobRun for AWS Glue, and so on.

use super::container::{self, without_stop};
use super::field::{meaningful, number, objects, text, value};
use super::partial::Fields;
use super::reader::{CauseReader, Object, ReaderRow};
use super::{CauseContext, CauseKind, ParsedCause, json};

/// What is read of the answer of one service.
pub(super) struct ServiceReader {
    name: &'static str,
    called: &'static [&'static str],
    /// What ran, in a sentence.
    what: &'static str,
    kind: CauseKind,
    /// The fields that its object may lie in.
    within: &'static [&'static str],
    /// Fields that no other service's object has, by their paths; one is enough.
    marks: &'static [&'static str],
    /// The fields that may have the reason, the most specific first.
    reasons: &'static [ReasonFields],
    /// How it ended, by the path.
    state: &'static str,
    /// How long it may take.
    limit: Option<LimitWords>,
    /// What else says why.
    more: Option<More>,
}

/// A field with a reason, in the objects under a path, and the one beside it that names the error.
struct ReasonFields(&'static str, &'static str, &'static str);

/// What a function reads of an object, and what that is in words.
struct More(fn(&Object) -> Vec<String>, &'static str);

/// A field with a number of seconds or minutes, in the object under a path.
struct LimitWords(&'static str, &'static str, Unit);

#[derive(Clone, Copy)]
enum Unit {
    Seconds,
    Minutes,
}

/// What most rows have in common.
const PLAIN: ServiceReader = ServiceReader {
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

pub(super) static SERVICES: &[ServiceReader] = &[
    ServiceReader {
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
            ReasonFields("", "StatusReason", ""),
            ReasonFields("Attempts", "StatusReason", ""),
            ReasonFields("EksAttempts", "StatusReason", ""),
        ],
        limit: Some(LimitWords("Timeout", "AttemptDurationSeconds", Unit::Seconds)),
        more: Some(More(
            container::of_batch_job,
            "exit code and reason of each container, in the job or its attempts; how many jobs of an array failed",
        )),
        ..PLAIN
    },
    ServiceReader {
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
            ReasonFields("", "StoppedReason", "StopCode"),
            ReasonFields("Failures", "Detail", "Reason"),
            ReasonFields("Failures", "Reason", ""),
        ],
        state: "LastStatus",
        more: Some(More(container::of_ecs_task, "exit code and reason of each container")),
        ..PLAIN
    },
    ServiceReader {
        name: "AWS Glue",
        called: &["glue:startJobRun"],
        what: "the Glue job run",
        within: &["JobRun", "JobRuns"],
        marks: &["JobRunState"],
        reasons: &[ReasonFields("", "ErrorMessage", ""), ReasonFields("", "StateDetail", "")],
        state: "JobRunState",
        limit: Some(LimitWords("", "Timeout", Unit::Minutes)),
        ..PLAIN
    },
    ServiceReader {
        name: "AWS Glue crawlers",
        called: &["aws-sdk:glue:getCrawler", "aws-sdk:glue:startCrawler"],
        what: "the crawler",
        within: &["Crawler"],
        marks: &["LastCrawl"],
        reasons: &[ReasonFields("LastCrawl", "ErrorMessage", "")],
        state: "LastCrawl.Status",
        ..PLAIN
    },
    ServiceReader {
        name: "AWS Glue DataBrew",
        called: &["databrew:startJobRun"],
        what: "the DataBrew job run",
        within: &["JobRun"],
        marks: &["RecipeReference", "DatasetName"],
        reasons: &[ReasonFields("", "ErrorMessage", "")],
        state: "State",
        ..PLAIN
    },
    ServiceReader {
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
        reasons: &[ReasonFields("Health.Issues", "Message", "Code")],
        ..PLAIN
    },
    ServiceReader {
        name: "Amazon EMR steps",
        called: &["elasticmapreduce:addStep", "elasticmapreduce:cancelStep"],
        what: "the EMR step",
        within: &["Step"],
        marks: &["Status.FailureDetails", "ActionOnFailure"],
        reasons: &[
            ReasonFields("Status.FailureDetails", "Message", "Reason"),
            ReasonFields("Status.FailureDetails", "Reason", ""),
            ReasonFields("Status.StateChangeReason", "Message", "Code"),
        ],
        state: "Status.State",
        ..PLAIN
    },
    ServiceReader {
        name: "Amazon EMR clusters",
        called: &["elasticmapreduce:createCluster", "elasticmapreduce:terminateCluster"],
        what: "the EMR cluster",
        within: &["Cluster"],
        marks: &["TerminationProtected", "Ec2InstanceAttributes", "Status.ErrorDetails"],
        reasons: &[
            ReasonFields("Status.ErrorDetails", "ErrorMessage", "ErrorCode"),
            ReasonFields("Status.StateChangeReason", "Message", "Code"),
        ],
        state: "Status.State",
        ..PLAIN
    },
    ServiceReader {
        name: "Amazon EMR on EKS",
        called: &["emr-containers:*"],
        what: "the EMR job run",
        within: &["JobRun", "VirtualCluster"],
        marks: &["VirtualClusterId", "FailureReason+StateDetails"],
        reasons: &[ReasonFields("", "StateDetails", "FailureReason"), ReasonFields("", "FailureReason", "")],
        state: "State",
        ..PLAIN
    },
    ServiceReader {
        name: "Amazon EMR Serverless",
        called: &["emr-serverless:*"],
        what: "the EMR Serverless job run",
        within: &["JobRun", "Application"],
        marks: &["ApplicationId+StateDetails", "JobDriver+ReleaseLabel+ApplicationId"],
        reasons: &[ReasonFields("", "StateDetails", "")],
        state: "State",
        limit: Some(LimitWords("", "ExecutionTimeoutMinutes", Unit::Minutes)),
        ..PLAIN
    },
    ServiceReader {
        name: "Amazon SageMaker AI training",
        called: &["sagemaker:createTrainingJob"],
        what: "the training job",
        marks: &["TrainingJobStatus"],
        reasons: &[ReasonFields("", "FailureReason", "")],
        state: "TrainingJobStatus",
        limit: Some(LimitWords("StoppingCondition", "MaxRuntimeInSeconds", Unit::Seconds)),
        ..PLAIN
    },
    ServiceReader {
        name: "Amazon SageMaker AI processing",
        called: &["sagemaker:createProcessingJob"],
        what: "the processing job",
        marks: &["ProcessingJobStatus"],
        reasons: &[ReasonFields("", "FailureReason", ""), ReasonFields("", "ExitMessage", "")],
        state: "ProcessingJobStatus",
        limit: Some(LimitWords("StoppingCondition", "MaxRuntimeInSeconds", Unit::Seconds)),
        more: Some(More(exit_message, "`ExitMessage`")),
        ..PLAIN
    },
    ServiceReader {
        name: "Amazon SageMaker AI transform",
        called: &["sagemaker:createTransformJob"],
        what: "the transform job",
        marks: &["TransformJobStatus"],
        reasons: &[ReasonFields("", "FailureReason", "")],
        state: "TransformJobStatus",
        ..PLAIN
    },
    ServiceReader {
        name: "Amazon SageMaker AI tuning",
        called: &["sagemaker:createHyperParameterTuningJob"],
        what: "the tuning job",
        marks: &["HyperParameterTuningJobStatus"],
        reasons: &[ReasonFields("", "FailureReason", "")],
        state: "HyperParameterTuningJobStatus",
        ..PLAIN
    },
    ServiceReader {
        name: "Amazon SageMaker AI labeling",
        called: &["sagemaker:createLabelingJob"],
        what: "the labeling job",
        marks: &["LabelingJobStatus"],
        reasons: &[ReasonFields("", "FailureReason", "")],
        state: "LabelingJobStatus",
        ..PLAIN
    },
    ServiceReader {
        name: "Amazon SageMaker AI AutoML",
        called: &["sagemaker:createAutoMLJob", "sagemaker:createAutoMLJobV2"],
        what: "the AutoML job",
        marks: &["AutoMLJobStatus"],
        reasons: &[ReasonFields("", "FailureReason", "")],
        state: "AutoMLJobStatus",
        ..PLAIN
    },
    ServiceReader {
        name: "Amazon SageMaker AI endpoints",
        called: &["sagemaker:createEndpoint", "sagemaker:updateEndpoint"],
        what: "the endpoint",
        marks: &["EndpointStatus"],
        reasons: &[ReasonFields("", "FailureReason", "")],
        state: "EndpointStatus",
        ..PLAIN
    },
    ServiceReader {
        name: "AWS CodeBuild",
        called: &["codebuild:startBuild", "codebuild:startBuildBatch"],
        what: "the build",
        within: &["Build", "Builds", "BuildBatch", "BuildBatches"],
        marks: &["BuildStatus", "BuildBatchStatus", "Phases.PhaseType"],
        reasons: &[ReasonFields("Phases.Contexts", "Message", "StatusCode")],
        state: "BuildStatus",
        limit: Some(LimitWords("", "TimeoutInMinutes", Unit::Minutes)),
        ..PLAIN
    },
    ServiceReader {
        name: "Amazon Athena",
        called: &["athena:startQueryExecution"],
        what: "the query",
        within: &["QueryExecution"],
        marks: &["QueryExecutionId", "Status.AthenaError", "ResultConfiguration"],
        reasons: &[
            ReasonFields("Status", "StateChangeReason", ""),
            ReasonFields("Status.AthenaError", "ErrorMessage", ""),
        ],
        state: "Status.State",
        ..PLAIN
    },
    ServiceReader {
        name: "Amazon Bedrock",
        called: &["bedrock:createModelCustomizationJob"],
        what: "the customization job",
        marks: &["CustomizationType", "BaseModelArn", "OutputModelName"],
        reasons: &[ReasonFields("", "FailureMessage", "")],
        ..PLAIN
    },
    ServiceReader {
        name: "AWS Elemental MediaConvert",
        called: &["mediaconvert:createJob"],
        what: "the MediaConvert job",
        within: &["Job"],
        marks: &["BillingTagsSource", "OutputGroupDetails", "JobPercentComplete", "AccelerationStatus"],
        reasons: &[ReasonFields("", "ErrorMessage", "ErrorCode")],
        ..PLAIN
    },
    ServiceReader {
        name: "Amazon EventBridge",
        called: &["events:putEvents"],
        what: "the call",
        marks: &["FailedEntryCount"],
        reasons: &[ReasonFields("Entries", "ErrorMessage", "ErrorCode")],
        ..PLAIN
    },
    ServiceReader {
        name: "AWS CloudFormation",
        called: &["aws-sdk:cloudformation:*"],
        what: "the stack",
        within: &["Stacks"],
        marks: &["StackStatus", "StackEvents"],
        reasons: &[
            ReasonFields("", "StackStatusReason", ""),
            ReasonFields("StackEvents", "ResourceStatusReason", ""),
        ],
        state: "StackStatus",
        ..PLAIN
    },
    ServiceReader {
        name: "AWS Systems Manager",
        called: &["aws-sdk:ssm:*"],
        what: "the automation or command",
        within: &["AutomationExecution"],
        marks: &["AutomationExecutionStatus", "AutomationExecutionId", "StandardErrorContent", "CommandId"],
        reasons: &[
            ReasonFields("", "FailureMessage", ""),
            ReasonFields("StepExecutions", "FailureMessage", ""),
            ReasonFields("", "StandardErrorContent", ""),
            ReasonFields("", "StatusDetails", ""),
        ],
        state: "AutomationExecutionStatus",
        ..PLAIN
    },
    ServiceReader {
        name: "AWS Database Migration Service",
        called: &["aws-sdk:databasemigration:*"],
        what: "the replication",
        within: &["ReplicationTask", "ReplicationTasks", "Replications"],
        marks: &["LastFailureMessage", "ReplicationTaskArn", "ReplicationConfigArn"],
        reasons: &[
            ReasonFields("", "LastFailureMessage", ""),
            ReasonFields("", "FailureMessages", ""),
            ReasonFields("", "StopReason", ""),
        ],
        ..PLAIN
    },
    ServiceReader {
        name: "Amazon Redshift Data API",
        called: &["aws-sdk:redshiftdata:*", "redshift-data:*"],
        what: "the statement",
        marks: &["RedshiftPid", "RedshiftQueryId", "SubStatements"],
        reasons: &[ReasonFields("", "Error", ""), ReasonFields("SubStatements", "Error", "")],
        ..PLAIN
    },
    ServiceReader {
        name: "Amazon Transcribe",
        called: &["aws-sdk:transcribe:*"],
        what: "the transcription job",
        within: &["TranscriptionJob", "MedicalTranscriptionJob", "CallAnalyticsJob"],
        marks: &["TranscriptionJobStatus", "CallAnalyticsJobStatus"],
        reasons: &[ReasonFields("", "FailureReason", "")],
        state: "TranscriptionJobStatus",
        ..PLAIN
    },
    ServiceReader {
        name: "Amazon Textract, Rekognition, Comprehend",
        called: &["aws-sdk:textract:*", "aws-sdk:rekognition:*", "aws-sdk:comprehend:*"],
        what: "the job",
        marks: &["JobStatus+StatusMessage"],
        reasons: &[ReasonFields("", "StatusMessage", ""), ReasonFields("", "Message", "")],
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

impl ServiceReader {
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
        self.reasons.iter().find_map(|ReasonFields(path, message, kind)| {
            let places = objects_of.iter().flat_map(|object| objects(object, path));
            places
                .into_iter()
                .find_map(|place| Some((text(place, message)?.to_owned(), json::code_of(place, kind))))
        })
    }

    /// The code of an error without a message.
    fn code(&self, objects_of: &[&Object]) -> Option<String> {
        self.reasons.iter().filter(|reason| !reason.2.is_empty()).find_map(|ReasonFields(path, _, kind)| {
            let mut places = objects_of.iter().flat_map(|object| objects(object, path));
            places.find_map(|place| json::code_of(place, kind))
        })
    }

    /// What is known where no reason is given.
    fn ended(&self, objects_of: &[&Object]) -> Option<String> {
        let state = objects_of.iter().find_map(|object| at(object, self.state))?;
        let limit = self.limit.as_ref().and_then(|LimitWords(path, field, unit)| {
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

impl CauseReader for ServiceReader {
    fn called(&self) -> &'static [&'static str] {
        self.called
    }

    fn fits(&self, _: CauseContext<'_>, fields: &Fields) -> bool {
        self.objects(fields).iter().any(|object| self.has_mark(object))
    }

    fn can_read(&self, reading: CauseContext<'_>, fields: &Fields) -> bool {
        let objects = self.objects(fields);
        self.fits(reading, fields)
            || self.reason(&objects).is_some()
            || objects.iter().any(|object| at(object, self.state).is_some())
    }

    fn understand(&self, _: CauseContext<'_>, fields: &Fields) -> ParsedCause {
        let objects = self.objects(fields);
        let (reason, error_type) = self.reason(&objects).unzip();
        let mut error_type = error_type.flatten();
        let mut parts: Vec<String> = reason.into_iter().collect();
        if let Some(More(more, _)) = &self.more {
            parts.extend(
                objects.iter().map(|object| more(object)).find(|more| !more.is_empty()).unwrap_or_default(),
            );
            if error_type.is_none() && !parts.is_empty() {
                let ReasonFields(_, _, kind) = &self.reasons[0];
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

    fn row(&self) -> ReaderRow {
        let mut reads: Vec<String> = Vec::new();
        for ReasonFields(path, message, kind) in self.reasons {
            let path = if path.is_empty() { String::new() } else { format!("{path}.") };
            let kind = if kind.is_empty() { String::new() } else { format!(" with `{kind}`") };
            reads.push(format!("`{path}{message}`{kind}"));
        }
        reads.extend(self.more.as_ref().map(|More(_, says)| (*says).to_owned()));
        reads.dedup();
        let mut reads = reads.join("; ");
        reads.push_str(&format!("; else `{}`", self.state));
        ReaderRow { name: self.name, called: self.called, reads }
    }
}
