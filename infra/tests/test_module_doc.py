"""The module's README has exactly its inputs, their defaults, outputs and alarms."""

from __future__ import annotations

import re
import unittest

from .terraform import MODULE

README = MODULE / "README.md"


def table(title: str) -> list[list[str]]:
    section = re.search(rf"^## {title}\n(.*?)(?=^## )", README.read_text(), re.M | re.S)[1]
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in re.findall(r"^\|.*\|$", section, re.M)]
    return rows[2:]


def blocks(file: str, kind: str) -> dict[str, str]:
    return dict(re.findall(rf'^{kind} "(\w+)" {{\n(.*?)^}}', (MODULE / file).read_text(), re.M | re.S))


class ModuleDocTest(unittest.TestCase):
    def test_inputs_and_their_defaults(self) -> None:
        inputs = {
            name: default[1] if (default := re.search(r"^  default\s+= (.*)$", body, re.M)) else "required"
            for name, body in blocks("variables.tf", "variable").items()
        }
        told = {row[0].strip("`"): re.sub(r"^`(.*?)`.*", r"\1", row[2]) for row in table("Inputs")}
        self.assertEqual(told, inputs)

    def test_outputs(self) -> None:
        told = [name for row in table("Outputs") for name in re.findall(r"`(\w+)`", row[0])]
        self.assertEqual(sorted(told), sorted(blocks("outputs.tf", "output")))

    def test_alarms(self) -> None:
        text = (MODULE / "alarms.tf").read_text()
        alarms = re.findall(r"^    ([a-z-]+)\s+= \{ ", text, re.M) + re.findall(r'event_rule_name\}-([a-z-]+)"', text)
        told = [row[0].strip("`").removeprefix("…-") for row in table("Alarms")]
        self.assertEqual(sorted(told), sorted(alarms))
        self.assertEqual(len(told), 6)
