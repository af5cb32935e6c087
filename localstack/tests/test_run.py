"""`localstack.py` as people call it, with the real LocalStack."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

from server import installation
from server.instance import RUNS
from server.interrupts import Interrupts
from server.standing import command_line

CLI = Path(__file__).resolve().parent.parent / "localstack.py"
BOUND_SECONDS = 60


def setUpModule() -> None:
    installation.ensure(Interrupts())
    # Under nohup it is ignored, and would be by what is started here.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Run:
    """One `localstack.py run`, and the traces it could leave."""

    def __init__(self, *command: str):
        before = set(RUNS.glob("run-*"))
        self.process = subprocess.Popen(
            [sys.executable, str(CLI), "run", "--", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.folder = self.wait_for(lambda: next(iter(set(RUNS.glob("run-*")) - before), None))

    def wait_for(self, condition):
        deadline = time.monotonic() + BOUND_SECONDS
        while not (result := condition()):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError(f"in vain; it printed {self.process.communicate()}")
            time.sleep(0.01)
        return result

    def localstack(self) -> int:
        """The process id of its LocalStack, as soon as there is one."""
        name = self.folder / "root/var/lib/localstack/cache/machine.json"
        self.wait_for(lambda: name.exists() and name.read_text())
        machine = json.loads(name.read_text())["machine_id"]
        return self.wait_for(lambda: next((pid for pid in pids() if machine in command_line(pid)), None))

    def end(self) -> tuple[int, str]:
        printed, _ = self.process.communicate(timeout=BOUND_SECONDS)
        return self.process.returncode, printed


def pids() -> list[int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid="], capture_output=True, text=True, check=True)
    return [int(line) for line in listed.stdout.split()]


class RunTest(unittest.TestCase):
    def assert_nothing_left(self, run: Run, localstack: int) -> None:
        self.assertNotIn("localstack.runtime.main", command_line(localstack))
        self.assertFalse(run.folder.exists())

    def test_the_command_sees_localstack_and_its_code_is_passed_on(self) -> None:
        run = Run("sh", "-c", "echo $AWS_ENDPOINT_URL; exit 7")
        localstack = run.localstack()
        code, printed = run.end()
        self.assertEqual(code, 7)
        self.assertRegex(printed, r"^http://127\.0\.0\.1:\d+\n$")
        self.assert_nothing_left(run, localstack)

    def test_two_run_side_by_side(self) -> None:
        ask = "import os, urllib.request as r; print(r.urlopen(os.environ['AWS_ENDPOINT_URL'] + '/_localstack/info').read().decode())"
        both = [Run(sys.executable, "-c", ask) for _ in range(2)]
        printed = [run.end()[1] for run in both]
        names = {json.loads(text)["machine_id"] for text in printed}
        self.assertEqual(len(names), 2)

    def test_a_signal_while_it_starts_leaves_nothing(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(signal.Signals(number).name):
                run = Run("false")
                localstack = run.localstack()
                run.process.send_signal(number)
                self.assertEqual(run.end()[0], 128 + number)
                self.assert_nothing_left(run, localstack)

    def test_a_signal_while_the_command_runs_reaches_it_and_leaves_nothing(self) -> None:
        script = "trap 'echo told; exit 3' TERM; echo $$; while :; do sleep 0.1; done"
        run = Run("sh", "-c", script)
        localstack = run.localstack()
        command = int(run.process.stdout.readline())
        run.process.send_signal(signal.SIGTERM)
        self.assertEqual(run.end(), (128 + signal.SIGTERM, "told\n"))
        self.assertEqual(command_line(command), "")
        self.assert_nothing_left(run, localstack)

    def test_a_command_that_does_not_exist_is_an_error(self) -> None:
        run = Run("there-is-no-such-command")
        localstack = run.localstack()
        self.assertEqual(run.end()[0], 127)
        self.assert_nothing_left(run, localstack)
