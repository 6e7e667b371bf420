"""Why a checkpoint is not taken, in one line."""

from __future__ import annotations


class CheckpointRefused(ValueError):
    """A checkpoint cannot be taken; the message names the tensor where one is at fault."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
