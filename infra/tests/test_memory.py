"""What limits the worker's memory leaves room for its budget and for what the budget does not count."""

from __future__ import annotations

import re
import unittest

from . import tools
from .test_kubernetes import manifest

FARGATE = tools.INFRA / "terraform" / "examples" / "fargate" / "main.tf"
UNIT = tools.INFRA / "systemd" / "misstep.service"
SETTINGS = tools.ROOT / "src" / "config" / "settings.rs"
# In MiB: the default of MISSTEP_MEMORY_BUDGET_MIB, and the most that the worker needs beyond it.
BUDGET = int(re.search(r'"memory_budget_mib",\s*"MIB",\s*Some\("(\d+)"\)', SETTINGS.read_text())[1])
BEYOND = 150


def limits(fargate: str, unit: str, resources: dict) -> dict[str, int]:
    """In MiB."""
    return {
        "Fargate": int(re.search(r"^ +memory += (\d+)$", fargate, re.M)[1]),
        "systemd": int(re.search(r"^MemoryMax=(\d+)M$", unit, re.M)[1]),
        "Kubernetes": int(re.fullmatch(r"(\d+)Mi", resources["limits"]["memory"])[1]),
    }


class MemoryTest(unittest.TestCase):
    def setUp(self) -> None:
        [container] = manifest()["Deployment"]["spec"]["template"]["spec"]["containers"]
        self.resources = container["resources"]
        self.limits = limits(FARGATE.read_text(), UNIT.read_text(), self.resources)

    def test_every_limit_has_room_for_the_budget_and_what_is_beyond_it(self) -> None:
        too_small = {where: limit for where, limit in self.limits.items() if limit < BUDGET + BEYOND}
        self.assertEqual(too_small, {})

    def test_a_pod_is_given_its_budget(self) -> None:
        """A node that is full kills pods that use more than they asked for first."""
        self.assertEqual(self.resources["requests"]["memory"], f"{BUDGET}Mi")

    def test_the_docs_say_how_a_limit_follows(self) -> None:
        text = (tools.ROOT / "docs" / "scaling.md").read_text()
        self.assertIn(f"`MISSTEP_MEMORY_BUDGET_MIB` (default {BUDGET})", text)
        self.assertIn(f"at least the budget and {BEYOND} MiB", text)
        for where in (FARGATE, UNIT, tools.INFRA / "kubernetes/misstep.yaml"):
            self.assertRegex(where.read_text(), rf"memory budget \({BUDGET} MiB by default\) and {BEYOND} MiB", where)


if __name__ == "__main__":
    unittest.main()
