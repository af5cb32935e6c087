"""Every call to AWS in the Rust sources has its IAM action in the policy of whoever makes it, and no policy
has an action that nobody needs.

The calls are found by name: a method without arguments that is named like an operation of one of the
services whose SDK is a dependency, as the SDK's builders are.
"""

from __future__ import annotations

import json
import re
import unittest

import boto3

from . import cloudformation, tools
from .cloudformation import as_list

# The SDKs' names of services that botocore calls otherwise.
SERVICES = {
    "sqs": "sqs",
    "sfn": "stepfunctions",
    "sns": "sns",
    "ses": "ses",
    "cloudwatchlogs": "logs",
    "dynamodb": "dynamodb",
}
WORKER, SWEEP, REPLAY, LOGS = "WorkerPolicy", "SweepPolicy", "ReplayPolicy", "LogsPolicy"
LOG_GROUPS = "LogGroupArns"
QUEUE, DLQ, TARGET_DLQ = "Queue", "DeadLetterQueue", "TargetDeadLetterQueue"
EXECUTIONS, EXPRESS_CHILDREN, MAP_RUNS = ":execution:", ":express:", ":mapRun:"
INCIDENT_TABLE, INCIDENT_INDEX = ':table/${IncidentTableName}"', "${IncidentTableName}/index/due"
STATE_MACHINES, ANYTHING = "${AWS::AccountId}:stateMachine:*", '"*"'
KINDS = (ANYTHING, EXECUTIONS, EXPRESS_CHILDREN, MAP_RUNS, INCIDENT_TABLE, INCIDENT_INDEX)
TOPICS, TOPIC_KEYS, IDENTITIES = "NotificationTopicArns", "NotificationKeyArns", "NotificationIdentityArns"
STATE_MACHINE_KEYS = "StateMachineKeyArns"
BOTH_DLQS = [(REPLAY, DLQ), (REPLAY, TARGET_DLQ)]
BOTH = {resource: [(WORKER, resource), (REPLAY, resource)] for resource in (EXECUTIONS, EXPRESS_CHILDREN, MAP_RUNS)}

# Each call that the code makes: its IAM action, and who makes it of what.
CALLS = {
    "sqs.ReceiveMessage": ("sqs:ReceiveMessage", [(WORKER, QUEUE), *BOTH_DLQS]),
    "sqs.DeleteMessageBatch": ("sqs:DeleteMessage", [(WORKER, QUEUE), *BOTH_DLQS]),
    "sqs.ChangeMessageVisibilityBatch": ("sqs:ChangeMessageVisibility", [(WORKER, QUEUE), *BOTH_DLQS]),
    "sqs.GetQueueAttributes": ("sqs:GetQueueAttributes", [(WORKER, QUEUE), (WORKER, DLQ), (REPLAY, QUEUE), *BOTH_DLQS]),
    "sqs.SendMessage": ("sqs:SendMessage", [(WORKER, DLQ)]),
    "sqs.SendMessageBatch": ("sqs:SendMessage", [(REPLAY, QUEUE), (SWEEP, QUEUE)]),
    "sqs.StartMessageMoveTask": ("sqs:StartMessageMoveTask", [(REPLAY, DLQ)]),
    "sqs.ListMessageMoveTasks": ("sqs:ListMessageMoveTasks", [(REPLAY, DLQ)]),
    "sqs.CancelMessageMoveTask": ("sqs:CancelMessageMoveTask", [(REPLAY, DLQ)]),
    "stepfunctions.GetExecutionHistory": ("states:GetExecutionHistory", BOTH[EXECUTIONS]),
    "stepfunctions.DescribeExecution": ("states:DescribeExecution", [*BOTH[EXECUTIONS], *BOTH[EXPRESS_CHILDREN]]),
    "stepfunctions.DescribeMapRun": ("states:DescribeMapRun", BOTH[MAP_RUNS]),
    "stepfunctions.ListExecutions": ("states:ListExecutions", [*BOTH[MAP_RUNS], (SWEEP, STATE_MACHINES)]),
    "stepfunctions.ListStateMachines": ("states:ListStateMachines", [(SWEEP, ANYTHING)]),
    "sns.Publish": ("sns:Publish", [(WORKER, TOPICS)]),
    "sns.GetTopicAttributes": ("sns:GetTopicAttributes", [(WORKER, TOPICS)]),
    "logs.GetLogEvents": ("logs:GetLogEvents", [(LOGS, LOG_GROUPS)]),
    "logs.FilterLogEvents": ("logs:FilterLogEvents", [(LOGS, LOG_GROUPS)]),
    "ses.SendEmail": ("ses:SendEmail", [(WORKER, IDENTITIES)]),
    "dynamodb.GetItem": ("dynamodb:GetItem", [(WORKER, INCIDENT_TABLE)]),
    "dynamodb.BatchGetItem": ("dynamodb:BatchGetItem", [(WORKER, INCIDENT_TABLE)]),
    "dynamodb.Query": ("dynamodb:Query", [(WORKER, INCIDENT_TABLE), (WORKER, INCIDENT_INDEX)]),
    "dynamodb.PutItem": ("dynamodb:PutItem", [(WORKER, INCIDENT_TABLE)]),
    "dynamodb.BatchWriteItem": ("dynamodb:BatchWriteItem", [(WORKER, INCIDENT_TABLE)]),
    "dynamodb.TransactWriteItems": ("dynamodb:ConditionCheckItem", [(WORKER, INCIDENT_TABLE)]),
    "dynamodb.DescribeTable": ("dynamodb:DescribeTable", [(WORKER, INCIDENT_TABLE)]),
}

# Needed by no call of today's code, each for a reason.
BEYOND_CALLS = {
    **{
        (who, action, "KmsKeyArn"): "SQS makes the call on behalf of whoever sends or receives"
        for who in (WORKER, REPLAY)
        for action in ("kms:Decrypt", "kms:GenerateDataKey")
    },
    **{
        (who, "kms:Decrypt", STATE_MACHINE_KEYS): "Step Functions makes the call on behalf of whoever reads"
        for who in (WORKER, REPLAY)
    },
    **{
        (WORKER, action, TOPIC_KEYS): "SNS makes the call on behalf of whoever publishes"
        for action in ("kms:Decrypt", "kms:GenerateDataKey*")
    },
    **{
        (WORKER, action, INCIDENT_TABLE): "a transaction needs the actions of what is in it"
        for action in ("dynamodb:UpdateItem", "dynamodb:DeleteItem")
    },
}


def calls_in(sources: dict[str, str], services: set[str]) -> dict[str, set[str]]:
    """Operation -> the files that call it."""
    methods = {
        snake_case(operation): f"{service}.{operation}"
        for service in services
        for operation in boto3.client(service, region_name="us-east-1").meta.service_model.operation_names
    }
    found: dict[str, set[str]] = {}
    for file, text in sources.items():
        for method in re.findall(r"\.\s*(\w+)\(\)", text):
            if method in methods:
                found.setdefault(methods[method], set()).add(file)
    return found


def snake_case(operation: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", operation).lower()


def sources() -> dict[str, str]:
    return {str(path.relative_to(tools.ROOT)): path.read_text() for path in (tools.ROOT / "src").rglob("*.rs")}


def services_in(manifest: str) -> set[str]:
    """The services whose SDKs are dependencies; fails on one that is not known here."""
    return {SERVICES[name] for name in re.findall(r"^aws-sdk-(\w+)\s*=", manifest, re.M)}


def granted(template: dict) -> set[tuple[str, str, str]]:
    """Who may do what to what: (policy, action, resource)."""
    return {
        (policy, action, resource)
        for policy in (WORKER, SWEEP, REPLAY, LOGS)
        for statement in cloudformation.statements(template, policy)
        for action in statement["Action"]
        for resource in resources(statement)
    }


def resources(statement: dict) -> list[str]:
    """What a statement is about: the queues' logical ids, a parameter, or the type in the ARNs."""
    found = []
    for resource in as_list(statement["Resource"]):
        if "Fn::GetAtt" in resource:
            found.append(resource["Fn::GetAtt"][0])
        elif "Ref" in resource:
            found.append(resource["Ref"])
        else:
            text = json.dumps(resource)
            kinds = [kind for kind in KINDS if kind in text]
            # The ARNs of the others are made from those of state machines.
            found += kinds or [kind for kind in (STATE_MACHINES,) if kind in text]
    if not found:
        raise AssertionError(f"what is this about? {statement}")
    return found


class CallsTest(unittest.TestCase):
    def setUp(self) -> None:
        self.services = services_in((tools.ROOT / "Cargo.toml").read_text())
        self.granted = granted(cloudformation.load())

    def test_every_call_is_known_here_and_still_made(self) -> None:
        self.assertEqual(set(calls_in(sources(), self.services)), set(CALLS))

    def test_every_call_is_allowed_to_whoever_makes_it(self) -> None:
        self.assertEqual(needed() - self.granted, set())

    def test_nothing_is_allowed_that_nobody_needs(self) -> None:
        self.assertEqual(self.granted - needed(), set(BEYOND_CALLS))

    def test_a_call_that_is_new_is_seen(self) -> None:
        planted = {"src/new.rs": "self.client\n    .stop_execution()\n    .execution_arn(arn)\n    .send()"}
        self.assertEqual(calls_in(planted, self.services), {"stepfunctions.StopExecution": {"src/new.rs"}})

    def test_a_service_that_is_new_is_seen(self) -> None:
        with self.assertRaisesRegex(KeyError, "kinesis"):
            services_in('aws-sdk-kinesis = { version = "1" }\n')

    def test_an_action_that_goes_missing_or_moves_is_seen(self) -> None:
        text = cloudformation.TEMPLATE.read_text()
        wrongs = {
            ", sqs:CancelMessageMoveTask": "",
            "Action: [sqs:SendMessage, sqs:GetQueueAttributes]\n            Resource: !GetAtt DeadLetterQueue.Arn": "Action: [sqs:SendMessage, sqs:GetQueueAttributes]\n            Resource: !GetAtt Queue.Arn",
            "states:DescribeMapRun, ": "",
            "Action: states:DescribeExecution": "Action: states:GetExecutionHistory",
        }  # fmt: skip
        for right, wrong in wrongs.items():
            self.assertIn(right, text)
            planted = granted(cloudformation.parse(text.replace(right, wrong)))
            self.assertTrue(needed() - planted, right)


def needed() -> set[tuple[str, str, str]]:
    return {(who, action, resource) for action, uses in CALLS.values() for who, resource in uses}
