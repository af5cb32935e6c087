#!/usr/bin/env python3
"""Runs the real LocalStack without Docker, for as long as a command needs it or until told to stop.

    localstack.py run [--port N] -- COMMAND…    LocalStack for this one command
    localstack.py up [--port N]                 LocalStack until `down`; prints what to export
    localstack.py down                          stops exactly what `up` started

`run` exits with COMMAND's code, or with 125 when LocalStack could not be had. Whatever happens, a
signal included, it leaves no process, port or file behind; only the installation in
`localstack/.venv` stays, for the next time.

Needs nothing but Python: the installation is made by these very modules.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys

from server import installation, standing
from server.child import Child
from server.instance import Instance
from server.interrupts import Interrupted, Interrupts
from server.report import Failure, say

OWN_FAILURE = 125
COMMAND_NOT_FOUND = 127
# What COMMAND gets to put its own things away before the rest of its process group is stopped.
COMMAND_GRACE_SECONDS = 10


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    interrupts = Interrupts().install()
    try:
        if options.action == "run":
            return run(options.command, options.port, interrupts)
        if options.action == "up":
            # Either of these would lead to another account than the keys below.
            print("unset AWS_PROFILE AWS_SESSION_TOKEN")
            for name, value in standing.up(options.port, interrupts).items():
                print(f"export {name}={shlex.quote(value)}")
        else:
            standing.down()
        return 0
    except Interrupted as interrupted:
        return 128 + interrupted.signal
    except Failure as failure:
        say(str(failure))
        return OWN_FAILURE


def parse(arguments: list[str]) -> argparse.Namespace:
    # Split off by hand: which of several `--` argparse drops differs from one Python to the next.
    ours, command = partition(arguments, "--")
    parser = argparse.ArgumentParser(
        prog="localstack.py", description="Runs the real LocalStack without Docker."
    )
    actions = parser.add_subparsers(dest="action", required=True)
    run_options = actions.add_parser(
        "run", help="LocalStack for one command", usage="localstack.py run [--port N] -- COMMAND…"
    )
    up_options = actions.add_parser("up", help="LocalStack until `down`; prints what to export")
    actions.add_parser("down", help="stops exactly what `up` started")
    for options in (run_options, up_options):
        options.add_argument("--port", type=port, help="on 127.0.0.1; a free one if left out")
    parsed = parser.parse_args(ours)
    if (parsed.action == "run") != bool(command):
        run_options.error("`run`, and nothing else, takes a command after `--`")
    parsed.command = command
    return parsed


def partition(items: list[str], separator: str) -> tuple[list[str], list[str]]:
    if separator not in items:
        return items, []
    at = items.index(separator)
    return items[:at], items[at + 1 :]


def port(text: str) -> int:
    """A port that can be listened on; 0 would mean "any", which leaving the option out says."""
    number = int(text)
    if not 1 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{number} is not a port: give 1 to 65535")
    return number


def run(command: list[str], port: int | None, interrupts: Interrupts) -> int:
    python = installation.ensure(interrupts)
    with Instance.started(python, port, interrupts) as instance:
        environment = instance.environment_for(os.environ)
        try:
            child = Child(command, env=environment)
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
