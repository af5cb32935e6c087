"""Tells on the terminal what the demo does and what arrives, one compact block a failure."""

from __future__ import annotations

import itertools
import json
import os
import sys
import textwrap
import time

MARGIN = " " * 9
LABEL_WIDTH = 12
TEXT_WIDTH = 79
TEXT_LINES = 3
BOLD, DIM, RED = "1", "2", "1;31"


class Narrator:
    def __init__(self) -> None:
        self._began = time.monotonic()
        self._told: set[str] = set()
        self._colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def title(self, text: str) -> None:
        self._print(f"\n{self._coloured(BOLD, text)}\n")

    def step(self, text: str) -> None:
        self._print(f"{time.monotonic() - self._began:5.1f} s  {text}")

    def gap(self) -> None:
        self._print("")

    def queues(self, counted: dict[str, int]) -> None:
        listed = ", ".join(f"{name} {count}" for name, count in counted.items())
        self.step(f"messages visible, in flight or delayed: {listed}")

    def notification(self, name: str, request: dict, again: bool) -> None:
        """The failure in full for the first audience, a line for the second."""
        told = f"{request['emailType']} to {request['group_email']}{', once more' if again else ''}"
        if name in self._told:
            self._fact("told too", f"{told} ({name})", DIM)
            return
        self._told.add(name)
        self.gap()
        self._print(f"{MARGIN}{self._headline(request['data']['analysis'])}  {self._coloured(DIM, name)}")
        for label, text in facts(request["data"]["analysis"]):
            self._fact(label, text)
        self._fact("told", told, DIM)

    def _headline(self, analysis: dict) -> str:
        status = self._coloured(RED, analysis["status"].replace("_", " "))
        if failed := analysis["failed_state"]:
            where = f", in {' › '.join(failed['path'])}" if failed["path"] else ""
            return f"{status} at {self._coloured(BOLD, failed['name'])}{where}"
        names = ", ".join(state["name"] for state in analysis["in_flight"])
        return f"{status} while in {self._coloured(BOLD, names)}"

    def _fact(self, label: str, text: str, style: str = "") -> None:
        lines = textwrap.wrap(text, TEXT_WIDTH, max_lines=TEXT_LINES, placeholder=" …") or [""]
        for line in lines:
            self._print(f"{MARGIN}{label:<{LABEL_WIDTH}}{self._coloured(style, line)}")
            label = ""

    def _coloured(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colours and code else text

    @staticmethod
    def _print(text: str) -> None:
        print(text, flush=True)


def facts(analysis: dict) -> list[tuple[str, str]]:
    """What a person wants to know first, in that order."""
    failed = analysis["failed_state"]
    told = [("error", error(failed or analysis, analysis["parsed_cause"]))]
    if failed and len(failed["attempts"]) > 1:
        told.append(("attempts", attempts(failed["attempts"])))
    root = analysis["root_cause"]
    if failed and root and root["state"] != failed["name"]:
        told.append(("because of", f"{root['state']}: {root['error']}: {root['cause']}"))
    for state in [failed] if failed else analysis["in_flight"]:
        told.append(("its input", spaced(state["input"])))
    return [(label, text) for label, text in told if text]


def error(source: dict, parsed: dict | None) -> str:
    """The error and its cause; of a cause that is JSON, the sentence in it."""
    cause = source["cause"] or ""
    if cause.startswith("{") and parsed:
        cause = parsed["message"] or cause
    return ": ".join(filter(None, [source["error"], cause]))


def attempts(made: list[dict]) -> str:
    runs = [(name, len(list(run))) for name, run in itertools.groupby(attempt["error"] for attempt in made)]
    return ", then ".join(name if count == 1 else f"{count} times {name}" for name, count in runs)


def spaced(json_text: str) -> str:
    """JSON with spaces, so that it can be broken into lines."""
    return json.dumps(json.loads(json_text), ensure_ascii=False)
