"""The example of a worker on Fargate: its validity, its own tests, and its arguments."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
import unittest
from pathlib import Path
from typing import Iterator

from . import terraform, tools
from .test_alerts import anchors
from .test_schema import unknown_arguments

EXAMPLE = terraform.MODULE / "examples" / "fargate"
# Where the worker's log gets the fields that metric filters look for.
LOGGED = {
    "breaker": ("src/breaker.rs", r"warn!\(breaker, "),
    "route": ("src/pipeline/deliver.rs", r"warn!\(route = "),
    "degraded": ("src/pipeline/diagnose.rs", r"degraded = by\.name\(\),"),
    "level": ("src/telemetry.rs", r"lines\.json\(\)\.flatten_event\(true\)"),
}


@contextlib.contextmanager
def copied_example() -> Iterator[terraform.Terraform]:
    """The example's copy below a copy of the module, initialised."""
    with terraform.scratch() as (command, folder, settings):
        terraform.copy_module(folder / "module")
        copy = folder / "module" / "examples" / "fargate"
        example = terraform.Terraform(command, copy, settings)
        example.must("init", "-input=false", "-no-color")
        yield example


def defaults(module: Path) -> dict[str, str | None]:
    """The variables, each with its default as it is written."""
    variables = re.findall(r'^variable "(\w+)" \{\n(.*?)^\}', (module / "variables.tf").read_text(), re.M | re.S)
    return {name: (re.search(r"^  default\s+= (.*)$", body, re.M) or [None, None])[1] for name, body in variables}


class FargateTest(unittest.TestCase):
    def test_it_is_valid_and_its_own_tests_pass(self) -> None:
        with copied_example() as example:
            example.must("validate", "-no-color")
            told = example.must("test", "-no-color")
            passed, failed = map(int, re.search(r"(\d+) passed, (\d+) failed", told).groups())
            runs = sum(file.read_text().count('\nrun "') for file in (example.folder / "tests").glob("*.hcl"))
            self.assertEqual((passed, failed), (runs, 0), told)

            # They see what is wrong:
            main = example.folder / "main.tf"
            good = main.read_text()
            slips = {
                "readonlyRootFilesystem = true": ("readonlyRootFilesystem = false", "must be read-only"),
                "var.history_rate / var.max_tasks": ("var.history_rate", "ten calls a second"),
                'local.scales ? "enabled"': ('true ? "enabled"', "nothing scales"),
            }
            for right, (wrong, reported) in slips.items():
                self.assertIn(right, good)
                main.write_text(good.replace(right, wrong))
                done = example.run("test", "-no-color")
                self.assertIn(reported, done.stdout + done.stderr)

    def test_every_argument_exists_in_the_present_provider(self) -> None:
        self.assertEqual(unknown_arguments(EXAMPLE), [])
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "backlog.tf"
            shutil.copy(EXAMPLE / file.name, folder)
            file.write_text(file.read_text().replace("scale_in_cooldown", "scale_in_cool_down"))
            self.assertEqual(
                unknown_arguments(Path(folder)), ["aws_appautoscaling_policy.scale_in_cool_down"]
            )

    def test_nothing_may_come_in(self) -> None:
        text = "".join(file.read_text() for file in EXAMPLE.glob("*.tf"))
        self.assertNotIn("ingress", text)

    def test_filters_look_for_fields_that_the_log_has(self) -> None:
        """A filter on a field that was renamed would never match, and its alarm never go off."""
        fields = set(re.findall(r"\$\.(\w+)", (EXAMPLE / "watch.tf").read_text()))
        self.assertEqual(fields, set(LOGGED))
        for field, (file, line) in LOGGED.items():
            self.assertRegex((tools.ROOT / file).read_text(), line, field)

    def test_every_alarm_names_a_page_that_is_there(self) -> None:
        pages = re.findall(r"(docs/[\w-]+\.md)#([\w-]+)", (EXAMPLE / "watch.tf").read_text())
        self.assertEqual(len(pages), 3)
        for page, anchor in pages:
            self.assertIn(anchor, anchors(tools.ROOT / page))

    def test_the_modules_inputs_are_passed_on(self) -> None:
        """All of them, by the same names and with the same defaults."""
        text = (EXAMPLE / "main.tf").read_text()
        passed_on = defaults(EXAMPLE)
        for name, default in defaults(terraform.MODULE).items():
            with self.subTest(name):
                self.assertRegex(text, rf"(?m)^  {name} += var\.{name}$")
                self.assertEqual(passed_on[name], default)


if __name__ == "__main__":
    unittest.main()
