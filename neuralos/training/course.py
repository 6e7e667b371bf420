"""Where a run stands in its sequence of stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from neuralos.training.stages import Stage


class Course:
    """The stages of a run and the one it is in: a function of steps made and commands alone."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = {stage.name: stage for stage in stages}
        self._stage = stages[0]
        self._began = 0

    @property
    def stage(self) -> Stage:
        """The stage that the next step belongs to."""
        return self._stage

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all stages, in order."""
        return tuple(self._stages)

    def steps_left(self, step: int) -> int | None:
        """Return how many steps are left after ``step``; None where the stage has no end."""
        if self._stage.steps == 0 or self.next_name() is None:
            return None
        return max(0, self._began + self._stage.steps - step)

    def next_name(self) -> str | None:
        """Return the name of the stage that follows; None in the last, which does not end."""
        index = self.names.index(self._stage.name) + 1
        return self.names[index] if index < len(self.names) else None

    def begin(self, name: str, step: int) -> None:
        """Let a stage begin after ``step``, whatever was left of the one before."""
        self._stage = self._stages[name]
        self._began = step

    def state_dict(self) -> dict[str, Any]:
        """Return where the run stands, as a JSON object."""
        return {"stage": self._stage.name, "began": self._began}

    def check(self, state: dict[str, Any]) -> None:
        """Refuse ``state_dict``'s object of a run that had other stages.

        Raises:
            ValueError: there is no such stage now.
        """
        if state["stage"] not in self._stages:
            raise ValueError(f"stage {state['stage']!r} is not among {', '.join(self._stages)}")

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore ``state_dict``'s object.

        Raises:
            ValueError: as ``check``.
        """
        self.check(state)
        self.begin(state["stage"], state["began"])
