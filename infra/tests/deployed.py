"""What stands on LocalStack, read back through AWS's own API, whoever made it."""

from __future__ import annotations

import contextlib
import json
from typing import Iterator

import scenarios

from . import cloudformation

# What an alarm is made of; the rest is its state.
ALARM = [
    "AlarmDescription", "Namespace", "MetricName", "Dimensions", "Statistic", "Period", "EvaluationPeriods",
    "DatapointsToAlarm", "ComparisonOperator", "Threshold", "TreatMissingData", "Metrics", "AlarmActions", "OKActions", "InsufficientDataActions",
]  # fmt: skip
QUEUE = [
    "VisibilityTimeout", "MessageRetentionPeriod", "DelaySeconds", "ReceiveMessageWaitTimeSeconds", "KmsMasterKeyId",
]  # fmt: skip
JSON = ["RedrivePolicy", "Policy"]
# What of the worker's environment follows from what is deployed.
KNOWN_TO_BOTH = {
    "AWS_REGION", "MISSTEP_QUEUE_URL", "MISSTEP_DLQ_URL", "MISSTEP_STEP_FUNCTION_ARNS", "MISSTEP_MAP_RUN_CHILDREN",
    "MISSTEP_INCIDENT_STORE",
}  # fmt: skip
SUFFIXES = ("", "-dlq", "-target-dlq")


class Deployed:
    """One deployment; `name` is its rule's and its queue's."""

    def __init__(
        self, name: str, queue_url: str, worker_policy: str, sweep_policy: str, replay_policy: str, environment: dict[str, str]
    ):
        self.name = name
        self.queue_url = queue_url
        self._environment = environment
        self._policies = {"worker": worker_policy, "sweep": sweep_policy, "replay": replay_policy}

    def read(self) -> dict:
        """Everything, with the deployment's own name replaced, as AWS tells it."""
        aws = scenarios.clients()
        found = {
            "queues": {queue: self._queue(aws, queue) for queue in SUFFIXES},
            "rule": self._rule(aws),
            "targets": self._targets(aws),
            "alarms": self._alarms(aws),
            "policies": {who: self._policy(aws, arn) for who, arn in self._policies.items()},
            "environment": self._environment,
        }
        return json.loads(json.dumps(found).replace(self.name, "NAME"))

    def _queue(self, aws: scenarios.Clients, suffix: str) -> dict:
        attributes = aws.sqs.get_queue_attributes(QueueUrl=self.queue_url + suffix, AttributeNames=["All"])
        attributes = attributes["Attributes"]
        tags = aws.sqs.list_queue_tags(QueueUrl=self.queue_url + suffix)["Tags"]
        told = {name: attributes.get(name) for name in QUEUE}
        parsed = {name: json.loads(attributes[name]) for name in JSON if name in attributes}
        return {**told, **parsed, "Tags": without_makers(tags)}

    def _rule(self, aws: scenarios.Clients) -> dict:
        rule = aws.events.describe_rule(Name=self.name)
        return {
            "EventPattern": json.loads(rule["EventPattern"]),
            **{name: rule[name] for name in ("Description", "State", "EventBusName")},
        }

    def _targets(self, aws: scenarios.Clients) -> list[dict]:
        return aws.events.list_targets_by_rule(Rule=self.name)["Targets"]

    def _alarms(self, aws: scenarios.Clients) -> dict:
        alarms = aws.cloudwatch.describe_alarms(AlarmNamePrefix=f"{self.name}-")["MetricAlarms"]
        for alarm in alarms:
            # In no order of their own.
            alarm.get("Metrics", []).sort(key=lambda metric: metric["Id"])
        return {alarm["AlarmName"]: {name: alarm.get(name) for name in ALARM} for alarm in alarms}

    def _policy(self, aws: scenarios.Clients, arn: str) -> dict:
        version = aws.iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        return aws.iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]


@contextlib.contextmanager
def by_cloudformation(
    name: str, template: str, deletable: bool = True, **parameters: str
) -> Iterator[Deployed]:
    """The template as a stack; deleted at the end with its queues, whatever happens. LocalStack cannot delete
    one with a condition on a list that is not empty; that one goes with this LocalStack."""
    aws = scenarios.clients()
    queue = parameters.get("EventRuleName", name)
    try:
        aws.cloudformation.create_stack(
            StackName=name,
            TemplateBody=template,
            Capabilities=["CAPABILITY_IAM"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        )
        stack = scenarios.wait_for(lambda: scenarios.settled(aws, name), f"stack {name} to be deployed")
        if stack["StackStatus"] != "CREATE_COMPLETE":
            raise AssertionError(f"stack {name} is {stack['StackStatus']}: {stack.get('StackStatusReason')}")
        told = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
        # LocalStack does not tell the outputs' descriptions.
        described = {key: it.get("Description") for key, it in cloudformation.parse(template)["Outputs"].items()}
        environment = {described[key]: value for key, value in told.items() if described[key] in KNOWN_TO_BOTH}
        policies = [told[f"{policy}PolicyArn"] for policy in ("Worker", "Sweep", "Replay")]
        yield Deployed(name, told["QueueUrl"], *policies, environment)
    finally:
        if deletable:
            delete(aws, name)
            delete_queues(aws, queue)


def delete(aws: scenarios.Clients, stack: str) -> None:
    aws.cloudformation.delete_stack(StackName=stack)
    gone = scenarios.wait_for(lambda: scenarios.settled(aws, stack), f"stack {stack} to be deleted")
    assert gone["StackStatus"] == "DELETE_COMPLETE", gone


def delete_queues(aws: scenarios.Clients, name: str) -> None:
    """Those of a deployment, which outlive it."""
    for url in aws.sqs.list_queues(QueueNamePrefix=name).get("QueueUrls", []):
        if url.rsplit("/", 1)[1].removeprefix(name) in SUFFIXES:
            aws.sqs.delete_queue(QueueUrl=url)


def by_terraform(name: str, outputs: dict) -> Deployed:
    environment = {name: value for name, value in outputs["worker_environment"].items() if name in KNOWN_TO_BOTH}
    policies = [outputs[f"{policy}_policy_arn"] for policy in ("worker", "sweep", "replay")]
    return Deployed(name, outputs["queue_url"], *policies, environment)


@contextlib.contextmanager
def state_machine(name: str) -> Iterator[str]:
    """One whose executions fail; its ARN."""
    aws = scenarios.clients()
    trust = {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = aws.iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    arn = None
    try:
        fails = {"StartAt": "Trip", "States": {"Trip": {"Type": "Fail", "Error": "Tripped", "Cause": "on purpose"}}}
        arn = aws.stepfunctions.create_state_machine(name=name, roleArn=role, definition=json.dumps(fails))
        arn = arn["stateMachineArn"]
        yield arn
    finally:
        if arn:
            aws.stepfunctions.delete_state_machine(stateMachineArn=arn)
        aws.iam.delete_role(RoleName=name)


def fail(state_machine: str) -> str:
    """Starts an execution and waits until it has failed; its ARN."""
    aws = scenarios.clients().stepfunctions
    execution = aws.start_execution(stateMachineArn=state_machine)["executionArn"]
    scenarios.wait_for(
        lambda: aws.describe_execution(executionArn=execution)["status"] == "FAILED", f"{execution} to fail"
    )
    return execution


def arrive(queue_url: str, last: str) -> list[str]:
    """The executions whose events arrive in the queue, until that of `last`. Messages are deleted."""
    aws = scenarios.clients().sqs
    arrived: list[str] = []

    def receive() -> bool:
        got = aws.receive_message(QueueUrl=queue_url, WaitTimeSeconds=1, MaxNumberOfMessages=10)
        for message in got.get("Messages", []):
            arrived.append(json.loads(message["Body"])["detail"]["executionArn"])
            aws.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
        return last in arrived

    scenarios.wait_for(receive, f"the event of {last} to arrive in {queue_url}")
    return arrived


def differences(one: object, other: object, at: str = "") -> list[str]:
    """Where two of these differ, as paths. The order in lists counts."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted({*one, *other})
        return [
            found
            for key in keys
            for found in (
                differences(one[key], other[key], f"{at}/{key}")
                if key in one and key in other
                else [f"{at}/{key}: only in the {'first' if key in one else 'second'}"]
            )
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            found
            for index, pair in enumerate(zip(one, other))
            for found in differences(*pair, f"{at}/{index}")
        ]
    return [] if one == other else [f"{at}: {one!r} and {other!r}"]


def without_makers(tags: dict[str, str]) -> dict[str, str]:
    """Without those by which CloudFormation knows its own."""
    return {key: value for key, value in tags.items() if not key.startswith("aws:")}
