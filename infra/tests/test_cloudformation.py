"""The CloudFormation template by itself: its form, and the IAM actions in it. The resources of its policies
are looked at once they are deployed, in `test_deployed.py`."""

from __future__ import annotations

import re
import unittest
from typing import Iterator

from .cloudformation import TEMPLATE, as_list, complaints, load, parse

# 1 MiB, SQS's largest.
LARGEST = 1_048_576


def named_in(value: object) -> Iterator[str]:
    """What `Ref`, `GetAtt` and `Sub` name in a part of a template."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref":
                yield inner
            elif key == "Fn::GetAtt":
                yield inner[0]
            elif key == "Fn::Sub":
                yield from re.findall(r"\$\{(\w+)", as_list(inner)[0])
            yield from named_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from named_in(inner)


def made_before(template: dict, resource: str) -> set[str]:
    """The resources that CloudFormation makes before this one."""
    found: set[str] = set()
    waiting = [resource]
    while waiting:
        body = template["Resources"][waiting.pop()]
        needed = {*as_list(body.get("DependsOn", [])), *named_in(body["Properties"])}
        new = (needed & set(template["Resources"])) - found
        found |= new
        waiting += new
    return found


def allowed_too_late(template: dict) -> set[str]:
    """The queues that the rule may send to before their policies let it."""
    rule = template["Resources"]["Rule"]["Properties"]
    targets = {name for name in named_in(rule["Targets"]) if name in template["Resources"]}
    policies = {
        name: set(named_in(body["Properties"]["Queues"]))
        for name, body in template["Resources"].items()
        if body["Type"] == "AWS::SQS::QueuePolicy"
    }
    before = made_before(template, "Rule")
    return targets - {queue for name, queues in policies.items() if name in before for queue in queues}


def queues(template: dict) -> dict[str, dict]:
    return {name: body for name, body in template["Resources"].items() if body["Type"] == "AWS::SQS::Queue"}


class CloudFormationTest(unittest.TestCase):
    def test_cfn_lint_has_nothing_to_say(self) -> None:
        self.assertEqual(complaints(TEMPLATE.read_text()), set())

    def test_cfn_lint_finds_what_is_planted(self) -> None:
        text = TEMPLATE.read_text()
        slips = {
            "W3037": ("states:DescribeMapRun", "states:DescribeMapRuns"),
            "E3002": ("TreatMissingData:", "TreatMissingDatum:"),
            "E1010": ("!GetAtt TargetDeadLetterQueue.Arn", "!GetAtt TargetDeadLetterQueue.Aim"),
        }
        for code, (right, wrong) in slips.items():
            with self.subTest(code):
                self.assertIn(right, text)
                self.assertIn(code, complaints(text.replace(right, wrong)))

    def test_the_rule_starts_when_its_queues_may_take_from_it(self) -> None:
        """EventBridge does not try again what is denied: an event that comes too early is lost."""
        self.assertEqual(allowed_too_late(load()), set())
        text = TEMPLATE.read_text()
        late = text.replace("[QueuePolicy, TargetDeadLetterQueuePolicy]", "[QueuePolicy]")
        self.assertEqual(allowed_too_late(parse(late)), {"TargetDeadLetterQueue"})

    def test_neither_a_new_name_nor_the_end_of_the_stack_deletes_messages(self) -> None:
        kept = {name: (it["DeletionPolicy"], it["UpdateReplacePolicy"]) for name, it in queues(load()).items()}
        self.assertEqual(set(kept), {"Queue", "DeadLetterQueue", "TargetDeadLetterQueue"})
        self.assertEqual(set(kept.values()), {("RetainExceptOnCreate", "Retain")})

    def test_queues_take_the_largest_messages(self) -> None:
        sizes = {it["Properties"]["MaximumMessageSize"] for it in queues(load()).values()}
        self.assertEqual(sizes, {LARGEST})

    def test_what_aws_refuses_half_way_is_refused_at_once(self) -> None:
        """Both are tags, and are refused when the first resource gets them."""
        import regex  # as Java's expressions, which CloudFormation's are, it knows classes of Unicode

        parameters = load()["Parameters"]
        for name in ("ApplicationName", "Env"):
            pattern = parameters[name]["AllowedPattern"]
            for taken in ["shop", "s", "Größe 2: web_shop/eu=1+1@x-y.z"]:
                self.assertTrue(regex.fullmatch(pattern, taken), taken)
            for refused in ["", " ", "shop ", "Shop & Co (EU)", "x" * 257]:
                self.assertFalse(regex.fullmatch(pattern, refused), refused)
