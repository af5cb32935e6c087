"""The Terraform module and the CloudFormation template, both deployed on LocalStack: a failure arrives in
either's queue, everything that stands is the same, and Terraform sees no drift.

Not shown here, since LocalStack does not have it: that IAM allows and refuses, that a key lets
EventBridge in, and what EventBridge does with events that it cannot deliver.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import unittest

import scenarios

from . import cloudformation, terraform
from .cloudformation import complaints_about
from .deployed import Deployed, arrive, by_cloudformation, by_terraform, differences, fail, state_machine

ENDPOINT = os.environ.get("AWS_ENDPOINT_URL", "")
MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:"
# Its name is a new one each time, for a LocalStack that stays.
UNDELETABLE = f"full-{secrets.token_hex(4)}"
REQUIRED = {
    "application_name": "web-shop",
    "external_group_email": "assist@example.com",
    "internal_group_email": "dev-team@example.com",
    "notification_api": "https://notify.example.com/send",
}
# By the module's name, the template's, and the value that both get.
EVERYTHING = [
    ("env", "Env", "prod"),
    ("step_function_arns", "StepFunctionArns", [f"{MACHINE}watched", f"{MACHINE}watched-too"]),
    ("child_state_machine_arns", "ChildStateMachineArns", [f"{MACHINE}child", f"{MACHINE}grandchild"]),
    ("map_run_children", "MapRunChildren", "fold"),
    ("state_machine_key_arns", "StateMachineKeyArns", ["arn:aws:kms:us-east-1:000000000000:key/9b1deb4d"]),
    ("visibility_timeout_seconds", "VisibilityTimeoutSeconds", 300),
    ("max_receive_count", "MaxReceiveCount", 7),
    ("message_retention_seconds", "MessageRetentionSeconds", 86400),
    ("kms_key_arn", "KmsKeyArn", "arn:aws:kms:us-east-1:000000000000:key/0f8fad5b"),
    ("alarm_topic_arn", "AlarmTopicArn", "arn:aws:sns:us-east-1:000000000000:alarms"),
    ("oldest_message_alarm_seconds", "OldestMessageAlarmSeconds", 1800),
    ("log_group_arns", "LogGroupArns", ["arn:aws:logs:us-east-1:000000000000:log-group:/aws/lambda/*:*"]),
    ("notification_topic_arns", "NotificationTopicArns", ["arn:aws:sns:us-east-1:000000000000:failures"]),
    ("notification_key_arns", "NotificationKeyArns", ["arn:aws:kms:us-east-1:000000000000:key/7c9e6679"]),
    (
        "notification_identity_arns",
        "NotificationIdentityArns",
        ["arn:aws:ses:us-east-1:000000000000:identity/example.com"],
    ),
    ("iam_path", "IamPath", "/teams/payments/"),
]
# One fault in each thing that is compared, and where it has to be seen.
PLANTED = {
    ("visibility", "VisibilityTimeout: !Ref VisibilityTimeoutSeconds", "VisibilityTimeout: 30"): "/queues//VisibilityTimeout",
    ("receives", "maxReceiveCount: !Ref MaxReceiveCount", "maxReceiveCount: 6"): "/queues//RedrivePolicy/maxReceiveCount",
    ("retention", "MessageRetentionPeriod: 1209600", "MessageRetentionPeriod: 1209599"): "/queues/-dlq/MessageRetentionPeriod",
    ("pattern", "[FAILED, TIMED_OUT, ABORTED]", "[FAILED, TIMED_OUT]"): "/rule/EventPattern/detail/status",
    ("retries", "MaximumRetryAttempts: 185", "MaximumRetryAttempts: 18"): "/targets/0/RetryPolicy/MaximumRetryAttempts",
    ("target", "DeadLetterConfig:\n            Arn: !GetAtt Target", "DeadLetterConfig:\n            Arn: !GetAtt "): "/targets/0/DeadLetterConfig/Arn",
    ("tls", "Effect: Deny", "Effect: Allow"): "/queues//Policy/Statement/1/Effect",
    ("worker", "sqs:ChangeMessageVisibility, ", ""): "/policies/worker/Statement/0/Action",
    ("replay", ", sqs:CancelMessageMoveTask", ""): "/policies/replay/Statement/1/Action",
    ("children", '"*:stateMachine:*/*"', '"*/*"'): "/rule/EventPattern/detail/stateMachineArn",
    ("gone", "FILL(received, 0)", "FILL(received, 1)"): "/alarms/NAME-no-worker/Metrics",
    ("alarm", "TreatMissingData: notBreaching", "TreatMissingData: missing"): "/alarms/NAME-dead-letters/TreatMissingData",
    ("region", "Description: AWS_REGION", "Description: REGION"): "/environment/AWS_REGION",
    ("age", "!Ref OldestMessageAlarmSeconds", "60"): "/alarms/NAME-oldest-message/Threshold",
}  # fmt: skip


class DeployedTest(unittest.TestCase):
    maxDiff = None

    def setUp(self) -> None:
        self.assertTrue(ENDPOINT, "run this through `localstack.py run -- …`, as `make infra-test` does")
        self.template = cloudformation.TEMPLATE.read_text()
        self.left_behind = standing()

    def tearDown(self) -> None:
        self.assertEqual(standing(), self.left_behind, "something was left behind")

    def test_with_defaults_both_do_the_same_and_drift_is_seen(self) -> None:
        with contextlib.ExitStack() as stack:
            module = stack.enter_context(terraform.applied(ENDPOINT, event_rule_name="of-terraform", **REQUIRED))
            ours = by_terraform("of-terraform", outputs(module))
            theirs = stack.enter_context(
                by_cloudformation("of-cloudformation", self.template, ApplicationName="web-shop")
            )
            machine = stack.enter_context(state_machine("trips"))
            self.assert_same(ours, theirs)
            execution = fail(machine)
            self.assertEqual(arrive(ours.queue_url, execution), [execution])
            self.assertEqual(arrive(theirs.queue_url, execution), [execution])
            self.assertEqual(matched(ours), {"execution"})
            self.assert_no_drift(module)
            self.assertEqual(outputs(module)["worker_environment"]["MISSTEP_QUEUE_URL"], ours.queue_url)

            # A drift would be seen:
            sqs = scenarios.clients().sqs
            sqs.set_queue_attributes(QueueUrl=ours.queue_url, Attributes={"VisibilityTimeout": "121"})
            drift = module.run("plan", "-detailed-exitcode", "-input=false", "-no-color")
            self.assertEqual(drift.returncode, 2, drift.stdout + drift.stderr)
            self.assertIn("visibility_timeout_seconds", drift.stdout)

    def test_with_everything_set_both_do_the_same(self) -> None:
        arguments = {ours: value for ours, _, value in EVERYTHING}
        with contextlib.ExitStack() as stack:
            module = stack.enter_context(
                terraform.applied(ENDPOINT, event_rule_name="full-terraform", **REQUIRED, **arguments)
            )
            ours = by_terraform("full-terraform", outputs(module))
            theirs = stack.enter_context(
                by_cloudformation(UNDELETABLE, with_defaults(EVERYTHING), deletable=False, ApplicationName="web-shop")
            )
            self.assert_same(ours, theirs)
            self.assert_no_drift(module)
            for policy, key in (("worker", "worker_policy_json"), ("replay", "replay_policy_json")):
                document = ours.read()["policies"][policy]
                given = json.loads(outputs(module)[key].replace(ours.name, "NAME"))
                self.assertEqual(document, given)

            # Only those watched arrive; the other one fails first.
            unwatched = stack.enter_context(state_machine("unwatched"))
            watched = stack.enter_context(state_machine("watched"))
            fail(unwatched)
            execution = fail(watched)
            for queue in (ours, theirs):
                self.assertEqual(arrive(queue.queue_url, execution), [execution])

    def test_children_of_all_kinds_do_the_same(self) -> None:
        """Those that the watched ones start are readable, and those of Map runs come in where asked for."""
        child = "arn:aws:states:us-east-1:111111111111:stateMachine:child"
        given = [
            ("child_state_machine_arns", "ChildStateMachineArns", [child]),
            ("map_run_children", "MapRunChildren", "notify"),
        ]
        arguments = {ours: value for ours, _, value in given}
        name = f"children-{UNDELETABLE}"
        with contextlib.ExitStack() as stack:
            module = stack.enter_context(
                terraform.applied(ENDPOINT, event_rule_name="child-terraform", **arguments, **REQUIRED)
            )
            ours = by_terraform("child-terraform", outputs(module))
            theirs = stack.enter_context(
                by_cloudformation(name, with_defaults(given), deletable=False, ApplicationName="web-shop")
            )
            self.assert_same(ours, theirs)
            self.assertEqual(matched(ours), {"execution", "child of a Map run"})

    def test_a_new_name_keeps_the_queue_and_what_waits_in_it(self) -> None:
        sqs = scenarios.clients().sqs
        with terraform.applied(ENDPOINT, event_rule_name="before", **REQUIRED) as module:
            queue = outputs(module)["queue_url"]
            sqs.send_message(QueueUrl=queue, MessageBody="waits")
            terraform.write_root(module.folder, ENDPOINT, event_rule_name="after", **REQUIRED)
            terraform.apply(module)
            self.assertEqual(outputs(module)["queue_url"], queue)
            [message] = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5)["Messages"]
            self.assertEqual(message["Body"], "waits")
            self.assertTrue(outputs(module)["event_rule_arn"].endswith("/after"))
            self.assert_no_drift(module)

    def test_every_parameter_of_either_is_set_in_the_comparison(self) -> None:
        template = set(cloudformation.load()["Parameters"])
        # LocalStack has no DynamoDB here: test_incident_table.py compares the tables as they are written.
        others = {"ApplicationName", "EventRuleName", "IncidentTableName"}
        self.assertEqual(template, {name for _, name, _ in EVERYTHING} | others)

    def test_the_rules_name_can_be_chosen(self) -> None:
        given = {"ApplicationName": "web-shop", "EventRuleName": "chosen"}
        with by_cloudformation("of-cloudformation", self.template, **given) as theirs:
            self.assertTrue(theirs.queue_url.endswith("/chosen"), theirs.queue_url)
            theirs.name = "chosen"
            self.assertEqual(len(theirs.read()["alarms"]), 6)

    def test_planted_faults_are_seen_one_by_one(self) -> None:
        planted = self.template
        for _, right, wrong in PLANTED:
            self.assertIn(right, planted)
            planted = planted.replace(right, wrong)
        with by_cloudformation("right", self.template, ApplicationName="web-shop") as right:
            with by_cloudformation("wrong", planted, ApplicationName="web-shop") as wrong:
                found = differences(right.read(), wrong.read())
        for (fault, _, _), place in PLANTED.items():
            self.assertTrue([line for line in found if line.startswith(place)], f"{fault}: {found}")

    def test_what_is_left_out_for_the_old_provider_is_the_same_too(self) -> None:
        """Compared as text, since neither Terraform nor LocalStack sees both sides."""
        text = (terraform.MODULE / "queues.tf").read_text()
        template = cloudformation.load()["Resources"]
        allow = template["DeadLetterQueue"]["Properties"]["RedriveAllowPolicy"]
        self.assertIn(f'redrivePermission = "{allow["redrivePermission"]}"', text)
        self.assertEqual(len(allow["sourceQueueArns"]), 1)
        self.assertIn("sourceQueueArns   = [aws_sqs_queue.queue.arn]", text)
        queues = [it["Properties"] for it in template.values() if it["Type"] == "AWS::SQS::Queue"]
        encrypted = {"Fn::If": ["HasKey", {"Ref": "AWS::NoValue"}, True]}
        self.assertEqual([it["SqsManagedSseEnabled"] for it in queues], [encrypted] * 3)
        self.assertIn("sqs_managed_sse_enabled = var.kms_key_arn == null ? true : null\n", text)
        self.assertEqual([it["MaximumMessageSize"] for it in queues], [1024 * 1024] * 3)
        self.assertIn("max_message_size = 1024 * 1024\n", text)
        for argument in ("sqs_managed_sse_enabled", "max_message_size"):
            self.assertEqual(len(re.findall(rf"^  {argument} += local\.{argument}$", text, re.M)), 3)

    def assert_same(self, ours: Deployed, theirs: Deployed) -> None:
        both = ours.read()
        self.assertEqual(differences(both, theirs.read()), [])
        for policy in both["policies"].values():
            self.assertEqual(complaints_about(policy), set())
            wrong = re.sub(":(mapRun|stateMachine):", ":activity:", json.dumps(policy))
            self.assertEqual(complaints_about(json.loads(wrong)), {"I3510"})

    def assert_no_drift(self, module: terraform.Terraform) -> None:
        again = module.run("plan", "-detailed-exitcode", "-input=false", "-no-color")
        self.assertEqual(again.returncode, 0, again.stdout + again.stderr)


def matched(queue: Deployed) -> set[str]:
    """Which of these failures the rule lets in."""
    aws = scenarios.clients()
    pattern = aws.events.describe_rule(Name=queue.name)["EventPattern"]
    envelope = {"id": "1", "account": "000000000000", "time": "2026-11-26T00:00:00Z", "region": "us-east-1", "resources": []}
    failed = {"source": "aws.states", "detail-type": "Step Functions Execution Status Change"}

    def comes_in(state_machine: str, status: str) -> bool:
        detail = {"status": status, "stateMachineArn": f"{MACHINE}{state_machine}"}
        event = json.dumps({**envelope, **failed, "detail": detail})
        return aws.events.test_event_pattern(EventPattern=pattern, Event=event)["Result"]

    failures = {
        "execution": ("orders", "FAILED"),
        "child of a Map run": ("orders/PerOrder", "FAILED"),
        "no failure": ("orders", "SUCCEEDED"),
    }
    return {what for what, failure in failures.items() if comes_in(*failure)}


def outputs(module: terraform.Terraform) -> dict:
    return json.loads(module.must("output", "-json"))["misstep"]["value"]


def with_defaults(given: list[tuple[str, str, object]]) -> str:
    """The template with what is given as its parameters' defaults: given as parameters, LocalStack makes no
    alarm of a number."""
    template = cloudformation.load()
    for _, name, value in given:
        template["Parameters"][name]["Default"] = ",".join(value) if isinstance(value, list) else value
    return json.dumps(template)


def standing() -> dict[str, list[str]]:
    """All there is on this LocalStack of the kinds that are made here, but for what cannot be deleted."""
    aws = scenarios.clients()
    machines = aws.stepfunctions.list_state_machines()["stateMachines"]
    found = {
        "queues": aws.sqs.list_queues().get("QueueUrls", []),
        "rules": [rule["Name"] for rule in aws.events.list_rules()["Rules"]],
        "alarms": [alarm["AlarmName"] for alarm in aws.cloudwatch.describe_alarms()["MetricAlarms"]],
        "policies": [policy["Arn"] for policy in aws.iam.list_policies(Scope="Local")["Policies"]],
        "roles": [role["RoleName"] for role in aws.iam.list_roles()["Roles"]],
        "state machines": [machine["name"] for machine in machines],
    }
    return {kind: [name for name in names if UNDELETABLE not in name] for kind, names in found.items()}
