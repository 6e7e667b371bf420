"""What becomes of hostile commands sent to a run that trains, and does any stop it?

python benchmarks/hostile_commands.py --json

A fake trainer takes its steps behind the real application and boundary, in one process. Before
each step up to 8 bodies come: drawn from the envelope's JSON schema, bent in one to three places,
written by hand after what broke public predecessors, damaged bytes, and ids sent again. A plain
``stop`` is left out: it may end a run. The state before and after each boundary is compared with
the ledger, and in the end the run is replayed.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from report import circumstances
from rich.console import Console
from rich.table import Table

from interactive.replaying.replay import replay

SCHEMA = "neuralos.benchmark.hostile_commands/1"
PACKAGES = ("pydantic", "fastapi", "starlette")


def measure(count: int, seed: int) -> dict[str, Any]:
    """Return the row of one run: what was sent, and what became of it."""
    # The trainer and the commands are the tests' own.
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.hostile_run import run_hostile

    with tempfile.TemporaryDirectory() as folder:
        tally = run_hostile(Path(folder) / "run", count, seed)
        report = replay(Path(folder) / "run")
    row = asdict(tally)
    return {
        "seed": seed,
        **row,
        "refused": dict(tally.refused.most_common()),
        "met": dict(tally.met.most_common()),
        "applied": tally.met["applied"],
        "replayed_identical": report.identical,
    }


@click.command()
@click.option("--count", default=10_000, show_default=True, help="Commands of each run.")
@click.option("--seeds", default=1, show_default=True, help="Runs, with the seeds 1, 2, …")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def main(count: int, seeds: int, as_json: bool) -> None:
    """Send hostile commands and count what becomes of them."""
    rows = [measure(count, seed) for seed in range(1, seeds + 1)]
    if as_json:
        click.echo(json.dumps({"schema": SCHEMA, "rows": rows, **circumstances(PACKAGES)}))
        return
    for row in rows:
        table = Table(
            "what",
            "commands",
            title=f"seed {row['seed']}: {row['sent']} sent, {row['steps']} steps",
        )
        for code, times in row["refused"].items():
            table.add_row(f"refused at once: {code}", str(times))
        for state, times in row["met"].items():
            table.add_row(f"at a boundary: {state}", str(times))
        for name in ("held", "stops", "replayed_identical"):
            table.add_row(name, str(row[name]))
        table.add_row("unexplained", str(len(row["unexplained"])))
        Console().print(table)


if __name__ == "__main__":
    main()
