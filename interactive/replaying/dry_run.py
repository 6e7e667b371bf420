"""Tries a command on a fork of a run: what would it do to the loss?"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any, get_args

from interactive.commands import COMMAND, Batch, Command, TrainerCommand
from interactive.outcome import Reason, Rejected
from interactive.record.branch import RunState, failed_seqs
from interactive.record.checkpoints import CheckpointDamaged, CheckpointLibrary, Manifest
from interactive.record.ledger import read_ledger
from interactive.record.metrics import json_safe
from interactive.record.run_folder import RunFolder, RunFolderError
from interactive.replaying.rerun_folder import shadow
from interactive.steering.planner import Planner
from interactive.trainer import SteppingTrainer


class NoCheckpoint(RunFolderError):
    """There is no whole checkpoint to fork from."""


def dry_run(
    run_dir: Path,
    command: Command | Mapping[str, Any],
    *,
    steps: int,
    checkpoint: str | None = None,
    progress: Callable[[int], None] = lambda steps: None,
    build_trainer: Callable[[RunFolder], SteppingTrainer] = RunFolder.build_trainer,
) -> dict[str, Any]:
    """Train a few steps from a checkpoint without and with a command; the run is only read.

    Both forks draw the same data and the same noise, so what differs is the command's doing.

    Args:
        run_dir: the run.
        command: a change of the training.
        steps: how many steps each fork makes.
        checkpoint: where to fork; the newest whole one if None.
        progress: told the number of steps made, of ``2 * steps``.
        build_trainer: makes a fresh trainer from a folder.

    Returns:
        ``base``, ``steps``, ``with`` and ``without`` (``loss`` a step, ``final``, ``mean``),
        ``delta`` (mean with, less mean without), ``refused`` (``code``, ``hint``) or None,
        ``effective`` (what the command would set).

    Raises:
        NoCheckpoint: there is nothing to fork from.
        DataLost: a step needs a clip that cannot be read.
    """
    source = RunFolder.open(run_dir, writable=False)
    if isinstance(command, Mapping):
        command = COMMAND.validate_json(json.dumps(command))
    library = CheckpointLibrary(source.checkpoints)
    base = _find(library, checkpoint)
    result: dict[str, Any] = {"base": base.id, "steps": steps, "with": None, "without": None}
    result |= {"delta": None, "effective": None, "refused": None}
    with tempfile.TemporaryDirectory(prefix="dry-run-") as name:
        fork = RunFolder(Path(name))
        shadow(fork, source, source.config.read_text("utf-8"))
        trainer = build_trainer(fork)
        trainer.load(library.path(base.id))
        planner = Planner(trainer, _state(source, base), CheckpointLibrary(fork.checkpoints))
        planned = _changes(command) or planner.plan(command)
        if isinstance(planned, Rejected):
            return {**result, "refused": {"code": planned.code.value, "hint": planned.hint}}
        without = _losses(trainer, steps, progress)
        trainer.load(library.path(base.id))
        # Planned again: a plan is made against the state in which it is applied.
        planned = planner.plan(command)
        assert not isinstance(planned, Rejected)
        planned.apply()
        changed = _losses(trainer, steps, lambda made: progress(steps + made))
    result |= {"with": _curve(changed), "without": _curve(without)}
    result["delta"] = json_safe(fmean(changed) - fmean(without))
    result["effective"] = json_safe(planned.effective)
    return result


def _find(library: CheckpointLibrary, checkpoint: str | None) -> Manifest:
    hint = "wait for a checkpoint, or ask for one with save_checkpoint"
    if checkpoint is None:
        newest, _ = library.newest_whole()
        if newest is None:
            raise NoCheckpoint("the run has no whole checkpoint", hint)
        return newest
    known = {manifest.id for manifest in library.manifests()}
    if checkpoint not in known:
        raise NoCheckpoint(f"there is no checkpoint {checkpoint!r}", f"there are {sorted(known)}")
    try:
        return library.verify(checkpoint)
    except CheckpointDamaged as error:
        raise NoCheckpoint(str(error), "name another one") from error


def _state(source: RunFolder, base: Manifest) -> RunState:
    entries = read_ledger(source.ledger)
    return RunState.of(entries[: base.ledger_entries], failed_seqs(entries))


def _changes(command: Command) -> Rejected | None:
    if isinstance(command, (*get_args(TrainerCommand), Batch)):
        return None
    return Rejected(Reason.UNSUPPORTED, f"{command.command} changes nothing that a step would show")


def _losses(trainer: SteppingTrainer, steps: int, progress: Callable[[int], None]) -> list[float]:
    losses = []
    for number in range(1, steps + 1):
        losses.append(trainer.train_step().loss)
        progress(number)
    return losses


def _curve(losses: list[float]) -> dict[str, Any]:
    return dict(json_safe({"loss": losses, "final": losses[-1], "mean": fmean(losses)}))
