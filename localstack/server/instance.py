"""One running LocalStack: its port, its folder, and the proof that what answers is it.

LocalStack that cannot have its port says so nowhere, prints "Ready." and stays, while something else
answers. So it is given a name of our making, as the machine id it reports, and is believed in only
when that name comes back.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Iterator, Mapping

from server.child import Child
from server.installation import HERE, LOG_LINES_SHOWN
from server.interrupts import Interrupts
from server.report import Failure

VERSION = "4.9.2"
HOST = "127.0.0.1"
RUNS = HERE / ".run"
MOCKS = HERE / "scenarios" / "mocks.json"
# The first start after an installation compiles the packages; on a busy machine that takes a while.
START_SECONDS = 180
PORT_ATTEMPTS = 3


class PortLost(Exception):
    """Somebody else answers on the port we meant to have."""


class Instance:
    def __init__(self, python: Path, port: int, folder: Path):
        self.port = port
        self.folder = folder
        self.log = folder / "localstack.log"
        self.name = f"misstep-{secrets.token_hex(8)}"
        self.endpoint = f"http://{HOST}:{port}"
        self._python = python
        self._write_name()
        shutil.copy(MOCKS, self.mocks)
        with open(self.log, "wb") as log:
            self.child = Child(
                # The argument is not LocalStack's: it lets `down` tell this process from any other.
                [str(python), "-m", "localstack.runtime.main", self.name],
                env=self._environment(),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @classmethod
    @contextlib.contextmanager
    def started(cls, python: Path, port: int | None, interrupts: Interrupts) -> Iterator[Instance]:
        """LocalStack for the length of a `with`; nothing of it outlives that."""
        with run_folder() as folder:
            instance = cls.start(python, port, folder, interrupts)
            try:
                yield instance
            finally:
                instance.child.stop()

    @classmethod
    def start(cls, python: Path, port: int | None, folder: Path, interrupts: Interrupts) -> Instance:
        """A LocalStack that answers and is ours. A port of our choice may be lost to somebody
        faster; then the next one is tried."""
        for _ in range(PORT_ATTEMPTS):
            instance = cls(python, free_port() if port is None else claimed(port), folder)
            try:
                instance.wait_until_ready(interrupts)
                return instance
            except BaseException as error:
                instance.child.stop()
                if not isinstance(error, PortLost):
                    raise
                if port is not None:
                    raise taken(port) from error
        raise Failure(f"lost {PORT_ATTEMPTS} free ports in a row to other programs: choose one with --port")

    @property
    def mocks(self) -> Path:
        return self.folder / "mocks.json"

    def environment_for(self, outer: Mapping[str, str]) -> dict[str, str]:
        """The environment of a command that may talk to this LocalStack and to no real account."""
        inherited = {name: value for name, value in outer.items() if not name.startswith("AWS_")}
        return {**inherited, **self.settings(outer)}

    def settings(self, outer: Mapping[str, str]) -> dict[str, str]:
        unproxied = ",".join(filter(None, [HOST, "localhost", outer.get("NO_PROXY") or outer.get("no_proxy")]))
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            # A profile of ~/.aws could name another endpoint or a real account.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": unproxied,
            "no_proxy": unproxied,
            "MISSTEP_TEST_LOCALSTACK": self.endpoint,
            "MISSTEP_TEST_PYTHON": str(self._python),
            "MISSTEP_TEST_MOCKS": str(self.mocks),
        }

    def wait_until_ready(self, interrupts: Interrupts) -> None:
        if not interrupts.wait_until(self._is_ready, START_SECONDS):
            raise Failure(f"LocalStack does not answer after {START_SECONDS} s; its log ends:\n{self._log_end()}")

    def _is_ready(self) -> bool:
        if not self.child.alive():
            raise Failure(
                f"LocalStack ended with {self.child.code()} while it started; its log ends:\n{self._log_end()}"
            )
        # In this order: an answer of somebody else's may still come while ours is on its way, but not
        # once ours says that it is there.
        says_ready = "\nReady.\n" in self.log.read_text(errors="replace")
        answer = ask(self.port, "/_localstack/info")
        if answer is None:
            return False
        if answer.get("machine_id") != self.name:
            if says_ready:
                raise PortLost
            return False
        if answer.get("version") != VERSION:
            raise Failure(f"this is LocalStack {answer.get('version')}, not {VERSION}: remove localstack/.venv")
        return bool((ask(self.port, "/_localstack/health") or {}).get("services"))

    def _log_end(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:])

    def _write_name(self) -> None:
        cache = self.folder / "root" / "var" / "lib" / "localstack" / "cache"
        cache.mkdir(parents=True, exist_ok=True)
        (cache / "machine.json").write_text(json.dumps({"machine_id": self.name}))

    def _environment(self) -> dict[str, str]:
        """Nothing of the caller's: a stray DEBUG, PERSISTENCE or proxy would change what is tested."""
        scratch = self.folder / "tmp"
        scratch.mkdir(exist_ok=True)
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            # Every file it writes, the plugin cache included, goes into the folder; in a container
            # it would otherwise take itself for its own image and write to /var/lib.
            "HOME": str(self.folder),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "TEMP": str(scratch),
            "FILESYSTEM_ROOT": str(self.folder / "root"),
            "OVERRIDE_IN_DOCKER": "0",
            # Only this server keeps to the address it is given; the default one binds 0.0.0.0.
            "GATEWAY_SERVER": "hypercorn",
            "GATEWAY_LISTEN": f"{HOST}:{self.port}",
            # Queue URLs that work for every client, without a wildcard DNS name, and that end like those of
            # AWS, in account and name: Terraform takes them apart.
            "LOCALSTACK_HOST": f"{HOST}:{self.port}",
            "SQS_ENDPOINT_STRATEGY": "off",
            "SERVICES": "cloudformation,cloudwatch,events,iam,lambda,logs,ses,sns,sqs,stepfunctions,sts",
            # The newer one loses the tags of alarms.
            "PROVIDER_OVERRIDE_CLOUDWATCH": "v1",
            "SFN_MOCK_CONFIG": str(self.mocks),
            # No telemetry, no certificate from the internet, no DNS server.
            "DISABLE_EVENTS": "1",
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "DNS_ADDRESS": "0",
        }


@contextlib.contextmanager
def run_folder() -> Iterator[Path]:
    """A folder of its own for one run; the folder of all runs goes with the last one."""
    RUNS.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=RUNS))
    try:
        yield folder
    finally:
        remove_run_folder(folder)


def remove_run_folder(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # others still run
        RUNS.rmdir()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def claimed(port: int) -> int:
    """The port, if it can be listened on now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen()
        except PermissionError as error:
            raise Failure(f"port {port} is not for everyone to listen on: choose one from 1024 on") from error
        except OSError as error:
            raise taken(port) from error
    return port


def taken(port: int) -> Failure:
    return Failure(f"port {port} on {HOST} is taken by another program: choose another --port, or none")


def ask(port: int, path: str) -> dict | None:
    """What answers on the port: a JSON object, an empty one for anything else, None for no answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", path)
        answer = json.loads(connection.getresponse().read())
        return answer if isinstance(answer, dict) else {}
    except OSError:
        return None
    except (http.client.HTTPException, ValueError):
        return {}
    finally:
        connection.close()
