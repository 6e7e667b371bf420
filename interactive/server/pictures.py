"""The pictures of a run's rollouts, by their listed names only."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from interactive.record.ledger import Entry, EntryKind


@dataclass(frozen=True, slots=True)
class Picture:
    """A rollout's picture and the evaluation that drew it."""

    name: str
    step: int
    branch: str
    evaluation: str


class Pictures:
    """The PNG files of one folder that the ledger names.

    Args:
        folder: the run's folder of rollouts; it need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def list(self, entries: Sequence[Entry]) -> list[Picture]:
        """Return the pictures that are there, oldest first."""
        present = self._names()
        pictures = []
        for entry in entries:
            if entry.kind is EntryKind.EVALUATION and entry.body.get("picture"):
                name = PurePosixPath(str(entry.body["picture"])).name
                if name in present:
                    evaluation = str(entry.body.get("evaluation", ""))
                    pictures.append(Picture(name, entry.step, entry.branch, evaluation))
        return pictures

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a picture, or None where the folder lists no such name."""
        path = self._names().get(name)
        return None if path is None else Path(path).read_bytes()

    def _names(self) -> dict[str, str]:
        try:
            with os.scandir(self._folder) as files:
                return {
                    file.name: file.path
                    for file in files
                    if file.name.endswith(".png") and file.is_file(follow_symlinks=False)
                }
        except FileNotFoundError:
            return {}
