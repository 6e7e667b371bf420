"""Which changes of the trainer cannot be made before the same step: each would void the other."""

from __future__ import annotations

from interactive.commands import (
    ModuleOperation,
    TrainerCommand,
    UpdateDataset,
    UpdateMixture,
    UpdateOptimizer,
    UpdateSetting,
)


def collide(one: TrainerCommand, other: TrainerCommand) -> bool:
    """Return whether two commands change the same thing.

    Both are planned against the state before either: of two changes of one thing, the second
    would be recorded with an old value that it does not find.
    """
    if isinstance(one, UpdateOptimizer) and isinstance(other, UpdateOptimizer):
        is_shared = one.group is None or other.group is None or one.group == other.group
        return is_shared and bool(one.changes().keys() & other.changes().keys())
    return bool(_touched(one) & _touched(other))


def _touched(command: TrainerCommand) -> set[str]:
    """Return names of what a command changes."""
    match command:
        case UpdateOptimizer():
            # A schedule may drive the momentum or the first beta as well.
            cycled = {"lr", "momentum", "beta1"}
            return {"schedule"} if cycled & command.changes().keys() else set()
        case UpdateMixture() | UpdateDataset():
            return {"data"}
        case UpdateSetting():
            return {f"setting {command.setting}"}
        case ModuleOperation():
            return {f"module {command.module}"}
        case _:
            return {"schedule"}
