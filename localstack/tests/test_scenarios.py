from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import scenarios


class ScenariosTest(unittest.TestCase):
    def test_every_scenario_has_its_state_machine_and_its_answers(self) -> None:
        mocks = json.loads((scenarios.FOLDER / "mocks.json").read_text())
        definitions = {path.name.removesuffix(".asl.json") for path in scenarios.FOLDER.glob("*.asl.json")}
        self.assertEqual(definitions, set(scenarios.SCENARIOS))
        for name, scenario in scenarios.SCENARIOS.items():
            if case := scenario.get("mock_case"):
                states = json.loads((scenarios.FOLDER / f"{name}.asl.json").read_text())
                for state, answer in mocks["StateMachines"][name]["TestCases"][case].items():
                    self.assertIn(f'"{state}": {{', json.dumps(states))
                    self.assertIn(answer, mocks["MockedResponses"])

    def test_an_endpoint_that_is_not_on_this_machine_is_refused(self) -> None:
        for endpoint in ("https://sqs.us-east-1.amazonaws.com", "http://10.0.0.7:4566", "http://127.0.0.1.example.com"):
            said = io.StringIO()
            with mock.patch.dict(os.environ, AWS_ENDPOINT_URL=endpoint), contextlib.redirect_stderr(said):
                self.assertEqual(scenarios.main(["create"]), 1)
            self.assertIn("is not on this machine", said.getvalue())

    def test_each_prefix_makes_the_mock_file_look_newer(self) -> None:
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            path = Path(folder) / "mocks.json"
            shutil.copy(scenarios.FOLDER / "mocks.json", path)
            stack.enter_context(mock.patch.dict(os.environ, MISSTEP_TEST_MOCKS=str(path)))
            seconds = [int(path.stat().st_mtime)]
            for prefix in ("a", "b", "c"):
                scenarios.mock_also_as(prefix, list(scenarios.SCENARIOS))
                seconds.append(int(path.stat().st_mtime))
            self.assertEqual(sorted(set(seconds)), seconds)
            machines = json.loads(path.read_text())["StateMachines"]
        self.assertLessEqual({"a-lambda-throttled", "b-map-fourth-item", "c-parallel-branch"}, machines.keys())
