"""The CloudFormation template by itself: its form, and the IAM actions in it. The resources of its policies
are looked at once they are deployed, in `test_deployed.py`."""

from __future__ import annotations

import unittest

from .cloudformation import TEMPLATE, complaints


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
