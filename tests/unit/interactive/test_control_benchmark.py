"""The benchmark of the control plane's cost runs and says what it promises; not how fast."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.harness import environment

ROOT = Path(__file__).parents[3]


@pytest.mark.nightly
def test_the_benchmark_of_the_overhead_runs() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/control_overhead.py", "--quick", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=environment(),
        timeout=300,
        check=True,
    )
    report = json.loads(done.stdout.splitlines()[-1])
    assert {"schema", "rows", "machine", "versions"} <= set(report)
    rows = {(row["case"], row["quantity"]): row for row in report["rows"]}
    targets = {key for key, row in rows.items() if row["target"] is not None}
    assert targets == {
        ("boundary", "cross, no command"),
        ("served", "served / bare, by round"),
        ("two ranks", "cross on rank 0"),
        ("two ranks", "cross on rank 1"),
    }
    assert rows["served", "answers to three clients"]["p50"] > 0
