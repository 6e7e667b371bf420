"""A fork from the command line: made, and trained for a while without a server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.config import run_steering
from interactive.integrations.worker import run_worker
from interactive.record.checkpoints import CheckpointLibrary
from interactive.replaying.fork import fork


def fork_run(run: Path, checkpoint: str, out: Path, steps: int) -> dict[str, Any]:
    """Return the object of ``neuralos ctl fork``.

    Raises:
        NoCheckpoint: the checkpoint is not there, or not whole.
        RunExists: the folder is not empty.
    """
    child = fork(run, checkpoint, out)
    step = CheckpointLibrary(child.checkpoints).verify(checkpoint).step
    if steps:
        step += steps
        run_worker(child.path, cadence=replace(run_steering(child.path).cadence(), end_step=step))
    return {"run": str(child.path), "parent": dict(child.info().parent or {}), "step": step}
