"""Whoever stops the worker waits longer than its drain can take: else what is in hand is told twice."""

from __future__ import annotations

import re
import tempfile
import unittest
from pathlib import Path

from . import image_tools, tools
from .test_kubernetes import manifest

FARGATE = tools.INFRA / "terraform" / "examples" / "fargate" / "main.tf"
UNIT = tools.INFRA / "systemd" / "misstep.service"
# Fargate waits no longer than this.
FARGATE_LONGEST = 120
# For the start of the signal's handling and the end of the process, on a machine that is busy.
MARGIN = 10


def longest_drain() -> int:
    """With the default settings: the grace period, then a poll that began just before the stop, then the
    last calls. This is what `Worker::drain` waits for."""
    settings = (tools.ROOT / "src/config/settings.rs").read_text()

    def default(key: str) -> int:
        return int(re.search(rf'"{key}",\s*"SECONDS",\s*Some\("(\d+)"\)', settings)[1])

    worker = (tools.ROOT / "src/worker.rs").read_text()
    last_calls = int(re.search(r"LAST_CALLS: Duration = Duration::from_secs\((\d+)\)", worker)[1])
    assert "self.settings.poll_wait + LAST_CALLS" in worker, "the drain is another one than is reckoned here"
    return default("shutdown_grace_secs") + default("poll_wait_secs") + last_calls


def one_number(pattern: str, text: str) -> int:
    [number] = re.findall(pattern, text, re.M)
    return int(number)


def too_short(fargate: str, seconds_of_pod: int, unit: str) -> list[str]:
    waits = {
        "Fargate": one_number(r"^ *stopTimeout += (\d+)$", fargate),
        "Kubernetes": seconds_of_pod,
        "systemd": one_number(r"^TimeoutStopSec=(\d+)$", unit),
    }
    found = [f"{who} waits {wait} s" for who, wait in waits.items() if wait < longest_drain() + MARGIN]
    if waits["Fargate"] > FARGATE_LONGEST:
        found.append(f"Fargate waits no longer than {FARGATE_LONGEST} s")
    return found


class StopTimesTest(unittest.TestCase):
    def setUp(self) -> None:
        pod = manifest()["Deployment"]["spec"]["template"]["spec"]
        self.given = [FARGATE.read_text(), pod["terminationGracePeriodSeconds"], UNIT.read_text()]

    def test_each_waits_longer_than_the_drain(self) -> None:
        self.assertEqual(too_short(*self.given), [])
        fargate, pod, unit = self.given
        self.assertEqual(
            too_short(fargate.replace("stopTimeout = 60", "stopTimeout = 30"), pod, unit), ["Fargate waits 30 s"]
        )
        self.assertEqual(
            too_short(fargate.replace("stopTimeout = 60", "stopTimeout = 180"), pod, unit),
            ["Fargate waits no longer than 120 s"],
        )
        self.assertEqual(too_short(fargate, 30, unit), ["Kubernetes waits 30 s"])
        self.assertEqual(
            too_short(fargate, pod, unit.replace("StopSec=60", "StopSec=40")), ["systemd waits 40 s"]
        )

    def test_their_comments_and_the_docs_say_how_long_it_takes(self) -> None:
        longest = longest_drain()
        for file in [FARGATE, UNIT, tools.INFRA / "kubernetes/misstep.yaml", tools.ROOT / "docs/deploy.md"]:
            self.assertRegex(file.read_text(), rf"\b{longest}( s)? at most", str(file))

    def test_none_of_them_changes_what_is_reckoned_with(self) -> None:
        texts = [FARGATE.read_text(), UNIT.read_text(), (tools.INFRA / "kubernetes/misstep.yaml").read_text()]
        for setting in ["MISSTEP_SHUTDOWN_GRACE_SECS", "MISSTEP_POLL_WAIT_SECS"]:
            self.assertFalse(any(setting in text for text in texts), setting)


class UnitTest(unittest.TestCase):
    def verified(self, text: str) -> str:
        with tempfile.TemporaryDirectory() as folder:
            unit = Path(folder) / UNIT.name
            # It looks for the program, which is not installed here.
            unit.write_text(text.replace("/usr/local/bin/misstep", "/bin/true"))
            done = tools.run([tools.need(image_tools.systemd_analyze), "verify", "--man=no", unit])
            if "Failed to initialize manager" in done.stderr:
                tools.say("SKIPPED: systemd-analyze cannot work here: " + done.stderr.strip()[-200:])
                self.skipTest(done.stderr)
            return done.stderr

    def test_systemd_takes_the_unit(self) -> None:
        self.assertNotIn(UNIT.name, self.verified(UNIT.read_text()))
        # A slip is seen:
        slip = UNIT.read_text().replace("TimeoutStopSec", "TimeoutStopSecs")
        self.assertIn("TimeoutStopSecs", self.verified(slip))

    def test_it_gives_up_on_wrong_settings_only(self) -> None:
        """The exit codes that another start cannot change: those of usage and of faults in settings."""
        text = UNIT.read_text()
        self.assertIn("Restart=always", text)
        self.assertIn("RestartPreventExitStatus=2 64", text)
        codes = (tools.ROOT / "src/cli.rs").read_text()
        self.assertEqual(re.findall(r"Self::(?:Usage|Configuration) => (\d+)", codes), ["2", "64"])


if __name__ == "__main__":
    unittest.main()
