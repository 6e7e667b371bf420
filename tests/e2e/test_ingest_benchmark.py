"""The benchmark of ingest runs, and every clip that was acknowledged is stored."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.harness import environment

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "ingest.py"


@pytest.mark.nightly
def test_the_benchmark_of_ingest_counts_what_is_stored() -> None:
    words = ["--seconds", "3", "--clients", "1,4", "--with-trainer", "", "--json"]
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), *words],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=300,
        check=True,
    )
    report = json.loads(done.stdout.splitlines()[-1])
    assert {"schema", "rows", "machine", "versions"} <= set(report)
    assert report["equal"]
    assert [(row["clients"], row["stored"]) for row in report["rows"]] == [(1, 3), (4, 12)]
    assert all(row["refused"] == [] for row in report["rows"])
