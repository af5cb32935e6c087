"""A process together with everything it starts.

Each child leads a session of its own: a Ctrl-C at the terminal reaches it through us, in our order,
and whatever it started can be stopped with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time

from server.interrupts import POLL_SECONDS, Interrupts

STOP_GRACE_SECONDS = 5


class Child:
    def __init__(self, command: list[str], **options):
        self._process = subprocess.Popen(command, start_new_session=True, **options)
        self.pid = self._process.pid

    def alive(self) -> bool:
        return self._process.poll() is None

    def code(self) -> int:
        """The exit code as a shell would give it: 128 and the number for a signal."""
        code = self._process.returncode
        return code if code >= 0 else 128 - code

    def wait(self, interrupts: Interrupts) -> int:
        interrupts.wait_until(lambda: not self.alive())
        return self.code()

    def pass_on(self, number: int, seconds: float) -> None:
        """Gives it a signal, and to what it started too, as a terminal would; then time to end."""
        if self.alive():
            os.killpg(self.pid, number)
            wait_while(self.alive, seconds)

    def stop(self, grace: float = STOP_GRACE_SECONDS) -> None:
        """Ends the process and everything it started; does nothing if all of it has ended."""
        stop_group(self.pid, self.anything_alive, grace)

    def anything_alive(self) -> bool:
        if self.alive():
            return True
        try:
            os.killpg(self.pid, 0)
        except (ProcessLookupError, PermissionError):  # macOS says the latter of a zombie
            return False
        return True


def stop_group(group: int, alive, grace: float = STOP_GRACE_SECONDS) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not alive():
            return
        try:
            os.killpg(group, number)
        except ProcessLookupError:
            pass
        wait_while(alive, grace)


def wait_while(condition, seconds: float) -> None:
    """Used while cleaning up, so a second Ctrl-C does not cut it short; the bound does."""
    deadline = time.monotonic() + seconds
    while condition() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
