"""Is the learning rate that the optimizer uses the one that was promised?

python benchmarks/lr_truth.py --json

One row per schedule of torch and transformers, operation on it, and moment at which the run
was saved, resumed or branched. The rates are read from the steered run's optimizer at every
step and compared with those of the plain schedule on an optimizer that nobody steers.
``max_abs_err`` covers the schedule made by name and the one that a script brought along.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from report import circumstances
from rich.console import Console
from rich.table import Table

# The promise stands once, beside the test that holds it.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "unit" / "interactive"))
from lr_promises import table

SCHEMA = "neuralos.benchmark.lr_truth/1"
PACKAGES = ("torch", "transformers")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(as_json: bool) -> None:
    rows = list(table())
    wrong = sum(row["max_abs_err"] != 0.0 for row in rows)
    if as_json:
        report = {"schema": SCHEMA, "rows": rows, "wrong": wrong, **circumstances(PACKAGES)}
        print(json.dumps(report))
    else:
        print_rows(rows)
    sys.exit(1 if wrong else 0)


def print_rows(rows: list[dict[str, object]]) -> None:
    printed = Table("schedule", "operation", "moment", "steps", "largest error")
    for row in rows:
        printed.add_row(*map(str, row.values()))
    Console().print(printed)


if __name__ == "__main__":
    main()
