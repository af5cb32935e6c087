"""What goes to the person at the terminal. Standard output is left to results."""

from __future__ import annotations

import sys


class Failure(Exception):
    """Says what happened, to what, and what to do about it."""


def say(message: str) -> None:
    print(f"localstack: {message}", file=sys.stderr, flush=True)
