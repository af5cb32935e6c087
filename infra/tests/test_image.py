"""The image's recipe. It is linted and read, not built: there need be no container engine here."""

from __future__ import annotations

import re
import tempfile
import unittest
from pathlib import Path

from . import image_tools, tools

DOCKERFILE = tools.ROOT / "Dockerfile"


def instructions(text: str) -> list[tuple[str, str]]:
    """`("FROM", "rust:1.95 AS build")` and so on, in their order."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in joined.splitlines()]


def faults(text: str) -> list[str]:
    """What of the promises in the recipe's own comments does not hold."""
    steps = instructions(text)
    bases = [what for word, what in steps if word == "FROM"]
    final = steps[max(at for at, (word, _) in enumerate(steps) if word == "FROM") :]
    last = dict(final)
    found = []
    toolchain = re.match(r"rust:(\d+\.\d+)\.\d+-slim-(\w+) AS build$", bases[0])
    needed = re.search(r'^rust-version = "([\d.]+)"', (tools.ROOT / "Cargo.toml").read_text(), re.M)[1]
    if not toolchain or tools.version(toolchain[1]) < tools.version(needed):
        found.append("the toolchain is not pinned, or older than Cargo.toml asks for")
    if not re.fullmatch(r"gcr\.io/distroless/cc-debian13:nonroot", bases[-1]) or (
        toolchain and toolchain[2] != "trixie"
    ):
        found.append("the two images do not share Debian 13 and its C library")
    if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", last.get("USER", "")):
        found.append("the user is not a number other than root's")
    if last.get("STOPSIGNAL") != "SIGTERM":
        found.append("the signal to stop is not the one that drains")
    if (last.get("ENTRYPOINT"), last.get("CMD")) != ('["/usr/local/bin/misstep"]', '["work"]'):
        found.append("it does not run `misstep work` without a shell")
    if not last.get("HEALTHCHECK", "").endswith('CMD ["/usr/local/bin/misstep", "health"]'):
        found.append("its health is not asked for without a shell")
    if any(word in ("RUN", "SHELL") for word, _ in final):
        found.append("something is run where there is no shell")
    port = re.search(r"MISSTEP_ADMIN_ADDR=0\.0\.0\.0:(\d+)", last.get("ENV", ""))
    if not port or port[1] != last.get("EXPOSE"):
        found.append("the admin address and the exposed port differ")
    return found


def sent_to_the_engine(ignored: str, path: str) -> bool:
    """Whether `.dockerignore` lets a path through; knows the few forms that are used here."""
    sent = True
    for line in ignored.splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!")
            if pattern == "*" or path == pattern or path.startswith(f"{pattern}/"):
                sent = line.startswith("!")
    return sent


class ImageTest(unittest.TestCase):
    def hadolint(self, text: str) -> str:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "Dockerfile"
            file.write_text(text)
            return tools.run([tools.need(image_tools.hadolint), "--no-color", file]).stdout

    def test_hadolint_has_nothing_to_say(self) -> None:
        good = DOCKERFILE.read_text()
        self.assertEqual(self.hadolint(good), "")
        # It sees what is wrong:
        self.assertIn("DL3007", self.hadolint(good.replace("rust:1.95.0-slim-trixie", "rust:latest")))
        self.assertIn("DL3020", self.hadolint(good.replace("COPY src src", "ADD src src")))

    def test_it_keeps_its_promises(self) -> None:
        good = DOCKERFILE.read_text()
        self.assertEqual(faults(good), [])
        slips = {
            "rust:1.95.0": "rust:1.80.0",
            "slim-trixie": "slim-bookworm",
            "USER 65532:65532": "USER root",
            "STOPSIGNAL SIGTERM": "STOPSIGNAL SIGKILL",
            'ENTRYPOINT ["/usr/local/bin/misstep"]': "ENTRYPOINT misstep",
            "EXPOSE 9108": "EXPOSE 9109",
            'CMD ["/usr/local/bin/misstep", "health"]': "CMD misstep health",
            "USER 65532": "RUN true\nUSER 65532",
        }
        for right, wrong in slips.items():
            with self.subTest(wrong):
                self.assertIn(right, good)
                self.assertEqual(len(faults(good.replace(right, wrong))), 1)

    def test_what_is_copied_is_sent_to_the_engine_and_secrets_are_not(self) -> None:
        ignored = (tools.ROOT / ".dockerignore").read_text()
        copied = [
            path
            for word, what in instructions(DOCKERFILE.read_text())
            if word == "COPY" and "--from" not in what
            for path in what.split()[:-1]
        ]
        self.assertEqual(copied, ["Cargo.toml", "Cargo.lock", "src"])
        for path in copied:
            self.assertTrue((tools.ROOT / path).exists() and sent_to_the_engine(ignored, path), path)
        for path in ["target/release/misstep", ".git/config", ".env", "infra/misstep.yaml"]:
            self.assertFalse(sent_to_the_engine(ignored, path), path)

    def test_the_program_is_made_of_nothing_else(self) -> None:
        """A file that is included from outside `src` would be missing where the image is built."""
        for file in (tools.ROOT / "src").rglob("*.rs"):
            for name in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', file.read_text()):
                inside = (file.parent / name).resolve().is_relative_to(tools.ROOT / "src")
                is_test = file.name == "tests.rs" or file.stem.endswith("_tests")
                self.assertTrue(inside or is_test, f"{file} includes {name}")


if __name__ == "__main__":
    unittest.main()
