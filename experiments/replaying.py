"""Replay with a progress bar."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from interactive.record.metrics import read_metrics
from interactive.record.run_folder import RunFolder
from interactive.replaying.replay import ReplayReport, replay


def replay_with_progress(run: Path, ledger: Path | None) -> ReplayReport:
    """Replay a run, showing on stderr how far it is.

    Raises:
        RunMissing: there is no run.
    """
    total = sum(1 for _ in read_metrics(RunFolder(run).metrics))
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("replay", total=total)
        return replay(run, ledger=ledger, progress=lambda steps: bar.update(task, completed=steps))
