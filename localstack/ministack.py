#!/usr/bin/env python3
"""Runs ministack, an emulator of DynamoDB, for as long as a command needs it.

    ministack.py run -- COMMAND…

COMMAND finds its address in `MISSTEP_TEST_DYNAMODB`. It exits with COMMAND's code, or with 125 when ministack could
not be had. Whatever happens, a signal included, it leaves no process, port or file behind; only the installation in
`localstack/.venv-ministack` stays, for the next time: an environment of its own, since ministack asks for another
botocore than LocalStack.

LocalStack cannot be used for this: its DynamoDB is Java, which it downloads.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Iterator

from server import installation
from server.child import Child
from server.installation import HERE, Installation
from server.instance import HOST, PORT_ATTEMPTS, ask, free_port, run_folder
from server.interrupts import Interrupted, Interrupts
from server.report import Failure, say

VERSION = "1.5.33"
START_SECONDS = 60
OWN_FAILURE = 125
COMMAND_NOT_FOUND = 127
COMMAND_GRACE_SECONDS = 10


def main(arguments: list[str]) -> int:
    if arguments[:2] != ["run", "--"] or not arguments[2:]:
        print("usage: ministack.py run -- COMMAND…", file=sys.stderr)
        return 2
    interrupts = Interrupts().install()
    try:
        return run(arguments[2:], interrupts)
    except Interrupted as interrupted:
        return 128 + interrupted.signal
    except Failure as failure:
        say(str(failure))
        return OWN_FAILURE


def run(command: list[str], interrupts: Interrupts) -> int:
    python = ensure(interrupts)
    with started(python, interrupts) as endpoint:
        try:
            child = Child(command, env={**os.environ, "MISSTEP_TEST_DYNAMODB": endpoint})
        except OSError as error:
            say(f"cannot run {command[0]}: {error.strerror}")
            return COMMAND_NOT_FOUND
        try:
            return child.wait(interrupts)
        except Interrupted as interrupted:
            child.pass_on(interrupted.signal, COMMAND_GRACE_SECONDS)
            raise
        finally:
            child.stop()


def ensure(interrupts: Interrupts) -> Path:
    """The environment's Python, after making the environment if need be."""
    installed = Installation(HERE / ".venv-ministack", HERE / "requirements-ministack.txt")
    with installation.locked(HERE, interrupts):
        if not installed.is_whole():
            say("installing ministack into localstack/.venv-ministack, once …")
            installed.make(interrupts)
    return installed.python


@contextlib.contextmanager
def started(python: Path, interrupts: Interrupts) -> Iterator[str]:
    """The address of a ministack that lives as long as the `with`."""
    with run_folder() as folder:
        for _ in range(PORT_ATTEMPTS):
            port = free_port()
            with open(folder / "ministack.log", "wb") as log:
                child = Child(
                    [str(python), "-m", "ministack.app"],
                    env=environment(folder, port),
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            try:
                if wait_until_ready(child, port, folder / "ministack.log", interrupts):
                    yield f"http://{HOST}:{port}"
                    return
            finally:
                child.stop()
        raise Failure(f"lost {PORT_ATTEMPTS} free ports in a row to other programs")


def environment(folder: Path, port: int) -> dict[str, str]:
    """Nothing of the caller's. It binds every address unless it is told which."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(port),
        "SERVICES": "dynamodb",
    }


def wait_until_ready(child: Child, port: int, log: Path, interrupts: Interrupts) -> bool:
    """Whether it has the port. One that cannot have its port ends."""
    ready = lambda: f"Running on http://{HOST}:{port}" in log.read_text(errors="replace")
    if not interrupts.wait_until(lambda: ready() or not child.alive(), START_SECONDS):
        raise Failure(f"ministack does not answer after {START_SECONDS} s; its log ends:\n{end_of(log)}")
    if not ready():
        if "address already in use" in log.read_text(errors="replace").lower():
            return False
        raise Failure(f"ministack ended with {child.code()} while it started; its log ends:\n{end_of(log)}")
    version = (ask(port, "/_ministack/health") or {}).get("version")
    if version != VERSION:
        raise Failure(f"this is ministack {version}, not {VERSION}: remove localstack/.venv-ministack")
    return True


def end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-installation.LOG_LINES_SHOWN :])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
