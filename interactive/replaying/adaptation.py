"""What a recorded command says in a run that never was: the same value, or the same ratio."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from interactive.commands import (
    COMMAND,
    Command,
    LoadCheckpoint,
    ScaleSchedule,
    UpdateOptimizer,
    UpdateSetting,
)
from interactive.outcome import Rejected
from interactive.record.durable import write_whole
from interactive.record.ledger import Entry
from interactive.replaying.altered import RECORDED_SEQ
from interactive.steering.planner import Planner

_FILE = "lost.json"


class Adaptation:
    """Carries recorded interventions over to another line of training.

    Each keeps its effective value: a factor of the schedule is what brings the total to the
    recorded one. With ``relative``, numbers keep the ratio of new to old instead. What the
    trainer refuses there has lost its object; it is kept in ``lost.json`` and passed over.

    Args:
        folder: where what is lost is kept, for a later process.
        relative: whether ratios are kept rather than values.
    """

    def __init__(self, folder: Path, *, relative: bool) -> None:
        self._file = folder / _FILE
        self._relative = relative
        self.lost: dict[int, str] = {}
        if self._file.exists():
            found = json.loads(self._file.read_text("utf-8"))
            self.lost = {int(seq): str(why) for seq, why in found.items()}

    def __call__(self, planner: Planner, entry: Entry, command: Command) -> Command | None:
        """Return the command to carry out for an entry, or None if there is none."""
        if isinstance(command, LoadCheckpoint):
            return command
        planned = planner.plan(command)
        if not isinstance(planned, Rejected):
            adapted = self._adapted(entry, command, planned.old)
            if adapted is command:
                return command
            planned = planner.plan(adapted)
            if not isinstance(planned, Rejected):
                return adapted
        self._lose(entry, planned)
        return None

    def _lose(self, entry: Entry, why: Rejected) -> None:
        seq = int(entry.body.get(RECORDED_SEQ, entry.seq))
        self.lost[seq] = f"{why.code.value}: {why.hint}"
        write_whole(self._file, json.dumps(self.lost) + "\n")

    def _adapted(self, entry: Entry, command: Command, here: Mapping[str, Any]) -> Command:
        """Return the command that has the recorded effect, given what is set here."""
        old, new = entry.body["old"], entry.body["effective"]
        match command:
            case ScaleSchedule() if not self._relative:
                total, present = _number(new, "factor"), _number(here, "factor")
                if total is not None and present:
                    return _changed(command, {"factor": total / present})
            case UpdateOptimizer() if self._relative:
                names = command.changes()
                return _changed(command, {name: _scaled(name, old, new, here) for name in names})
            case UpdateSetting() if self._relative and not isinstance(command.value, (bool, str)):
                key = "value" if "value" in here else command.setting
                value = _scaled(key, old, new, here)
                if value is not None and isinstance(command.value, int):
                    value = round(value)
                return _changed(command, {"value": value})
            case _:
                pass
        return command


def _scaled(
    name: str, old: Mapping[str, Any], new: Mapping[str, Any], here: Mapping[str, Any]
) -> float | None:
    before, after, present = (_number(values, name) for values in (old, new, here))
    if before is None or after is None or present is None or before == 0:
        return None
    return present * (after / before)


def _number(values: Mapping[str, Any], name: str) -> float | None:
    value = values.get(name)
    return float(value) if isinstance(value, (int, float)) and value is not True else None


def _changed(command: Command, values: Mapping[str, Any]) -> Command:
    """Return a command with other values; with its own where they would make no sense."""
    known = {name: value for name, value in values.items() if value is not None}
    said = {**command.model_dump(mode="json", exclude_none=True), **known}
    try:
        changed: Command = COMMAND.validate_json(json.dumps(said))
    except (ValidationError, ValueError):
        return command
    return command if changed == command else changed
