"""The tables of docs/iam.md say what the policies say."""

from __future__ import annotations

import re
import unittest

from . import cloudformation, tools
from .test_calls import (
    ANYTHING, DLQ, EXECUTIONS, EXPRESS_CHILDREN, IDENTITIES, INCIDENT_INDEX, INCIDENT_TABLE, LOG_GROUPS, LOGS, MAP_RUNS, QUEUE, REPLAY, STATE_MACHINE_KEYS,
    STATE_MACHINES, SWEEP, TARGET_DLQ, TOPIC_KEYS, TOPICS, WORKER, granted,
)  # fmt: skip

DOC = tools.ROOT / "docs" / "iam.md"
SECTIONS = {"The worker": WORKER, "The sweep": SWEEP, "Logs": LOGS, "The replay": REPLAY}
RESOURCES = {
    "queue": QUEUE,
    "dead-letter queue": DLQ,
    "target's dead-letter queue": TARGET_DLQ,
    "key": "KmsKeyArn",
    "executions": EXECUTIONS,
    "state machines": STATE_MACHINES,
    "everything": ANYTHING,
    "Express children": EXPRESS_CHILDREN,
    "map runs": MAP_RUNS,
    "state machines' keys": STATE_MACHINE_KEYS,
    "log groups": LOG_GROUPS,
    "topics": TOPICS,
    "topics' keys": TOPIC_KEYS,
    "identities": IDENTITIES,
    "incident table": INCIDENT_TABLE,
    "its index": INCIDENT_INDEX,
}


def documented(text: str) -> set[tuple[str, str, str]]:
    found = set()
    for title, policy in SECTIONS.items():
        section = re.search(rf"^## {title}\n(.*?)(?=^## )", text, re.M | re.S)[1]
        for actions, resources in re.findall(r"^\| (`[^|]+) \| ([^|]+) \|", section, re.M):
            for action in re.findall(r"`([^`]+)`", actions):
                found |= {(policy, action, RESOURCES[resource]) for resource in resources.split(", ")}
    return found


class IamDocTest(unittest.TestCase):
    def test_the_tables_have_exactly_what_the_policies_have(self) -> None:
        self.assertEqual(documented(DOC.read_text()), granted(cloudformation.load()))

    def test_a_row_that_is_missing_is_seen(self) -> None:
        text = DOC.read_text()
        row = re.search(r"^\| `sqs:CancelMessageMoveTask` .*\n", text, re.M)[0]
        missing = granted(cloudformation.load()) - documented(text.replace(row, ""))
        self.assertEqual(missing, {(REPLAY, "sqs:CancelMessageMoveTask", DLQ)})
