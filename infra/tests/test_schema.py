"""Every argument in the module exists in the AWS provider that people have now, 6.62.0: the provider
that the module is tried with is five years older."""

from __future__ import annotations

import json
import shutil
import tempfile
import unittest
from pathlib import Path

from . import tools
from .terraform import LEFT_OUT, MODULE, copy_module

# Terraform's own, in any resource or data source.
META = {"for_each", "count", "depends_on", "provider", "lifecycle"}
PARSE = "import sys, json, hcl2; print(json.dumps([hcl2.load(open(name)) for name in sys.argv[1:]]))"


def unknown_arguments(module: Path) -> list[str]:
    """What the provider does not know, as `type.argument`; blocks within blocks included."""
    schema = tools.need(tools.provider_schema)
    found = []
    for kind, what, body in blocks(module):
        if f"{kind}/{what}" not in schema:
            found.append(what)
            continue
        known = schema[f"{kind}/{what}"] | META
        found += [f"{what}.{name}" for name in names(body) if name not in known]
    return found


def blocks(module: Path) -> list[tuple[str, str, dict]]:
    parsed = tools.run([tools.need(tools.python), "-c", PARSE, *sorted(module.glob("*.tf"))])
    if parsed.returncode != 0:
        raise AssertionError(parsed.stderr)
    return [
        (kind, what.strip('"'), body)
        for file in json.loads(parsed.stdout)
        for block, kind in (("resource", "resources"), ("data", "data-sources"))
        for of_type in file.get(block, [])
        for what, named in of_type.items()
        if not what.startswith("__")
        for name, body in named.items()
        if not name.startswith("__")
    ]


def names(body: dict) -> list[str]:
    """The arguments and blocks of a block. A block is a list of objects in what the parser gives; what
    an attribute holds is the caller's own."""
    found = []
    for name, value in body.items():
        if name.startswith("__"):
            continue
        if name == "dynamic":
            for block, of_block in (pair for item in value for pair in item.items()):
                if not block.startswith("__"):
                    found += [block.strip('"'), *names(of_block["content"][0])]
            continue
        found.append(name)
        if isinstance(value, list) and name not in META and all(isinstance(item, dict) for item in value):
            found += [inner for item in value for inner in names(item)]
    return found


class SchemaTest(unittest.TestCase):
    def test_every_argument_exists_in_the_present_provider(self) -> None:
        seen = {what for _, what, _ in blocks(MODULE)}
        self.assertLessEqual({"aws_sqs_queue", "aws_sqs_queue_redrive_allow_policy", "aws_partition"}, seen)
        self.assertEqual(unknown_arguments(MODULE), [])

    def test_a_planted_slip_is_found(self) -> None:
        slips = {
            "queues.tf": ("sqs_managed_sse_enabled    =", "sqs_managed_sse_enable =", "aws_sqs_queue.sqs_managed_sse_enable"),
            "rule.tf": ("maximum_retry_attempts", "maximum_retries", "aws_cloudwatch_event_target.maximum_retries"),
            "alarms.tf": ("return_data", "returns_data", "aws_cloudwatch_metric_alarm.returns_data"),
            "policies.tf": ('data "aws_region"', 'data "aws_regional"', "aws_regional"),
        }  # fmt: skip
        for file, (right, wrong, reported) in slips.items():
            with self.subTest(file), tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / "module"
                shutil.copytree(MODULE, copy, ignore=shutil.ignore_patterns(".terraform*"))
                text = (copy / file).read_text()
                self.assertIn(right, text)
                (copy / file).write_text(text.replace(right, wrong, 1))
                self.assertEqual(unknown_arguments(copy), [reported])

    def test_nothing_else_is_left_out_elsewhere(self) -> None:
        """What Terraform itself never sees here is kept down to what is compared with the schema."""

        def seen(folder: Path) -> set[tuple[str, str]]:
            of_both = [*blocks(folder), *blocks(folder / "examples" / "fargate")]
            return {(what, name) for _, what, body in of_both for name in names(body)}

        with tempfile.TemporaryDirectory() as folder:
            copy_module(Path(folder) / "module")
            left_out = seen(MODULE) - seen(Path(folder) / "module")
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(MODULE / LEFT_OUT, folder)
            scaling = {(what, name) for _, what, body in blocks(Path(folder)) for name in names(body)}
        self.assertEqual(
            left_out - scaling,
            {
                ("aws_sqs_queue", "max_message_size"),
                ("aws_sqs_queue", "sqs_managed_sse_enabled"),
                ("aws_sqs_queue_redrive_allow_policy", "queue_url"),
                ("aws_sqs_queue_redrive_allow_policy", "redrive_allow_policy"),
                ("aws_dynamodb_table", "deletion_protection_enabled"),
                ("aws_ecs_task_definition", "runtime_platform"),
                ("aws_ecs_task_definition", "operating_system_family"),
                ("aws_ecs_task_definition", "cpu_architecture"),
            },
        )
