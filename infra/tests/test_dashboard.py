"""The dashboard: what it asks for exists, and everything that exists is asked for."""

from __future__ import annotations

import json
import re
import tempfile
import unittest
from pathlib import Path

from . import image_tools, named_metrics, tools

DASHBOARD = tools.INFRA / "grafana" / "misstep.json"
# Grafana puts these in, and the first into nothing that PromQL knows.
VARIABLES = {"$__rate_interval": "5m"}


def queries(dashboard: dict) -> dict[str, list[str]]:
    """The queries of each panel, by its title."""
    return {panel["title"]: [target["expr"] for target in panel["targets"]] for panel in dashboard["panels"]}


class DashboardTest(unittest.TestCase):
    def setUp(self) -> None:
        self.dashboard = json.loads(DASHBOARD.read_text())
        self.queries = queries(self.dashboard)

    def test_what_it_asks_for_exists(self) -> None:
        metrics = tools.need(named_metrics.known)
        for title, asked in self.queries.items():
            for query in asked:
                with self.subTest(title):
                    self.assertEqual(named_metrics.faults(query, metrics), [])
        for variable in self.dashboard["templating"]["list"]:
            for name in re.findall(r"misstep_\w+", variable["query"]):
                self.assertIn(name, metrics)
        slip = self.queries["Breakers"][0].replace("by (breaker)", "by (route)")
        self.assertEqual(named_metrics.faults(slip, metrics), ["by route"])

    def test_every_metric_is_on_it(self) -> None:
        asked = " ".join(query for of_panel in self.queries.values() for query in of_panel)
        missing = [name for name in tools.need(named_metrics.known) if not re.search(rf"\b{name}(_bucket)?\b", asked)]
        self.assertEqual(missing, [])

    def test_legends_name_labels_that_the_query_keeps(self) -> None:
        for panel in self.dashboard["panels"]:
            for target in panel["targets"]:
                kept = re.search(r"by \(([^)]*)\) \((?!.*by \()", target["expr"])
                labels = set(kept[1].split(", ")) - {"le"} if kept else {"instance"}
                named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
                with self.subTest(panel["title"], query=target["expr"]):
                    self.assertLessEqual(named, labels)

    def test_its_queries_are_promql(self) -> None:
        """`promtool` parses expressions only within rules."""
        promtool = tools.need(image_tools.promtool)

        def refused(asked: list[str]) -> str:
            for variable, value in VARIABLES.items():
                asked = [query.replace(variable, value) for query in asked]
            rules = [{"record": f"panel:{at}", "expr": query} for at, query in enumerate(asked)]
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "rules.yaml"
                file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
                done = tools.run([promtool, "check", "rules", file])
                return "" if done.returncode == 0 else done.stdout + done.stderr

        all_of_them = [query for asked in self.queries.values() for query in asked]
        self.assertEqual(refused(all_of_them), "")
        self.assertIn("parse error", refused([all_of_them[0] + ")"]))

    def test_panels_stand_beside_each_other(self) -> None:
        taken: dict[tuple[int, int], str] = {}
        for panel in self.dashboard["panels"]:
            at = panel["gridPos"]
            self.assertLessEqual(at["x"] + at["w"], 24, panel["title"])
            for x in range(at["x"], at["x"] + at["w"]):
                for y in range(at["y"], at["y"] + at["h"]):
                    self.assertIsNone(taken.get((x, y)), panel["title"])
                    taken[x, y] = panel["title"]
        ids = [panel["id"] for panel in self.dashboard["panels"]]
        self.assertEqual(len(ids), len(set(ids)))


if __name__ == "__main__":
    unittest.main()
