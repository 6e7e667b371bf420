"""What every test may rely on."""

from __future__ import annotations

import os
import shutil

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    config.addinivalue_line("markers", "needs(*programs): system programs that a test runs")
    config.addinivalue_line("markers", "nightly: too long for `make test`; `make nightly` runs it")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what cannot run here; in continuous integration a missing program is a failure."""
    for mark in item.iter_markers("needs"):
        missing = [program for program in mark.args if shutil.which(program) is None]
        if missing and os.environ.get("CI") == "true":
            pytest.fail(f"continuous integration lacks {', '.join(missing)}")
        if missing:
            pytest.skip(f"needs {', '.join(missing)}; `make test` says how to install them")
