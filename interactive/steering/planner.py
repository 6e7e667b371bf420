"""What a command would do to a run: checked against the state, and not yet done."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
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
from interactive.steering.collisions import collide
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
        paused = self._state.is_held(self._trainer.step)
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
            case Step(steps=steps):
                after = self._trainer.step + steps
                return _plan(
                    {"paused": paused}, {"steps": steps}, {"paused": False, "pause_after": after}
                )
            case Batch():
                return self._batch(command)
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
            apply=lambda: self._all_or_nothing(lambda: self._trainer.load(folder)),
        )

    def _batch(self, command: Batch) -> Plan | Rejected:
        """Plan every change against the present state, in which none of the others is made."""
        plans: list[Plan] = []
        for number, part in enumerate(command.commands, start=1):
            name = f"number {number} of the batch ({part.command})"
            other = next((o for o in command.commands[: number - 1] if collide(o, part)), None)
            if other is not None:
                hint = f"{name} changes what {other.command} before it changes: send it alone"
                return Rejected(Reason.UNSUPPORTED, hint)
            planned = self._trainer.plan(part)
            if isinstance(planned, Rejected):
                return Rejected(planned.code, f"{name}: {planned.hint}")
            plans.append(planned)

        def apply_all() -> None:
            for plan in plans:
                plan.apply()

        return Plan(
            old={"commands": [plan.old for plan in plans]},
            requested={"commands": [plan.requested for plan in plans]},
            effective={"commands": [plan.effective for plan in plans]},
            apply=lambda: self._all_or_nothing(apply_all),
        )

    def _all_or_nothing(self, act: Callable[[], None]) -> None:
        """Change the trainer; what fails half-way leaves the state that was."""
        self._checkpoints.folder.mkdir(exist_ok=True)
        before = Path(tempfile.mkdtemp(prefix=".partial-", dir=self._checkpoints.folder))
        try:
            self._trainer.save(before)
            try:
                act()
            except Exception:
                self._trainer.load(before)
                raise
        finally:
            shutil.rmtree(before, ignore_errors=True)


def _plan(old: Mapping[str, Any], requested: Mapping[str, Any], new: Mapping[str, Any]) -> Plan:
    return Plan(old, requested, new, apply=lambda: None)
