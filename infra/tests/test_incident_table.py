"""The table of incidents: the Terraform module and the CloudFormation template make the same one, with the keys
that the code uses, and the same statements in the worker's policy.

Compared as they are written. LocalStack 4.9.2 downloads Java and DynamoDB Local for its DynamoDB, which is not
always to be had, so that nothing here deploys the table.
"""

from __future__ import annotations

import re
import unittest

from . import cloudformation, terraform, tools
from .test_schema import blocks

SOURCES = tools.ROOT / "src" / "incidents" / "dynamodb"
KIND = {"HASH": "hash_key", "RANGE": "range_key"}


def by_terraform() -> dict:
    [body] = [body for _, what, body in blocks(terraform.MODULE) if what == "aws_dynamodb_table"]
    [index] = body["global_secondary_index"]
    plain = lambda value: value.strip('"') if isinstance(value, str) else value
    return {
        "keys": {kind: plain(body[kind]) for kind in KIND.values()},
        "attributes": {plain(it["name"]): plain(it["type"]) for it in body["attribute"]},
        "index": {name: plain(index[name]) for name in ("name", *KIND.values(), "projection_type")},
        "billing": plain(body["billing_mode"]),
        "protected": body["deletion_protection_enabled"],
        "restorable": body["point_in_time_recovery"][0]["enabled"],
    }


def by_cloudformation(template: dict) -> dict:
    table = template["Resources"]["IncidentTable"]["Properties"]
    [index] = table["GlobalSecondaryIndexes"]
    keys = lambda of: {KIND[key["KeyType"]]: key["AttributeName"] for key in of["KeySchema"]}
    return {
        "keys": keys(table),
        "attributes": {it["AttributeName"]: it["AttributeType"] for it in table["AttributeDefinitions"]},
        "index": {
            "name": index["IndexName"],
            **keys(index),
            "projection_type": index["Projection"]["ProjectionType"],
        },
        "billing": table["BillingMode"],
        "protected": table["DeletionProtectionEnabled"],
        "restorable": table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"],
    }


class IncidentTableTest(unittest.TestCase):
    def test_both_make_the_same_table(self) -> None:
        self.assertEqual(by_terraform(), by_cloudformation(cloudformation.load()))
        text = cloudformation.TEMPLATE.read_text()
        for right, wrong in {
            "AttributeName: due_at, AttributeType: N": "AttributeName: due_at, AttributeType: S",
            "ProjectionType: KEYS_ONLY": "ProjectionType: ALL",
            "PointInTimeRecoveryEnabled: true": "PointInTimeRecoveryEnabled: false",
        }.items():
            self.assertIn(right, text)
            self.assertNotEqual(by_terraform(), by_cloudformation(cloudformation.parse(text.replace(right, wrong))))

    def test_it_has_the_keys_that_the_code_uses(self) -> None:
        looked_for = (SOURCES / "inspect.rs").read_text()
        table = by_terraform()
        for name, kind in table["attributes"].items():
            self.assertRegex(looked_for, rf'\("{name}"\) == Some\(ScalarAttributeType::{kind}\)|\("{name}", ScalarAttributeType::{kind}\)')
        self.assertEqual((table["keys"]["hash_key"], table["keys"]["range_key"]), ("pk", "sk"))
        self.assertIn(f'.index_name("{table["index"]["name"]}")', (SOURCES / "table.rs").read_text())

    def test_both_allow_the_same(self) -> None:
        statements = cloudformation.statements(cloudformation.load(), "WorkerPolicy")
        text = (terraform.MODULE / "policies.tf").read_text()
        ours = re.search(r"  keep_incidents = .*?\n  \]\n", text, re.S)[0]
        for statement in statements[-2:]:
            block = re.search(rf'Sid +=\s+"{statement["Sid"]}".*?Resource', ours, re.S)[0]
            self.assertEqual(sorted(re.findall(r'"(dynamodb:\w+)"', block)), sorted(statement["Action"]))

    def test_it_outlives_the_stack(self) -> None:
        table = cloudformation.load()["Resources"]["IncidentTable"]
        self.assertEqual((table["DeletionPolicy"], table["UpdateReplacePolicy"]), ("RetainExceptOnCreate", "Retain"))
        self.assertEqual(table["Condition"], "KeepsIncidents")
