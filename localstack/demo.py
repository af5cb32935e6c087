#!/usr/bin/env python3
"""misstep at work: state machines fail on LocalStack, and everyone concerned is told.

Run it with `make demo`. It deploys `infra/`, starts `misstep work` against a receiver of its own that
stands in for the notification API, lets every scenario fail, and looks whether all of it arrived and
the queues are empty. Exits 0 only if everything held.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

if __name__ == "__main__":
    # What follows takes a while to import; a Ctrl-C in it needs no traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from botocore.exceptions import BotoCoreError, ClientError

import scenarios
from narrator import Narrator
from server.interrupts import Interrupted, Interrupts

HERE = Path(__file__).resolve().parent
MISSTEP = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target")) / "debug" / "misstep"
STACK = "misstep-demo"
# The developers' mail type first: what they get stands on the left.
AUDIENCES = {
    "INTERNAL_ENQUIRY_ERROR": "dev-team@example.com",
    "ASSESTIVE_ENQUIRY_ERROR": "customer-assist@example.com",
}
# Developers get everything, which is the default; CustomerAssist gets it in plain words; who is on call gets
# one alert for each bug.
CONFIG = """
[incidents]
store = "sqlite:{folder}/incidents.db"
ladder = ["5s"]

[[routes]]
name = "on-call"
audience = "on-call"
channel = "http"
url = "{on_call}"
grouping = "incident"
input_keys = ["order_id", "refund_id", "ledger"]

[[routes]]
name = "customer-assist"
audience = "customer-assist"
channel = "http"
form = "summary"
input_keys = ["order_id", "refund_id", "ledger"]
"""
# The bug that comes back, and how often.
REPEATED, REPEATS = "catch-then-fail", 4
STEP_SECONDS = 90
ARRIVAL_SECONDS = 60
EMPTY_SECONDS = 15
# Longer than the worker's own grace for draining, which is 25 s.
STOP_SECONDS = 30
INTERRUPTED_STOP_SECONDS = 4


class Broken(Exception):
    """Something the demo promises did not hold."""


class Receiver:
    """Stands in for the notification API: takes what is posted, and answers 202."""

    def __init__(self) -> None:
        self.arrived: queue.Queue[dict] = queue.Queue()
        self.incidents: queue.Queue[dict] = queue.Queue()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                incident = self.path.endswith("/on-call")
                (receiver.incidents if incident else receiver.arrived).put(json.loads(body))
                self.send_response(202)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/notifications"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Worker:
    """`misstep work`, with its log kept until somebody wants to see it."""

    def __init__(self, queue_url: str, api: str):
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MISSTEP_")}
        self.log = tempfile.TemporaryFile()
        self._folder = tempfile.TemporaryDirectory(prefix="misstep-demo-")
        self.config = Path(self._folder.name) / "misstep.toml"
        self.config.write_text(CONFIG.format(folder=self._folder.name, on_call=f"{api}/on-call"))
        self._process = subprocess.Popen(
            [str(MISSTEP), "work", "--config", str(self.config)],
            env={
                **inherited,
                "MISSTEP_QUEUE_URL": queue_url,
                "MISSTEP_NOTIFICATION_API": api,
                "MISSTEP_INTERNAL_GROUP_EMAIL": AUDIENCES["INTERNAL_ENQUIRY_ERROR"],
                "MISSTEP_EXTERNAL_GROUP_EMAIL": AUDIENCES["ASSESTIVE_ENQUIRY_ERROR"],
                "MISSTEP_ENV": "demo",
                "MISSTEP_APPLICATION_NAME": "web-shop",
                "MISSTEP_POLL_WAIT_SECS": "1",
                "MISSTEP_ADMIN_ADDR": "off",
            },
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    def check(self) -> None:
        if self._process.poll() is not None:
            raise Broken(f"`misstep work` ended by itself with {self._process.returncode}")

    def stop(self, seconds: float) -> int:
        """Asks it to end with SIGTERM, if it has not ended; its exit code, -9 if it had to be killed."""
        self._process.terminate()
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def incidents(self) -> str:
        """What `misstep incidents list` prints."""
        command = [str(MISSTEP), "incidents", "list", "--config", str(self.config)]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=STEP_SECONDS).stdout

    def last_lines(self, count: int = 40) -> str:
        self.log.seek(0)
        return "\n".join(self.log.read().decode(errors="replace").splitlines()[-count:])


class Demo:
    def __init__(self, interrupts: Interrupts):
        self._interrupts = interrupts
        self._tell = Narrator()

    def run(self) -> None:
        if not MISSTEP.exists():
            raise Broken(f"there is no {MISSTEP}: `make demo` builds it")
        self._tell.title(f"misstep on LocalStack at {os.environ['AWS_ENDPOINT_URL']}")
        machines = self._step("create")
        self._tell.step(f"{len(machines)} state machines that fail, each in its own way")
        outputs = self._step("deploy", "--stack", STACK, "--arns", ",".join(machines.values()))
        self._tell.step("infra/ deployed: a rule, its queue, two dead-letter queues, the worker's policy")
        with contextlib.closing(Receiver()) as receiver:
            worker = Worker(outputs["QueueUrl"], receiver.url)
            try:
                self._tell.step(f"`misstep work` is on the queue, and notifies {receiver.url}")
                self._watch(worker, receiver, machines)
                self._watch_incidents(worker, receiver, machines)
                self._look_into_queues(outputs)
                if (code := worker.stop(STOP_SECONDS)) != 0:
                    raise Broken(f"on SIGTERM, `misstep work` ended with {code}")
                self._tell.step("on SIGTERM, `misstep work` drained and exited 0")
            except Broken as broken:
                raise Broken(f"{broken}\n\nthe worker's log ends:\n{worker.last_lines()}") from broken
            finally:
                worker.stop(INTERRUPTED_STOP_SECONDS)
        self._tell.title("everything held")

    def _watch(self, worker: Worker, receiver: Receiver, machines: dict[str, str]) -> None:
        """Lets everything fail, and tells what arrives until both audiences know of each failure."""
        self._tell.step("now they fail …")
        names = {arn: name for name, arn in machines.items()}
        missing = {(name, email_type) for name in machines for email_type in AUDIENCES}
        told: dict[str, dict[str, dict]] = {name: {} for name in machines}
        starting = self._start_step("start")
        try:
            deadline = time.monotonic() + ARRIVAL_SECONDS
            while missing or starting.poll() is None:
                self._interrupts.check()
                worker.check()
                if starting.poll() not in (None, 0):
                    raise Broken("the scenarios did not fail as they are meant to")
                if time.monotonic() > deadline:
                    raise Broken(f"in {ARRIVAL_SECONDS} s, these did not arrive: {sorted(missing)}")
                try:
                    request = receiver.arrived.get(timeout=0.05)
                except queue.Empty:
                    continue
                name = names[request["data"]["event_info"]["state_machine_arn"]]
                email_type = request["emailType"]
                if request["group_email"] != AUDIENCES.get(email_type):
                    raise Broken(f"{email_type} went to {request['group_email']}")
                self._look_at(name, request["data"]["analysis"])
                if (name, email_type) not in missing:
                    self._tell.again(name, request)
                    continue
                missing.discard((name, email_type))
                told[name][email_type] = request
                if len(told[name]) == len(AUDIENCES):
                    self._tell.failure(name, *(told[name][email_type] for email_type in AUDIENCES))
        finally:
            starting.kill()
            starting.communicate()
        self._tell.gap()
        self._tell.step(f"all {len(machines)} failures reached both audiences")

    def _watch_incidents(self, worker: Worker, receiver: Receiver, machines: dict[str, str]) -> None:
        """Lets one bug come back, and looks whether who is on call gets one alert and all executions."""
        self._tell.step(f"{REPEATED} fails {REPEATS} times more …")
        for _ in range(REPEATS):
            self._step("start", REPEATED)
        alerts: dict[str, int] = {}
        named: dict[str, dict[str, str]] = {}

        def all_named() -> bool:
            worker.check()
            while not receiver.incidents.empty():
                incident = receiver.incidents.get()["data"]["analysis"]["incident"]
                alerts[incident["id"]] = alerts.get(incident["id"], 0) + (incident["kind"] == "alert")
                for execution in incident["new_executions"]:
                    named.setdefault(incident["id"], {})[execution["execution_arn"]] = execution["role"]
            return sum(len(executions) for executions in named.values()) == len(machines) + REPEATS

        complete = self._interrupts.wait_until(all_named, ARRIVAL_SECONDS)
        listed = worker.incidents()
        if not complete:
            raise Broken(f"who is on call does not know of every execution: {named}\n{listed}")
        if any(count != 1 for count in alerts.values()):
            raise Broken(f"more than one alert for a bug: {alerts}")
        # One alert for the bug that came back, and one for a parent and its child.
        sizes = sorted(len(executions) for executions in named.values())
        if sizes != [1] * (len(machines) - 3) + [2, REPEATS + 1]:
            raise Broken(f"the incidents have {sizes} executions\n{listed}")
        self._tell.step(f"who is on call got {len(named)} alerts for {sum(sizes)} failures; `misstep incidents list`:")
        self._tell.gap()
        for line in listed.splitlines():
            self._tell.line(line)
        self._tell.gap()

    def _look_at(self, name: str, analysis: dict) -> None:
        """Whether the notification names what tripped; the tests compare every field."""
        expected = scenarios.SCENARIOS[name]["expected"]["analysis"]
        for field, of in {"status": str, "failed_state": state_name}.items():
            if of(analysis[field]) != of(expected[field]):
                raise Broken(f"{name}: {field} is {of(analysis[field])}, expected {of(expected[field])}")

    def _look_into_queues(self, outputs: dict[str, str]) -> None:
        """Nothing may be left; the worker deletes a message after its second notification."""
        aws = scenarios.clients()
        counted: dict[str, int] = {}

        def all_empty() -> bool:
            for output in ("QueueUrl", "DeadLetterQueueUrl", "TargetDeadLetterQueueUrl"):
                counted[outputs[output].rpartition("/")[2]] = count(aws, outputs[output])
            return not any(counted.values())

        empty = self._interrupts.wait_until(all_empty, EMPTY_SECONDS)
        self._tell.queues(counted)
        if not empty:
            raise Broken(f"messages are left after {EMPTY_SECONDS} s: {counted}")

    def _step(self, *arguments: str) -> dict[str, str]:
        """A subcommand of scenarios.py, as its own process so that it can be cut short."""
        process = self._start_step(*arguments)
        try:
            if not self._interrupts.wait_until(lambda: process.poll() is not None, STEP_SECONDS):
                raise Broken(f"`scenarios.py {arguments[0]}` takes longer than {STEP_SECONDS} s")
            printed, _ = process.communicate()
        finally:
            process.kill()
            process.wait()
        if process.returncode != 0:
            raise Broken(f"`scenarios.py {arguments[0]}` ended with {process.returncode}")
        return json.loads(printed)

    def _start_step(self, *arguments: str) -> subprocess.Popen:
        command = [sys.executable, str(HERE / "scenarios.py"), *arguments]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)


def state_name(state: dict | None) -> str | None:
    return state and state["name"]


def count(aws: scenarios.Clients, queue_url: str) -> int:
    """Every message there is: visible, in flight and delayed."""
    names = ["", "NotVisible", "Delayed"]
    attributes = aws.sqs.get_queue_attributes(
        QueueUrl=queue_url, AttributeNames=[f"ApproximateNumberOfMessages{name}" for name in names]
    )["Attributes"]
    return sum(int(attributes[f"ApproximateNumberOfMessages{name}"]) for name in names)


def main() -> int:
    interrupts = Interrupts().install()
    try:
        try:
            Demo(interrupts).run()
        except (Broken, scenarios.Refused, BotoCoreError, ClientError) as broken:
            interrupts.check()  # a Ctrl-C reaches the worker and the scenarios as well, and ends them
            print(f"\ndemo: {broken}", file=sys.stderr)
            return 1
    except Interrupted as interrupted:
        return 128 + interrupted.signal
    return 0


if __name__ == "__main__":
    sys.exit(main())
