from __future__ import annotations

import signal
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path
from unittest import mock

from server import installation
from server.installation import Installation
from server.interrupts import Interrupted, Interrupts
from server.report import Failure
from tests import standin


class InstallationTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.requirements = self.root / "requirements.txt"
        self.requirements.write_text("")
        self.installation = Installation(self.root / ".venv", self.requirements)
        self.interrupts = Interrupts()

    def stand_in_for_python(self, pip: str) -> None:
        """A Python whose `-m venv FOLDER` makes an environment in which pip does what the test says."""
        body = f'''
            import pathlib
            made = pathlib.Path(sys.argv[3]) / "bin" / "python"
            made.parent.mkdir(parents=True)
            made.write_text("#!/bin/sh\\n{pip}\\n")
            made.chmod(0o755)
        '''
        python = standin.program(self.root, textwrap.dedent(body))
        patch = mock.patch.object(installation, "find_python", return_value=str(python))
        self.addCleanup(patch.stop)
        patch.start()

    def test_what_was_made_is_whole_until_the_requirements_change(self) -> None:
        self.stand_in_for_python(pip="exit 0")
        self.assertFalse(self.installation.is_whole())
        self.installation.make(self.interrupts)
        self.assertTrue(self.installation.is_whole())
        self.requirements.write_text("# one more\n")
        self.assertFalse(self.installation.is_whole())

    def test_one_without_its_stamp_or_its_python_is_made_anew(self) -> None:
        python = self.installation.python
        python.parent.mkdir(parents=True)
        python.symlink_to(sys.executable)
        self.assertFalse(self.installation.is_whole(), "the stamp is written last")
        self.installation.stamp.write_text(self.installation.wanted())
        self.assertTrue(self.installation.is_whole())
        python.unlink()
        python.symlink_to(self.root / "a python that was removed")
        self.assertFalse(self.installation.is_whole())

    def test_one_that_fails_leaves_nothing_and_says_why(self) -> None:
        self.stand_in_for_python(pip="echo no matching distribution; exit 1")
        with self.assertRaisesRegex(Failure, "pip install .* ended with 1:\nno matching distribution"):
            self.installation.make(self.interrupts)
        self.assertFalse(self.installation.folder.exists())

    def test_one_that_is_interrupted_in_the_middle_leaves_nothing(self) -> None:
        self.stand_in_for_python(pip="kill -INT $PPID; sleep 600")
        began = signal.signal(signal.SIGINT, self.interrupts.note)
        self.addCleanup(signal.signal, signal.SIGINT, began)
        with self.assertRaises(Interrupted):
            self.installation.make(self.interrupts)
        self.assertFalse(self.installation.folder.exists())

    def test_without_a_supported_python_the_failure_names_what_was_found(self) -> None:
        with mock.patch.object(installation, "version_of", return_value=(3, 14)):
            with self.assertRaisesRegex(Failure, "needs Python 3.10, 3.11 or 3.12.*is 3.14"):
                installation.find_python()
