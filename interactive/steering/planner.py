"""What a command would do to a run: checked against the state, and not yet done."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interactive.commands import (
    Batch,
    Command,
    Evaluate,
    LoadCheckpoint,
    Note,
    Pause,
    Resume,
    SaveCheckpoint,
    Step,
    Stop,
)
from interactive.outcome import Reason, Rejected
from interactive.record.branch import RunState
from interactive.record.checkpoints import CheckpointDamaged, CheckpointLibrary
from interactive.trainer import ControllableTrainer, Plan

_LONGEST_BRANCH = 48
"""Characters: a checkpoint's id is the branch's name and a step, and is itself a name."""


class Planner:
    """Turns commands into plans, for a live run and for a replay alike.

    Args:
        trainer: what the commands steer.
        state: what the ledger adds up to.
        checkpoints: where ``load_checkpoint`` finds its files.
    """

    def __init__(
        self, trainer: ControllableTrainer, state: RunState, checkpoints: CheckpointLibrary
    ) -> None:
        self._trainer = trainer
        self._state = state
        self._checkpoints = checkpoints

    def plan(self, command: Command) -> Plan | Rejected:
        """Say what a command would change, or why it cannot.

        A plan's ``apply`` changes the trainer only. Saving, evaluating and stopping change
        nothing in it, so their plans do nothing.
        """
        paused = self._state.paused
        match command:
            case Pause():
                return _plan({"paused": paused}, {}, {"paused": True})
            case Resume():
                return _plan({"paused": paused}, {}, {"paused": False})
            case Stop():
                return _plan({"running": True}, {}, {"running": False})
            case Evaluate():
                return self._evaluate(command)
            case SaveCheckpoint():
                name = self._state.free_checkpoint_id(self._trainer.step)
                return _plan({}, {}, {"checkpoint": name})
            case LoadCheckpoint():
                return self._load(command)
            case Note():
                return _plan({}, {}, {})
            case Step() | Batch():
                return Rejected(Reason.UNSUPPORTED, "not yet")
            case _:
                return self._trainer.plan(command)

    def _evaluate(self, command: Evaluate) -> Plan | Rejected:
        names = self._trainer.evaluations
        if command.evaluation not in names:
            known = ", ".join(names) or "none"
            return Rejected(Reason.UNKNOWN_EVALUATION, f"the evaluations are: {known}")
        asked = {"evaluation": command.evaluation}
        return _plan({}, asked, asked)

    def _load(self, command: LoadCheckpoint) -> Plan | Rejected:
        state = self._state
        if command.checkpoint not in state.checkpoints:
            latest = next(reversed(state.checkpoints), None)
            hint = f"latest is {latest}" if latest else "there is none yet: save_checkpoint first"
            return Rejected(Reason.UNKNOWN_CHECKPOINT, hint)
        branch = command.branch or state.free_branch_name()
        if branch in state.branches:
            return Rejected(
                Reason.BRANCH_EXISTS, f"free is {state.free_branch_name()}; or leave the name out"
            )
        if len(branch) > _LONGEST_BRANCH:
            return Rejected(Reason.OUT_OF_BOUNDS, f"at most {_LONGEST_BRANCH} characters")
        try:
            manifest = self._checkpoints.verify(command.checkpoint)
        except CheckpointDamaged as error:
            newest, _ = self._checkpoints.newest_whole()
            other = f"; newest whole one is {newest.id}" if newest else ""
            return Rejected(Reason.UNKNOWN_CHECKPOINT, f"{error}{other}")
        folder = self._checkpoints.path(manifest.id)
        return Plan(
            old={"branch": state.branch, "step": self._trainer.step},
            requested=command.model_dump(exclude={"command"}),
            effective={
                "branch": branch,
                "checkpoint": manifest.id,
                "step": manifest.step,
                "mark": manifest.mark,
            },
            apply=lambda: self._load_or_keep(folder),
        )

    def _load_or_keep(self, folder: Path) -> None:
        """Load a checkpoint; a load that fails half-way leaves the state that was."""
        self._checkpoints.folder.mkdir(exist_ok=True)
        before = Path(tempfile.mkdtemp(prefix=".partial-", dir=self._checkpoints.folder))
        try:
            self._trainer.save(before)
            try:
                self._trainer.load(folder)
            except Exception:
                self._trainer.load(before)
                raise
        finally:
            shutil.rmtree(before, ignore_errors=True)


def _plan(old: Mapping[str, Any], requested: Mapping[str, Any], new: Mapping[str, Any]) -> Plan:
    return Plan(old, requested, new, apply=lambda: None)
