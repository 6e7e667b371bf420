"""What the public model's recurrent network reads of one frame, and who counts what was dropped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from neuralos.models.paper.config import PaperConfig
from neuralos.models.paper.keys import KEY_ROWS, browser_row


@dataclass(frozen=True, slots=True)
class PaperInput:
    """Pointer, buttons and keys of one frame of B lanes, or of T frames of each.

    ``x`` and ``y`` (B,) whole pixels on the screen, ``left`` and ``right`` (B,) buttons,
    ``keys`` (B, V) which keys are held, ``session_start`` (B,) where a session begins.
    With frames, each has the axis T after B.
    """

    x: Tensor
    y: Tensor
    left: Tensor
    right: Tensor
    keys: Tensor
    session_start: Tensor

    def at(self, t: int) -> PaperInput:
        """Return frame ``t`` of T frames."""
        return PaperInput(*(tensor[:, t] for tensor in self._tensors()))

    def rows(self, index: slice) -> PaperInput:
        """Return some of the lanes."""
        return PaperInput(*(tensor[index] for tensor in self._tensors()))

    @classmethod
    def stack(cls, frames: Iterable[PaperInput]) -> PaperInput:
        """Return T frames of one."""
        columns = zip(*(frame._tensors() for frame in frames), strict=True)
        return cls(*(torch.stack(column, 1) for column in columns))

    def _tensors(self) -> tuple[Tensor, ...]:
        return self.x, self.y, self.left, self.right, self.keys, self.session_start


@dataclass(slots=True)
class BrowserInputs:
    """Turns a browser's events into inputs, as the public demo does, and counts what it drops.

    ``rows`` are the rows of the keys by public name.
    ``clamped`` counts frames whose pointer was off the screen, ``unknown_keys`` the key names
    that the model does not know. Neither ends a session.
    """

    config: PaperConfig
    rows: Mapping[str, int] = field(default_factory=lambda: KEY_ROWS)
    clamped: int = 0
    unknown_keys: int = 0
    _held: set[int] = field(default_factory=set)

    def frame(
        self,
        x_px: float,
        y_px: float,
        buttons: tuple[bool, bool],
        keys_down: Iterable[str],
        keys_up: Iterable[str],
        session_start: bool,
    ) -> PaperInput:
        """Return the input of one frame, one lane.

        Args:
            x_px: where the pointer is; fractions are cut off after clamping.
            y_px: the same, from the top.
            buttons: whether left and right are down.
            keys_down: names of the keys that went down; these come first.
            keys_up: names of the keys that went up.
            session_start: whether a session begins here.
        """
        self._held |= self._rows(keys_down)
        self._held -= self._rows(keys_up)
        x = min(max(x_px, 0.0), float(self.config.width_px - 1))
        y = min(max(y_px, 0.0), float(self.config.height_px - 1))
        self.clamped += (x, y) != (x_px, y_px)
        keys = torch.zeros(1, self.config.temporal.keys, dtype=torch.bool)
        keys[0, sorted(self._held)] = True
        return PaperInput(
            torch.tensor([int(x)]),
            torch.tensor([int(y)]),
            torch.tensor([buttons[0]]),
            torch.tensor([buttons[1]]),
            keys,
            torch.tensor([session_start]),
        )

    def _rows(self, names: Iterable[str]) -> set[int]:
        rows = set()
        for name in names:
            row = browser_row(name, self.rows)
            if row is None or row >= self.config.temporal.keys:
                self.unknown_keys += 1
            else:
                rows.add(row)
        return rows
