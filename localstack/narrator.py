"""Tells on the terminal what the demo does and what arrives, both audiences side by side."""

from __future__ import annotations

import itertools
import json
import os
import sys
import textwrap
import time

MARGIN = " " * 9
LABEL_WIDTH = 12
LEFT_WIDTH = 50
RIGHT_WIDTH = 40
TEXT_LINES = 4
BOLD, DIM, RED = "1", "2", "1;31"


class Narrator:
    def __init__(self) -> None:
        self._began = time.monotonic()
        self._colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def title(self, text: str) -> None:
        self._print(f"\n{self._coloured(BOLD, text)}\n")

    def step(self, text: str) -> None:
        self._print(f"{time.monotonic() - self._began:5.1f} s  {text}")

    def gap(self) -> None:
        self._print("")

    def line(self, text: str) -> None:
        self._print(f"{MARGIN}{text}")

    def queues(self, counted: dict[str, int]) -> None:
        listed = ", ".join(f"{name} {count}" for name, count in counted.items())
        self.step(f"messages visible, in flight or delayed: {listed}")

    def failure(self, name: str, developers: dict, assist: dict) -> None:
        """One failure, and what each audience gets of it, side by side."""
        self.gap()
        self._print(f"{MARGIN}{self._headline(developers['data']['analysis'])}  {self._coloured(DIM, name)}")
        left, right = (addressed(request) for request in (developers, assist))
        for label, text in facts(developers["data"]["analysis"]):
            lines = wrapped(text, LEFT_WIDTH - LABEL_WIDTH)
            left += [f"{label if line == 0 else '':<{LABEL_WIDTH}}{text}" for line, text in enumerate(lines)]
        right += wrapped(assist["data"]["analysis"]["summary"], RIGHT_WIDTH, 2 * TEXT_LINES)
        right += wrapped(spaced(assist["data"]["event_details"]["payload"] or "null"), RIGHT_WIDTH)
        for number, (one, other) in enumerate(itertools.zip_longest(left, right, fillvalue="")):
            style = DIM if number < 2 else ""
            column = self._coloured(style, f"{one:<{LEFT_WIDTH}}")
            self._print(f"{MARGIN}{column} │ {self._coloured(style, other)}".rstrip())

    def again(self, name: str, request: dict) -> None:
        """The same notification, delivered once more."""
        self._print(f"{MARGIN}{request['emailType']} of {name}, once more")

    def _headline(self, analysis: dict) -> str:
        status = self._coloured(RED, analysis["status"].replace("_", " "))
        if failed := analysis["failed_state"]:
            where = f", in {' › '.join(failed['path'])}" if failed["path"] else ""
            return f"{status} at {self._coloured(BOLD, failed['name'])}{where}"
        names = ", ".join(state["name"] for state in analysis["in_flight"])
        return f"{status} while in {self._coloured(BOLD, names)}"

    def _coloured(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colours and code else text

    @staticmethod
    def _print(text: str) -> None:
        print(text, flush=True)


def addressed(request: dict) -> list[str]:
    return [request["emailType"], f"to {request['group_email']}"]


def wrapped(text: str, width: int, most: int = TEXT_LINES) -> list[str]:
    return textwrap.wrap(text, width, max_lines=most, placeholder=" …") or [""]


def facts(analysis: dict) -> list[tuple[str, str]]:
    """What a person wants to know first, in that order."""
    failed = analysis["failed_state"]
    told = [("error", error(failed or analysis, analysis["parsed_cause"]))]
    if failed and len(failed["attempts"]) > 1:
        told.append(("attempts", attempts(failed["attempts"])))
    root = analysis["root_cause"]
    if failed and root and root["state"] != failed["name"]:
        told.append(("because of", f"{root['state']}: {root['error']}: {root['cause']}"))
    told += [("it ran", ran(resource)) for resource in analysis["resources"]]
    for state in [failed] if failed else analysis["in_flight"]:
        told.append(("its input", spaced(state["input"])))
    return [(label, text) for label, text in told if text]


def ran(resource: dict) -> str:
    """What a state called, and where that logs."""
    called = ", ".join(filter(None, [resource["service"], resource["name"], resource["id"]]))
    log = ", ".join(filter(None, [resource["log_group"], resource["log_stream"]]))
    return f"{called}; log {log}" if log else called


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
