"""The alert rules, by `promtool`: their form, and when each goes off."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import unittest
from pathlib import Path

from . import image_tools, named_metrics, tools

FOLDER = tools.INFRA / "prometheus"


def rules(text: str) -> list[dict]:
    [document] = image_tools.parsed_yaml(text)
    return [rule for group in document["groups"] for rule in group["rules"]]


def anchors(page: Path) -> set[str]:
    """Those of a page's headings, as they are made for links."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


class AlertsTest(unittest.TestCase):
    def setUp(self) -> None:
        self.text = (FOLDER / "alerts.yaml").read_text()
        self.rules = rules(self.text)

    def failed_with(self, text: str) -> bool:
        """Whether the rules' own tests fail on this text of the rules."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "alerts.yaml").write_text(text)
            shutil.copy(FOLDER / "alerts.test.yaml", folder)
            done = tools.run(
                [tools.need(image_tools.promtool), "test", "rules", "alerts.test.yaml"], cwd=folder
            )
            return done.returncode != 0

    def test_promtool_takes_them(self) -> None:
        promtool = tools.need(image_tools.promtool)
        done = tools.run([promtool, "check", "rules", FOLDER / "alerts.yaml"])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn(f"{len(self.rules)} rules found", done.stdout)

    def test_each_goes_off_when_it_should_and_only_then(self) -> None:
        self.assertFalse(self.failed_with(self.text), "promtool test rules infra/prometheus/alerts.test.yaml")
        for rule in self.rules:
            for expression in ['absent(misstep_messages_in_flight) > 1', 'vector(1)']:
                with self.subTest(rule["alert"], expression=expression):
                    [document] = image_tools.parsed_yaml(self.text)
                    for other in document["groups"][0]["rules"]:
                        if other["alert"] == rule["alert"]:
                            other["expr"] = expression
                    # JSON is YAML.
                    self.assertTrue(self.failed_with(json.dumps(document)))

    def test_each_says_what_to_do(self) -> None:
        for rule in self.rules:
            with self.subTest(rule["alert"]):
                self.assertIn(rule["labels"]["severity"], ("critical", "warning"))
                told = rule["annotations"]
                self.assertTrue(told["summary"] and told["description"])
                page, _, anchor = told["runbook"].partition("#")
                self.assertTrue((tools.ROOT / page).is_file(), page)
                if anchor:
                    self.assertIn(anchor, anchors(tools.ROOT / page))

    def test_they_name_what_there_is(self) -> None:
        metrics = tools.need(named_metrics.known)
        for rule in self.rules:
            with self.subTest(rule["alert"]):
                self.assertEqual(named_metrics.faults(rule["expr"], metrics), [])

    def test_names_that_are_not_there_are_found(self) -> None:
        metrics = tools.need(named_metrics.known)
        slips = {
            "misstep_panic_total": ["misstep_panic_total"],
            'misstep_breaker_open{route="developers"}': ["misstep_breaker_open: route"],
            'misstep_aws_calls_total{result="throttle"}': ["misstep_aws_calls_total: result=throttle"],
            "sum by (route) (misstep_panics_total)": ["by route"],
            "misstep_message_duration_seconds": ["misstep_message_duration_seconds"],
            "sum by (le) (misstep_message_duration_seconds_sum)": ["by le"],
            "up": ["no metric of misstep in 'up'"],
        }
        for query, expected in slips.items():
            self.assertEqual(named_metrics.faults(query, metrics), expected)


if __name__ == "__main__":
    unittest.main()
