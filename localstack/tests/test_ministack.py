"""ministack.py with the real ministack, which it installs first."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import unittest
from urllib.parse import urlsplit

import ministack
from server.installation import HERE

SCRIPT = HERE / "ministack.py"
PRINT_ADDRESS = ["sh", "-c", 'echo "$MISSTEP_TEST_DYNAMODB"; exit 7']


def answers(address: str) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((urlsplit(address).hostname, urlsplit(address).port)) == 0


class MinistackTest(unittest.TestCase):
    def test_a_command_gets_the_address_and_gives_the_code_and_nothing_stays(self) -> None:
        done = subprocess.run([sys.executable, SCRIPT, "run", "--", *PRINT_ADDRESS], capture_output=True, text=True)
        self.assertEqual(done.returncode, 7, done.stderr)
        self.assertTrue(done.stdout.startswith("http://127.0.0.1:"), done.stdout)
        self.assertFalse(answers(done.stdout.strip()))

    def test_it_ends_with_a_signal_too(self) -> None:
        wait = ["sh", "-c", 'echo "$MISSTEP_TEST_DYNAMODB"; exec sleep 60']
        with subprocess.Popen(
            [sys.executable, SCRIPT, "run", "--", *wait], stdout=subprocess.PIPE, text=True
        ) as running:
            address = running.stdout.readline().strip()
            self.assertTrue(answers(address))
            running.send_signal(signal.SIGTERM)
            started = time.monotonic()
            self.assertEqual(running.wait(30), 128 + signal.SIGTERM)
            self.assertLess(time.monotonic() - started, 15)
        self.assertFalse(answers(address))

    def test_a_command_that_is_not_there_is_said_to_be_so(self) -> None:
        done = subprocess.run([sys.executable, SCRIPT, "run", "--", "/nowhere/at-all"], capture_output=True, text=True)
        self.assertEqual(done.returncode, ministack.COMMAND_NOT_FOUND)
        self.assertIn("/nowhere/at-all", done.stderr)

    def test_the_version_that_is_installed_is_the_one_that_is_asked_for(self) -> None:
        self.assertIn(f"\nministack=={ministack.VERSION}\n", (HERE / "requirements-ministack.txt").read_text())
        self.assertNotIn("HTTP_PROXY", ministack.environment(HERE, 1))
