"""The CloudFormation template as data (`!GetAtt Queue.Arn` becomes `{"Fn::GetAtt": ["Queue", "Arn"]}`), and
what cfn-lint has to say of one."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import yaml

from . import tools

TEMPLATE = tools.INFRA / "misstep.yaml"


class _Loader(yaml.SafeLoader):
    pass


def _function(loader: _Loader, suffix: str, node: yaml.Node) -> dict:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if suffix == "GetAtt":
        return {name: loader.construct_scalar(node).split(".", 1)}
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _function)


def load() -> dict:
    return parse(TEMPLATE.read_text())


def parse(text: str) -> dict:
    return yaml.load(text, _Loader)


def statements(template: dict, policy: str) -> list[dict]:
    """The statements of a managed policy, those included that stand under a condition."""
    document = template["Resources"][policy]["Properties"]["PolicyDocument"]
    found = [item["Fn::If"][1] if "Fn::If" in item else item for item in document["Statement"]]
    return [{**statement, "Action": as_list(statement["Action"])} for statement in found]


def as_list(value: object) -> list:
    return value if isinstance(value, list) else [value]


def complaints(template: str) -> set[str]:
    """The codes of cfn-lint's complaints. That IAM does not know a type of resource for an action is
    only "information" to it, and asked for."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "template.yaml"
        file.write_text(template)
        lint = [*tools.need(tools.cfn_lint), "--include-checks", "I", "--format", "parseable", "--"]
        done = tools.run([*lint, file])
    found = set(re.findall(r":([EWI]\d{4}):", done.stdout))
    if bool(found) != bool(done.returncode):
        raise AssertionError(f"cfn-lint ended with {done.returncode}: {done.stdout}{done.stderr}")
    return found


def complaints_about(document: dict) -> set[str]:
    """Those about a policy in which every ARN stands as it is: only such are looked at as ARNs."""
    policy = {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": document}}
    found = complaints(json.dumps({"Resources": {"Policy": policy}}))
    return found - {"I3042"}  # which wants no ARN to stand as it is
