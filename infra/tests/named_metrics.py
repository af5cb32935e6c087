"""Which metrics there are, from `docs/metrics.md`, which is made from the code; and which a query names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from . import tools

DOCUMENT = tools.ROOT / "docs" / "metrics.md"
# Prometheus puts these on everything that it scrapes, the last on pods; `le` is on the buckets of histograms.
SCRAPED = {"job", "instance", "namespace"}
HISTOGRAM = ("_bucket", "_sum", "_count")


@dataclass
class Metric:
    kind: str
    labels: set[str]
    # A label's values; empty for those that the configuration or the code names.
    values: dict[str, set[str]] = field(default_factory=dict)


def known() -> dict[str, Metric]:
    if not DOCUMENT.exists():
        raise tools.Absent("docs/metrics.md is not there, which says what metrics there are")
    text = DOCUMENT.read_text()
    words = r"((?:`\w+`(?:, )?)*)"
    metrics = {
        name: Metric(kind, set(re.findall(r"\w+", labels)))
        for name, kind, labels in re.findall(rf"^\| `(misstep_\w+)` \| (\w+) \| {words} \|", text, re.M)
    }
    for label, name, values in re.findall(r"^\| `(\w+)` \| `(misstep_\w+)` \| (.*) \|$", text, re.M):
        is_list = re.fullmatch(r"`[\w-]+`(, `[\w-]+`)*", values)
        metrics[name].values[label] = set(re.findall(r"[\w-]+", values)) if is_list else set()
    return metrics


def faults(query: str, metrics: dict[str, Metric]) -> list[str]:
    """What a query names that is not there. Labels that it groups by have to be on all its metrics."""
    found = []
    of_all: list[set[str]] = []
    for name, matchers in re.findall(r"\b(misstep_\w+)(?:\{([^}]*)\})?", query):
        metric, is_bucket = look_up(name, metrics)
        if metric is None:
            found.append(name)
            continue
        of_all.append(metric.labels | SCRAPED | ({"le"} if is_bucket else set()))
        for label, operator, value in re.findall(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"', matchers):
            if label not in metric.labels | SCRAPED:
                found.append(f"{name}: {label}")
            elif (values := metric.values.get(label)) and "$" not in value:
                given = value.split("|") if "~" in operator else [value]
                found += [f"{name}: {label}={one}" for one in given if one not in values]
    for grouped in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", query):
        for label in filter(None, (one.strip() for one in grouped.split(","))):
            if not all(label in labels for labels in of_all) and label != "job":
                found.append(f"by {label}")
    if not of_all and not found:
        found.append(f"no metric of misstep in {query!r}")
    return found


def look_up(name: str, metrics: dict[str, Metric]) -> tuple[Metric | None, bool]:
    """The metric, and whether the name is that of a histogram's buckets. A histogram has no series of
    its own name."""
    if name in metrics and metrics[name].kind != "histogram":
        return metrics[name], False
    for suffix in HISTOGRAM:
        whole = metrics.get(name.removesuffix(suffix))
        if name.endswith(suffix) and whole and whole.kind == "histogram":
            return whole, suffix == "_bucket"
    return None, False
