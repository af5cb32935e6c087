#!/usr/bin/env python3
"""State machines that fail, each in its own way, and the stack they are watched by.

    scenarios.py create [--prefix P] [NAME…]    makes the state machines P-NAME; prints their ARNs
    scenarios.py start  [--prefix P] [NAME…]    runs them until they have failed; prints execution ARNs
    scenarios.py deploy --stack S [--arns A,B]  deploys infra/; prints the stack's outputs
    scenarios.py delete [--prefix P] [--stack S] [NAME…]

Without names, all of `scenarios/scenarios.json`. Results are one JSON object on standard output.
Runs with the Python of `localstack/.venv`, against the LocalStack of AWS_ENDPOINT_URL and nothing
that is not on this machine.

That file has, for each NAME beside `NAME.asl.json`:

    about        what happens, in a sentence
    input        of the execution
    mock_case    which answers of `mocks.json` its Lambda tasks get; absent where nothing is mocked
    stop         how it is stopped once it waits; absent where it ends by itself
    started_by   the scenario whose execution starts this one; absent where it is started directly
    expected     what misstep has to say of it: a part of the notification's `data`. A field that is
                 not named may hold anything; of a list, every element is. `input` and `initial_input`
                 are JSON here and JSON text there; `payload` is `input`.
"""

from __future__ import annotations

import argparse
import fcntl
import ipaddress
import json
import os
import signal
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

if __name__ == "__main__":
    # What follows takes a while to import; a Ctrl-C in it needs no traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "scenarios"
TEMPLATE = HERE.parent / "infra" / "misstep.yaml"
WAIT_SECONDS = 60
POLL_SECONDS = 0.1

SCENARIOS: dict[str, dict] = json.loads((FOLDER / "scenarios.json").read_text())


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    try:
        print(json.dumps(options.action(options, clients()), indent=2))
    except (Refused, BotoCoreError, ClientError) as error:
        print(f"scenarios: {error}", file=sys.stderr)
        return 1
    return 0


class Refused(Exception):
    """Says what cannot be done, and what to do instead."""


class Clients:
    def __init__(self, endpoint: str):
        # Nothing is left to the surroundings: no profile, no proxy, no real account's keys.
        session = boto3.Session(
            aws_access_key_id=os.environ.get("AWS_ACCESS_KEY_ID", "test"),
            aws_secret_access_key="test",
            region_name=os.environ.get("AWS_REGION", "us-east-1"),
        )
        config = Config(proxies={}, connect_timeout=5, read_timeout=30)
        for service in ("cloudformation", "cloudwatch", "events", "iam", "sqs", "stepfunctions"):
            setattr(self, service, session.client(service, endpoint_url=endpoint, config=config))


def clients() -> Clients:
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint:
        raise Refused("AWS_ENDPOINT_URL is not set: run this through `localstack.py run -- …`")
    if not is_loopback(urlsplit(endpoint).hostname or ""):
        raise Refused(f"{endpoint} is not on this machine: only a LocalStack on loopback will do")
    return Clients(endpoint)


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scenarios.py", description="State machines that fail.")
    actions = parser.add_subparsers(required=True)
    for action in (create, start, deploy, delete):
        options = actions.add_parser(action.__name__, help=action.__doc__.splitlines()[0])
        options.set_defaults(action=action)
        if action is not deploy:
            options.add_argument("--prefix", default="", help="put before each state machine's name")
            options.add_argument("names", nargs="*", metavar="NAME", help="a scenario; all if none is given")
        if action in (deploy, delete):
            options.add_argument("--stack", required=action is deploy, help="the CloudFormation stack's name")
        if action is deploy:
            options.add_argument("--arns", default="", help="state machines to watch, by comma; all if none")
            options.add_argument(
                "--set", action="append", default=[], metavar="PARAMETER=VALUE", help="of the template"
            )
    return parser.parse_args(arguments)


def create(options: argparse.Namespace, aws: Clients) -> dict[str, str]:
    """Makes the state machines; prints scenario -> state machine ARN."""
    names = chosen(options.names)
    role = make_role(aws, machine_name(options.prefix, "scenarios"))
    if options.prefix:
        mock_also_as(options.prefix, names)
    made: dict[str, str] = {}
    # Children first: their parents' definitions name them.
    for name in sorted(names, key=lambda name: "started_by" not in SCENARIOS[name]):
        definition = (FOLDER / f"{name}.asl.json").read_text()
        for child, arn in made.items():
            definition = definition.replace(f"${{{child}}}", arn)
        made[name] = aws.stepfunctions.create_state_machine(
            name=machine_name(options.prefix, name), definition=definition, roleArn=role
        )["stateMachineArn"]
    return made


def start(options: argparse.Namespace, aws: Clients) -> dict[str, str]:
    """Runs them until they have failed; prints scenario -> execution ARN."""
    machines = find_machines(aws, options.prefix)
    started: dict[str, str] = {}
    for name in chosen(options.names):
        scenario = SCENARIOS[name]
        if name not in machines:
            raise Refused(f"there is no state machine {machine_name(options.prefix, name)}: `create` it first")
        if "started_by" in scenario:
            continue
        mocked = f"#{scenario['mock_case']}" if "mock_case" in scenario else ""
        started[name] = aws.stepfunctions.start_execution(
            stateMachineArn=machines[name] + mocked, input=json.dumps(scenario["input"], ensure_ascii=False)
        )["executionArn"]
    for name, arn in started.items():
        if "stop" in SCENARIOS[name]:
            wait_until_waiting(aws, arn)
            aws.stepfunctions.stop_execution(executionArn=arn, **SCENARIOS[name]["stop"])
    for name, arn in started.items():
        wait_for_end(aws, name, arn)
    for child in chosen(options.names):
        if (parent := SCENARIOS[child].get("started_by")) in started:
            started[child] = child_execution(aws, started[parent])
    return started


def deploy(options: argparse.Namespace, aws: Clients) -> dict[str, str]:
    """Deploys infra/ and waits for it; prints output -> value."""
    given = dict(pair.split("=", 1) for pair in options.set)
    parameters = {"ApplicationName": options.stack, "StepFunctionArns": options.arns, **given}
    aws.cloudformation.create_stack(
        StackName=options.stack,
        TemplateBody=TEMPLATE.read_text(),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
    )
    stack = wait_for(lambda: settled(aws, options.stack), f"stack {options.stack} to be deployed")
    if stack["StackStatus"] != "CREATE_COMPLETE":
        raise Refused(f"stack {options.stack} is {stack['StackStatus']}: {stack.get('StackStatusReason')}")
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def delete(options: argparse.Namespace, aws: Clients) -> dict[str, list[str]]:
    """Deletes the state machines, the stack if one is named; prints what went."""
    machines = find_machines(aws, options.prefix)
    gone = [machines[name] for name in chosen(options.names) if name in machines]
    for arn in gone:
        aws.stepfunctions.delete_state_machine(stateMachineArn=arn)
    if options.stack:
        aws.cloudformation.delete_stack(StackName=options.stack)
        stack = wait_for(lambda: settled(aws, options.stack), f"stack {options.stack} to be deleted")
        if stack["StackStatus"] != "DELETE_COMPLETE":
            raise Refused(f"stack {options.stack} is {stack['StackStatus']}: {stack.get('StackStatusReason')}")
    return {"state_machines": gone, "stacks": [options.stack] if options.stack else []}


def chosen(names: list[str]) -> list[str]:
    """The named scenarios and the children they start, or all of them."""
    if unknown := [name for name in names if name not in SCENARIOS]:
        raise Refused(f"no scenario {', '.join(unknown)}: there are {', '.join(SCENARIOS)}")
    if not names:
        return list(SCENARIOS)
    return [name for name, it in SCENARIOS.items() if name in names or it.get("started_by") in names]


def machine_name(prefix: str, name: str) -> str:
    return f"{prefix}-{name}" if prefix else name


def make_role(aws: Clients, name: str) -> str:
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "states.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    try:
        role = aws.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    except aws.iam.exceptions.EntityAlreadyExistsException:
        role = aws.iam.get_role(RoleName=name)
    return role["Role"]["Arn"]


def mock_also_as(prefix: str, names: list[str]) -> None:
    """Makes the answers for mocked tasks known under the prefixed names too.

    LocalStack looks them up by the state machine's name, and reads the file again when the second of
    its last change is another one: hence a time that always moves on by at least a second.
    """
    mocked = [name for name in names if "mock_case" in SCENARIOS[name]]
    if not mocked:
        return
    if "MISSTEP_TEST_MOCKS" not in os.environ:
        raise Refused(
            "a prefix needs MISSTEP_TEST_MOCKS, the mock file of a LocalStack that `localstack.py` started"
        )
    path = Path(os.environ["MISSTEP_TEST_MOCKS"])
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        mocks = json.loads(path.read_text())
        for name in mocked:
            mocks["StateMachines"][machine_name(prefix, name)] = mocks["StateMachines"][name]
        changed = max(time.time(), path.stat().st_mtime + 1)
        new = path.with_suffix(".new")
        new.write_text(json.dumps(mocks))
        os.utime(new, (changed, changed))
        new.replace(path)
    finally:
        os.close(folder)


def find_machines(aws: Clients, prefix: str) -> dict[str, str]:
    pages = aws.stepfunctions.get_paginator("list_state_machines").paginate()
    arns = {machine["name"]: machine["stateMachineArn"] for page in pages for machine in page["stateMachines"]}
    wanted = {name: machine_name(prefix, name) for name in SCENARIOS}
    return {name: arns[wanted[name]] for name in wanted if wanted[name] in arns}


def wait_until_waiting(aws: Clients, execution: str) -> None:
    def waits() -> bool:
        events = aws.stepfunctions.get_execution_history(executionArn=execution)["events"]
        return any(event["type"] == "WaitStateEntered" for event in events)

    wait_for(waits, f"{execution} to reach its Wait state")


def wait_for_end(aws: Clients, name: str, execution: str) -> None:
    def status() -> str | None:
        now = aws.stepfunctions.describe_execution(executionArn=execution)["status"]
        return None if now == "RUNNING" else now

    expected = SCENARIOS[name]["expected"]["analysis"]["status"]
    if (status := wait_for(status, f"{execution} to end")) != expected:
        raise Refused(f"{name} was to end as {expected}, but it is {status}: {execution}")


def child_execution(aws: Clients, parent: str) -> str:
    """The execution that a `startExecution.sync` task of the parent started."""
    for event in aws.stepfunctions.get_execution_history(executionArn=parent)["events"]:
        if event["type"] == "TaskSubmitted":
            return json.loads(event["taskSubmittedEventDetails"]["output"])["ExecutionArn"]
    raise Refused(f"{parent} has started no execution")


def settled(aws: Clients, stack: str) -> dict | None:
    """The stack once nothing is under way; a deleted one is gone from the list."""
    try:
        found = aws.cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in str(error):
            return {"StackStatus": "DELETE_COMPLETE"}
        raise
    return None if found["StackStatus"].endswith("_IN_PROGRESS") else found


def wait_for(condition, what: str):
    deadline = time.monotonic() + WAIT_SECONDS
    while not (result := condition()):
        if time.monotonic() > deadline:
            raise Refused(f"waited {WAIT_SECONDS} s in vain for {what}")
        time.sleep(POLL_SECONDS)
    return result


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
