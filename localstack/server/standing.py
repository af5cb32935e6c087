"""The instance that stays: `up` starts it and writes down what it was, `down` stops exactly that."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from server import installation
from server.child import stop_group
from server.instance import HOST, RUNS, Instance, ask, remove_run_folder
from server.interrupts import Interrupts
from server.report import Failure, say

FOLDER = RUNS / "up"
STATE = FOLDER / "state.json"


def up(port: int | None, interrupts: Interrupts) -> dict[str, str]:
    """Starts it unless it is up, and returns the settings that lead to it."""
    python = installation.ensure(interrupts)
    with installation.locked(installation.HERE, interrupts):
        state = read_state()
        if state and is_ours(state):
            if port not in (None, state["port"]):
                raise Failure(f"LocalStack is already up on port {state['port']}: `down` first")
            say(f"already up on http://{HOST}:{state['port']}")
            return state["settings"]
        remove_run_folder(FOLDER)  # left by a machine that went down
        FOLDER.mkdir(parents=True)
        try:
            instance = Instance.start(python, port, FOLDER, interrupts)
        except BaseException:
            remove_run_folder(FOLDER)
            raise
        settings = instance.settings({})
        state = {"pid": instance.child.pid, "name": instance.name, "port": instance.port}
        STATE.write_text(json.dumps({**state, "settings": settings}))
    say(f"up on {instance.endpoint}, until `down`; its log: {instance.log}")
    return settings


def down() -> None:
    state = read_state()
    if state is None:
        say("not up, nothing to stop")
    elif is_ours(state):
        stop_group(state["pid"], lambda: is_ours(state))
        say(f"stopped the one on port {state['port']}")
    else:
        say("it had ended by itself")
    remove_run_folder(FOLDER)


def read_state() -> dict | None:
    try:
        return json.loads(STATE.read_text())
    except FileNotFoundError:
        return None


def is_ours(state: dict) -> bool:
    """Whether the process that has the id now is the one we started: ids are given out again."""
    return state["name"] in command_line(state["pid"])


def command_line(pid: int) -> str:
    """Empty for a process that has ended."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    return subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True
    ).stdout
