"""What `infra/tests/aws.sh` makes and compares: one command a function, arguments as text."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

# Of each way to fail: the status, the failed state, and the error of the root cause, where there is one.
EXPECTED = {
    "fails": ("FAILED", "Charge", "Tripped"),
    "caught": ("FAILED", "GiveUp", "S3.S3Exception"),
    "times-out": ("TIMED_OUT", None, None),
    "is-aborted": ("ABORTED", None, None),
    "nested": ("FAILED", "Child", "Tripped"),
    "map-standard": ("FAILED", "Orders", "Tripped"),
    "map-express": ("FAILED", "Orders", "Tripped"),
    "encrypted": ("FAILED", "Charge", "Tripped"),
}


def event(account: str, region: str, name: str) -> None:
    """The event of an execution of this state machine, which failed."""
    arn = f"arn:aws:states:{region}:{account}:stateMachine:{name}"
    failed = {"id": "1", "source": "aws.states", "detail-type": "Step Functions Execution Status Change"}
    where = {"account": account, "region": region, "time": "2026-11-26T00:00:00Z", "resources": []}
    print(json.dumps({**failed, **where, "detail": {"status": "FAILED", "stateMachineArn": arn}}))


def large_input() -> None:
    """Just below the 256 KiB that Step Functions takes."""
    print(json.dumps({"payload": "x" * 240_000}))


def notified(executions: str, archive: str) -> None:
    """Compares what misstep wrote of each execution; exits with 1 where it is not what was expected."""
    lines = Path(archive).read_text().splitlines() if Path(archive).exists() else []
    reports = [json.loads(line) for line in lines]
    by_execution = {report["event_info"]["execution_arn"]: report["analysis"] for report in reports}
    faults = []
    for line in Path(executions).read_text().splitlines():
        way, execution = line.split()
        fault = difference(by_execution.get(execution), *EXPECTED[way])
        print(f"{'ok  ' if fault is None else 'FAIL'}  {way:13} {fault or ''}")
        faults += [] if fault is None else [fault]
    sys.exit(1 if faults else 0)


def difference(analysis: dict | None, status: str, state: str | None, error: str | None) -> str | None:
    """What is not as expected, if anything."""
    if analysis is None:
        return "nobody was notified"
    failed_state, root_cause = analysis["failed_state"] or {}, analysis["root_cause"] or {}
    seen = {
        "degraded": analysis["degraded"],
        "status": analysis["status"],
        "failed state": failed_state.get("name"),
        "root cause": root_cause.get("error"),
    }
    wanted = {"degraded": None, "status": status, "failed state": state, "root cause": error}
    found = [f"{what}: {seen[what]!r}, expected {wanted[what]!r}" for what in wanted if seen[what] != wanted[what]]
    return "; ".join(found) or None


def events(queue_url: str, region: str, large: str) -> None:
    """What AWS sent to a rule that lets everything in. Takes the messages from the queue."""
    bodies = received(queue_url, region)
    details = {body["detail"]["executionArn"]: body["detail"] for body in bodies}
    children = [detail for arn, detail in details.items() if "/" in arn.split(":")[6]]
    machines = Counter(detail["stateMachineArn"].split(":", 6)[6] for detail in children)
    print(f"AWS: children of Map runs sent {len(children)} events, with the state machines {dict(machines)}")
    encrypted = [detail for arn, detail in details.items() if "-encrypted:" in arn]
    for detail in encrypted:
        held = {key: detail.get(key) is not None for key in ("input", "error", "cause")}
        print(f"AWS: the event of an execution with a key of its own holds {held}")
    body = next((body for body in bodies if body["detail"]["executionArn"] == large), None)
    if body is None:
        print("AWS: an execution with an input of 240,000 bytes and a cause of 30,000 sent no event")
    else:
        detail = body["detail"]
        sizes = {key: len(detail.get(key) or "") for key in ("input", "cause")}
        print(f"AWS: with an input of 240,000 bytes and a cause of 30,000 the event has {len(json.dumps(body))} bytes: {sizes}")


def received(queue_url: str, region: str) -> list[dict]:
    """All messages of a queue; each is deleted."""

    def sqs(*arguments: str) -> dict:
        command = ["aws", "sqs", *arguments, "--queue-url", queue_url, "--region", region, "--output", "json"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return json.loads(done.stdout or "{}")

    found = []
    while messages := sqs("receive-message", "--max-number-of-messages", "10", "--wait-time-seconds", "20").get("Messages"):
        for message in messages:
            found.append(json.loads(message["Body"]))
            sqs("delete-message", "--receipt-handle", message["ReceiptHandle"])
    return found


def page(file: str) -> None:
    """How much of a history of about 300 events with 240,000 bytes each came in one page of up to 1,000."""
    answer = json.loads(Path(file).read_text())
    size, count = len(Path(file).read_text()), len(answer["events"])
    more = "more is left" if answer.get("nextToken") else "that is all"
    print(f"one page of GetExecutionHistory, asked for 1,000 events, had {count} events and {size} bytes; {more}")


if __name__ == "__main__":
    {"event": event, "large-input": large_input, "notified": notified, "events": events, "page": page}[sys.argv[1]](
        *sys.argv[2:]
    )
