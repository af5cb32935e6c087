"""`aws.sh` is for a real account and never run here: it is linted, what it deploys is compared with the provider's
schema, and what it compares is tried on reports. That it refuses another account is tried with a stand-in for the
AWS CLI."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import tempfile
import unittest
from pathlib import Path

from . import image_tools, tools
from .test_schema import unknown_arguments

SCRIPT = tools.HERE / "aws.sh"
DEPLOYED = tools.HERE / "aws"
ACCOUNT = "123456789012"


def look():
    """The module that the script calls as a program."""
    spec = importlib.util.spec_from_file_location("look", DEPLOYED / "look.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report(way: str, expected: tuple, **changes: object) -> str:
    """A line of the archive on an execution that failed in this way."""
    status, state, error = expected
    analysis = {
        "status": status,
        "degraded": None,
        "failed_state": state and {"name": state},
        "root_cause": error and {"error": error},
        **changes,
    }
    return json.dumps({"event_info": {"execution_arn": f"arn:{way}"}, "analysis": analysis})


class AwsTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_the_script_is_bash_and_shellcheck_has_nothing_to_say(self) -> None:
        self.assertTrue(os.access(SCRIPT, os.X_OK), "it is not executable")
        self.assertEqual(tools.run(["bash", "-n", SCRIPT]).stderr, "")
        shellcheck = tools.need(image_tools.shellcheck)
        done = tools.run([shellcheck, SCRIPT])
        self.assertEqual(done.stdout, "")
        # It sees what is wrong:
        slip = self.folder / "slip.sh"
        slip.write_text(SCRIPT.read_text().replace('rm -rf "$work"', "rm -rf $work"))
        self.assertIn("SC2086", tools.run([shellcheck, slip]).stdout)

    def test_what_it_deploys_is_terraform_that_the_present_provider_knows(self) -> None:
        done = tools.run([*tools.need(tools.terraform), "fmt", "-check", "-no-color", DEPLOYED])
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(unknown_arguments(DEPLOYED), [])

    def run_script(self, *arguments: str):
        """The script, with a CLI that is of the account and writes down what else it is asked for."""
        cli = self.folder / "aws"
        cli.write_text(f'#!/bin/sh\necho "$@" >> {self.folder}/asked\necho {ACCOUNT}\n')
        cli.chmod(0o755)
        environment = {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}", "TMPDIR": str(self.folder)}
        done = tools.run([SCRIPT, *arguments], env=environment)
        asked = self.folder / "asked"
        return done, asked.read_text().splitlines() if asked.exists() else []

    def test_it_does_nothing_without_the_number_of_the_account(self) -> None:
        for arguments in [[], ["--region", "eu-west-1"], ["--account", "", "--region", "eu-west-1"], ["--account"]]:
            done, asked = self.run_script(*arguments)
            self.assertEqual((done.returncode, asked), (2, []), arguments)
            self.assertIn("--account ID", done.stderr)

    def test_it_does_nothing_on_another_account(self) -> None:
        done, asked = self.run_script("--account", "210987654321", "--region", "eu-west-1")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"for the account {ACCOUNT}", done.stderr)
        self.assertEqual(len(asked), 1, asked)

    def test_it_compares_every_way_that_is_deployed(self) -> None:
        text = SCRIPT.read_text() + (DEPLOYED / "main.tf").read_text()
        self.assertEqual(len(look().EXPECTED), 8)
        for way in look().EXPECTED:
            self.assertRegex(text, rf"(?m)^    {way}\s+= ")
            self.assertRegex(SCRIPT.read_text(), rf"for way in [^;]*\b{way}\b")

    def compared(self, lines: list[str]) -> tuple[object, str]:
        module = look()
        executions, archive = self.folder / "executions", self.folder / "archive"
        executions.write_text("".join(f"{way} arn:{way}\n" for way in module.EXPECTED))
        archive.write_text("".join(f"{line}\n" for line in lines))
        said = io.StringIO()
        with contextlib.redirect_stdout(said), self.assertRaises(SystemExit) as ended:
            module.notified(str(executions), str(archive))
        return ended.exception.code, said.getvalue()

    def test_what_differs_is_said(self) -> None:
        expected = look().EXPECTED
        right = [report(way, of_way) for way, of_way in expected.items()]
        self.assertEqual(self.compared(right)[0], 0)
        denied = report("encrypted", expected["encrypted"], degraded="access denied", failed_state=None)
        code, said = self.compared([line for line in right if "arn:encrypted" not in line] + [denied])
        self.assertEqual(code, 1)
        self.assertIn("FAIL  encrypted     degraded: 'access denied', expected None; failed state: None", said)
        code, said = self.compared(right[1:])
        self.assertEqual((code, said.count("FAIL")), (1, 1))
        self.assertIn("nobody was notified", said)


if __name__ == "__main__":
    unittest.main()
