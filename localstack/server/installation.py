"""The virtual environment `localstack/.venv` with the packages of `requirements.txt`.

A stamp, written last, holds what the environment was made from. Where it is missing (the making was
cut short) or differs (the requirements changed), the environment is made anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Iterator

from server.child import Child
from server.interrupts import Interrupts
from server.report import Failure, say

HERE = Path(__file__).resolve().parent.parent
SUPPORTED = [(3, 10), (3, 11), (3, 12)]
LOG_LINES_SHOWN = 30


class Installation:
    def __init__(self, folder: Path, requirements: Path):
        self.folder = folder
        self.requirements = requirements
        self.python = folder / "bin" / "python"
        self.stamp = folder / "made-from.sha256"

    def wanted(self) -> str:
        return hashlib.sha256(self.requirements.read_bytes()).hexdigest()

    def is_whole(self) -> bool:
        try:
            return self.stamp.read_text() == self.wanted() and os.access(self.python, os.X_OK)
        except FileNotFoundError:
            return False

    def make(self, interrupts: Interrupts) -> None:
        """Makes it from nothing; when that fails or is interrupted, nothing of it stays."""
        python = find_python()
        shutil.rmtree(self.folder, ignore_errors=True)
        scratch = self.folder / "tmp"
        environment = {
            **os.environ,
            # Goes with the rest when the making is cut short.
            "TMPDIR": str(scratch),
            # What packages without a wheel are built with is pinned too: the first name is for the
            # pip that comes with Python 3.10 to 3.12, the second for pip from 25.3 on.
            "PIP_CONSTRAINT": str(self.requirements),
            "PIP_BUILD_CONSTRAINT": str(self.requirements),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        try:
            scratch.mkdir(parents=True)
            run_quietly([python, "-m", "venv", str(self.folder)], environment, interrupts)
            pip = [str(self.python), "-m", "pip", "install", "--quiet", "--no-input"]
            run_quietly([*pip, "-r", str(self.requirements)], environment, interrupts)
            shutil.rmtree(scratch)
            self.stamp.write_text(self.wanted())
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise


def ensure(interrupts: Interrupts) -> Path:
    """The environment's Python, after making the environment if need be."""
    installation = Installation(HERE / ".venv", HERE / "requirements.txt")
    with locked(HERE, interrupts):
        if not installation.is_whole():
            say("installing LocalStack into localstack/.venv, once, in a minute or two …")
            installation.make(interrupts)
    return installation.python


@contextlib.contextmanager
def locked(folder: Path, interrupts: Interrupts) -> Iterator[None]:
    """One process at a time; the folder itself is the lock, so that no file is left behind."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        if not try_lock(handle):
            say("waiting for another one that is being set up …")
            interrupts.wait_until(lambda: try_lock(handle))
        yield
    finally:
        os.close(handle)


def try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def find_python() -> str:
    """A Python that LocalStack 4.9.2 runs on: the one running this, or the first on the path."""
    names = ["python3", *(f"python3.{minor}" for _, minor in reversed(SUPPORTED))]
    candidates = [*filter(None, [sys.executable, *map(shutil.which, names)])]
    for candidate in candidates:
        if version_of(candidate) in SUPPORTED:
            return candidate
    seen = ", ".join(
        f"{candidate} is {'.'.join(map(str, version_of(candidate))) or 'broken'}"
        for candidate in dict.fromkeys(candidates)
    )
    raise Failure(f"LocalStack needs Python 3.10, 3.11 or 3.12, and there is none here ({seen}): install one")


def version_of(python: str) -> tuple[int, ...]:
    program = "import sys; print(*sys.version_info[:2])"
    asked = subprocess.run([python, "-c", program], capture_output=True, text=True)
    return tuple(map(int, asked.stdout.split())) if asked.returncode == 0 else ()


def run_quietly(command: list[str], environment: dict[str, str], interrupts: Interrupts) -> None:
    """Runs a step of the making, whose output matters only when it fails."""
    with tempfile.TemporaryFile() as output:
        child = Child(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            code = child.wait(interrupts)
        finally:
            child.stop()
        if code != 0:
            output.seek(0)
            lines = output.read().decode(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
            raise Failure(f"`{' '.join(command)}` ended with {code}:\n" + "\n".join(lines))
