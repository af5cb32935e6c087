"""A copy of the module that Terraform's AWS provider 3.39.0 understands, and Terraform run on it.

That provider is the newest one to be had without Terraform's own registry, and older than the module
asks for. So the copy asks for it, and leaves out what it does not know; `test_schema.py` holds what that is,
and compares it with a newer provider's schema.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Iterator

from . import tools

MODULE = tools.INFRA / "terraform"
PROVIDER = "3.39.0"
# What is replaced in the copy, for which this provider has another name or none.
REPLACED = [
    (r'version = ">= 6\.8"', f'version = "{PROVIDER}"'),
    (r"^ +\w+ += local\.(?:max_message_size|sqs_managed_sse_enabled)\n", ""),
    (r'^resource "aws_sqs_queue_redrive_allow_policy" .*?^}\n', ""),
    (r"data\.aws_region\.here\.region", "data.aws_region.here.name"),
    (r'(mock_data "aws_region" \{\n +defaults = \{) region =', r"\1 name ="),
    (r"^ +deletion_protection_enabled = true\n\n?", ""),
    (r"^ +runtime_platform \{.*?\}\n", ""),
]
# The example's file with metric math of scaling.
LEFT_OUT = "examples/fargate/backlog.tf"


class Terraform:
    def __init__(self, command: list[str], folder: Path, settings: Path):
        self.folder = folder
        self._command = command
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
        self._environment = {
            **inherited,
            "TF_CLI_CONFIG_FILE": str(settings),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return tools.run([*self._command, *arguments], cwd=self.folder, env=self._environment)

    def must(self, *arguments: str) -> str:
        done = self.run(*arguments)
        if done.returncode != 0:
            raise AssertionError(
                f"`terraform {' '.join(arguments)}` ended with {done.returncode}:\n{done.stdout}{done.stderr}"
            )
        return done.stdout


@contextlib.contextmanager
def copied_module() -> Iterator[Terraform]:
    """The module's copy, initialised."""
    with scratch() as (command, folder, settings):
        copy = folder / "module"
        copy_module(copy)
        terraform = Terraform(command, copy, settings)
        terraform.must("init", "-input=false", "-no-color")
        yield terraform


@contextlib.contextmanager
def applied(endpoint: str, **arguments: object) -> Iterator[Terraform]:
    """The module applied to LocalStack; destroyed at the end, whatever happens."""
    with scratch() as (command, folder, settings):
        copy_module(folder / "module")
        write_root(folder, endpoint, **arguments)
        terraform = Terraform(command, folder, settings)
        terraform.must("init", "-input=false", "-no-color")
        try:
            apply(terraform)
            yield terraform
        finally:
            terraform.must("destroy", "-auto-approve", "-input=false", "-no-color")


def write_root(folder: Path, endpoint: str, **arguments: object) -> None:
    """What calls the copy of the module."""
    root = {
        "provider": {"aws": provider(endpoint)},
        "module": {"misstep": {"source": "./module", **arguments}},
        "output": {"misstep": {"value": "${module.misstep}"}},
    }
    (folder / "main.tf.json").write_text(json.dumps(root))


def apply(terraform: Terraform) -> None:
    terraform.must("apply", "-auto-approve", "-input=false", "-no-color")


@contextlib.contextmanager
def scratch() -> Iterator[tuple[list[str], Path, Path]]:
    command, mirror = tools.need(tools.terraform), tools.need(tools.aws_provider)
    with tempfile.TemporaryDirectory(prefix="misstep-terraform-") as name:
        settings = Path(name) / "terraformrc"
        settings.write_text(f'provider_installation {{\n  filesystem_mirror {{\n    path = "{mirror}"\n  }}\n}}\n')
        yield command, Path(name), settings


def copy_module(to: Path) -> None:
    """The module with its example."""
    shutil.copytree(MODULE, to, ignore=shutil.ignore_patterns(".terraform*"))
    (to / LEFT_OUT).unlink()
    files = {file: file.read_text() for kind in ("*.tf", "*.hcl") for file in to.rglob(kind)}
    for pattern, replacement in REPLACED:
        found = 0
        for file, text in files.items():
            files[file], count = re.subn(pattern, replacement, text, flags=re.M | re.S)
            found += count
        assert found, f"nothing in the module is as it is replaced here: {pattern}"
    for file, text in files.items():
        file.write_text(text)
    tools.say(f"with AWS provider {PROVIDER}, and without what it does not know")


def provider(endpoint: str) -> dict:
    services = ["sqs", "cloudwatchevents", "cloudwatch", "iam", "sts"]
    return {
        "region": "us-east-1",
        "access_key": "test",
        "secret_key": "test",
        "endpoints": {service: endpoint for service in services},
        "skip_credentials_validation": True,
        "skip_metadata_api_check": True,
        "skip_requesting_account_id": True,
        # Otherwise it asks EC2, in vain, for half a minute.
        "skip_get_ec2_platforms": True,
    }
