"""The Terraform module by itself: its form, its validity, and its own tests with a mocked provider."""

from __future__ import annotations

import re
import unittest

from . import terraform, tools

SETTINGS = tools.ROOT / "src" / "config" / "settings.rs"


class TerraformTest(unittest.TestCase):
    def test_it_is_formatted(self) -> None:
        check = [*tools.need(tools.terraform), "fmt", "-check", "-recursive", "-no-color"]
        done = tools.run([*check, terraform.MODULE])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_it_is_valid_and_its_own_tests_pass(self) -> None:
        with terraform.copied_module() as module:
            module.must("validate", "-no-color")
            told = module.must("test", "-no-color")
            passed, failed = map(int, re.search(r"(\d+) passed, (\d+) failed", told).groups())
            runs = sum(file.read_text().count('\nrun "') for file in (module.folder / "tests").glob("*.hcl"))
            self.assertEqual((passed, failed), (runs, 0), told)

            # The checks above see what is wrong:
            rule = module.folder / "rule.tf"
            good = rule.read_text()
            rule.write_text(good.replace("aws_sqs_queue.queue.arn", "aws_sqs_queue.cue.arn"))
            self.assertIn("cue", module.run("validate", "-no-color").stderr)
            slips = {
                "rule.tf": ("length(var.step_function_arns) > 0", "true", "the pattern must not narrow"),
                "queues.tf": ("ignore_changes = [name]", "ignore_changes = [fifo_queue]", "a queue with another name"),
            }
            rule.write_text(good)
            for file, (right, wrong, reported) in slips.items():
                slipped = module.folder / file
                good = slipped.read_text()
                self.assertIn(right, good)
                slipped.write_text(good.replace(right, wrong))
                done = module.run("test", "-no-color", "-filter=tests/defaults.tftest.hcl")
                self.assertIn(reported, done.stdout + done.stderr)
                slipped.write_text(good)

    def test_every_variable_with_a_rule_has_a_refused_value(self) -> None:
        text = (terraform.MODULE / "variables.tf").read_text()
        variables = dict(re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', text, re.M | re.S))
        ruled = {name for name, body in variables.items() if "validation {" in body}
        refused = re.findall(
            r"expect_failures = \[var\.(\w+)\]", (terraform.MODULE / "tests/refusals.tftest.hcl").read_text()
        )
        self.assertEqual(ruled, set(refused))
        self.assertEqual(set(variables), ruled, "a variable without a rule takes what AWS refuses half way")

    def test_the_inputs_of_the_lambda_it_replaces_are_there_with_their_defaults(self) -> None:
        text = (terraform.MODULE / "variables.tf").read_text()
        defaults = {
            name: (re.search(r"^  default\s+= (.*)$", body, re.M) or [None, None])[1]
            for name, body in re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', text, re.M | re.S)
        }
        required = ("application_name", "event_rule_name", "external_group_email", "internal_group_email")
        expected = {
            **dict.fromkeys([*required, "notification_api"]),
            "env": '"dev"',
            "step_function_arns": "[]",
            "tags": "{}",
        }
        self.assertEqual({name: defaults[name] for name in expected}, expected)
        others = {name: default for name, default in defaults.items() if name not in expected}
        self.assertNotIn(None, others.values(), "an input that the original does not have needs a default")

    def test_the_worker_knows_every_variable_of_its_environment(self) -> None:
        names = re.findall(r"\b(MISSTEP_\w+)\s*=", (terraform.MODULE / "outputs.tf").read_text())
        known = re.findall(r'setting\(\s*"(\w+)"', SETTINGS.read_text())
        self.assertGreater(len(names), 7)
        self.assertLessEqual({name.removeprefix("MISSTEP_").lower() for name in names}, set(known))
