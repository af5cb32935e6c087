"""The CloudFormation template as data: `!GetAtt Queue.Arn` becomes `{"Fn::GetAtt": "Queue.Arn"}`."""

from __future__ import annotations

from pathlib import Path

import yaml

from . import tools

TEMPLATE = tools.INFRA / "misstep.yaml"


class _Loader(yaml.SafeLoader):
    pass


def _function(loader: _Loader, suffix: str, node: yaml.Node) -> dict:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _function)


def load(path: Path = TEMPLATE) -> dict:
    return yaml.load(path.read_text(), _Loader)


def statements(template: dict, policy: str) -> list[dict]:
    """The statements of a managed policy, those included that stand under a condition."""
    document = template["Resources"][policy]["Properties"]["PolicyDocument"]
    found = [item["Fn::If"][1] if "Fn::If" in item else item for item in document["Statement"]]
    return [{**statement, "Action": as_list(statement["Action"])} for statement in found]


def as_list(value: object) -> list:
    return value if isinstance(value, list) else [value]
