from __future__ import annotations

import tempfile
import unittest
from pathlib import Path
from unittest import mock

from server import instance
from server.child import Child
from server.instance import Instance
from server.interrupts import Interrupts
from server.report import Failure
from tests import standin


class InstanceTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.interrupts = Interrupts()

    def start(self, body: str, port: int | None = None) -> Instance:
        started = Instance.start(standin.program(self.folder, body), port, self.folder, self.interrupts)
        self.addCleanup(started.child.stop)
        return started

    def test_a_chosen_port_that_is_taken_is_an_error_that_names_it(self) -> None:
        with standin.stranger() as port:
            with self.assertRaisesRegex(Failure, f"port {port} on 127.0.0.1 is taken"):
                self.start(standin.SERVES, port)

    def test_a_stranger_that_was_faster_on_a_free_port_is_not_taken_for_ours(self) -> None:
        with standin.stranger() as lost:
            free = instance.free_port()
            with mock.patch.object(instance, "free_port", side_effect=[lost, free]):
                started = self.start(standin.SERVES)
        self.assertEqual(started.port, free)

    def test_a_stranger_that_was_faster_on_a_chosen_port_is_an_error(self) -> None:
        with standin.stranger() as lost, mock.patch.object(instance, "claimed", return_value=lost):
            with self.assertRaisesRegex(Failure, f"port {lost} on 127.0.0.1 is taken"):
                self.start(standin.SERVES, lost)

    def test_one_that_dies_while_it_starts_shows_the_end_of_its_log(self) -> None:
        with self.assertRaisesRegex(Failure, "ended with 3 .*\n.*no module named gateway"):
            self.start("print('no module named gateway'); sys.exit(3)")

    def test_one_of_another_version_is_refused(self) -> None:
        with self.assertRaisesRegex(Failure, "this is LocalStack 4.10.0, not 4.9.2"):
            self.start(standin.SERVES.replace("4.9.2", "4.10.0"))

    def test_one_that_ignores_sigterm_is_killed(self) -> None:
        started = self.start("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + standin.SERVES)
        started.child.stop(grace=0.2)
        self.assertFalse(started.child.alive())
        self.assertIsNone(instance.ask(started.port, "/_localstack/info"))

    def test_a_command_sees_this_localstack_and_no_real_account(self) -> None:
        started = self.start(standin.SERVES)
        real = {"AWS_PROFILE": "production", "AWS_SESSION_TOKEN": "…", "AWS_ENDPOINT_URL_SQS": "https://…"}
        inner = started.environment_for({**real, "HOME": "/home/me"})
        self.assertEqual(inner["AWS_ENDPOINT_URL"], f"http://127.0.0.1:{started.port}")
        self.assertEqual(inner["HOME"], "/home/me")
        self.assertTrue(real.keys().isdisjoint(inner))


class ChildTest(unittest.TestCase):
    def test_what_a_child_started_ends_with_it(self) -> None:
        child = Child(["sh", "-c", "sleep 600 & exit 4"])
        self.assertEqual(child.wait(Interrupts()), 4)
        self.assertTrue(child.anything_alive())
        child.stop()
        self.assertFalse(child.anything_alive())
