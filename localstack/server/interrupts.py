"""SIGINT, SIGTERM and SIGHUP: noted when they come, acted upon where it is safe.

A handler that raises could do so between the start of a child and the note of its id, and the child
would be left behind. So the handler only remembers, and every wait looks.
"""

from __future__ import annotations

import signal
import time
from typing import Callable

POLL_SECONDS = 0.05


class Interrupted(Exception):
    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.signal = number


class Interrupts:
    def __init__(self) -> None:
        self._noted: int | None = None

    def install(self) -> Interrupts:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            under_nohup = number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN
            if not under_nohup:
                signal.signal(number, self.note)
        return self

    def note(self, number: int, _frame: object = None) -> None:
        if self._noted is None:
            self._noted = number

    def check(self) -> None:
        if self._noted is not None:
            raise Interrupted(self._noted)

    def wait_until(self, condition: Callable[[], bool], seconds: float | None = None) -> bool:
        """Whether the condition came true within the time; raises as soon as a signal is noted."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            self.check()
            if condition():
                return True
            if deadline is not None and time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)
