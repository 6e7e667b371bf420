"""``neuralos doctor``."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table

from experiments.console import Failure, Status, emit, json_option
from experiments.doctor import examine


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Say what is here (GPU, display, programs, W&B login) and how to get what is not.

    Exits with 4 when something is missing without which nothing works.
    """
    checks = examine()
    if not as_json:
        table = Table("check", "", "found", "to mend")
        for check in checks:
            mark = "[green]ok" if check.ok else "[red]missing" if check.needed else "[yellow]no"
            table.add_row(check.name, mark, check.found, check.mend)
        Console().print(table)
    broken = [check for check in checks if check.needed and not check.ok]
    if broken:
        first = broken[0]
        raise Failure(Status.ENVIRONMENT, "missing", f"{first.name}: {first.found}.", first.mend)
    emit("doctor", {"checks": [asdict(check) for check in checks]}, as_json=as_json)
