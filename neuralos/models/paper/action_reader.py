"""From our actions to what the public model reads of a frame."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neuralos.data.encode import CLICKED, HELD, KEY_TABLE
from neuralos.models.paper.config import PaperConfig
from neuralos.models.paper.inputs import PaperInput
from neuralos.models.paper.keys import NO_KEY, SHIFT_SCANCODES, scancode_rows

_LEFT, _RIGHT = 0, 2


class ActionReader(nn.Module):
    """Reads actions and key slots, without a loop, and counts what it must change.

    A button counts as down if it was down at the end of the frame period or went down in it.
    """

    rows: Tensor
    """The public row of each scancode, without and with Shift; the last stands for no key."""

    def __init__(self, config: PaperConfig, reduction: int) -> None:
        super().__init__()
        self._config = config
        self._reduction = reduction
        none = config.temporal.keys
        both = torch.tensor(scancode_rows(KEY_TABLE))
        rows = torch.where((both == NO_KEY) | (both >= none), none, both)
        self.register_buffer("rows", rows, persistent=False)

    def forward(self, action_BA: Tensor, keys_BK: Tensor) -> tuple[PaperInput, Tensor]:
        """Return the inputs of B lanes, and what was changed in each.

        Args:
            action_BA: numbers of each action, with the pointer in screen pixels.
            keys_BK: scancodes; 0 is no key.

        Returns:
            The inputs, and (B, 2): whether the pointer was off the screen, how many keys the
            model does not know.
        """
        width_px, height_px = self._config.width_px, self._config.height_px
        across_B, down_B = (torch.nan_to_num(action_BA[:, :2]) / self._reduction).unbind(1)
        x, y = across_B.clamp(0, width_px - 1).long(), down_B.clamp(0, height_px - 1).long()
        # A pointer at a fraction of the last pixel is on the screen.
        off_B = (across_B < 0) | (across_B >= width_px) | (down_B < 0) | (down_B >= height_px)
        down_B3 = (action_BA[:, HELD] > 0) | (action_BA[:, CLICKED] > 0)
        held_BV, unknown_B = self._held(keys_BK)
        start = torch.zeros_like(off_B)
        inputs = PaperInput(x, y, down_B3[:, _LEFT], down_B3[:, _RIGHT], held_BV, start)
        return inputs, torch.stack((off_B.long(), unknown_B), 1)

    def _held(self, keys_BK: Tensor) -> tuple[Tensor, Tensor]:
        none = self._config.temporal.keys
        known = keys_BK.clamp(0, KEY_TABLE - 1)
        shift = torch.zeros_like(known, dtype=torch.bool)
        for scancode in SHIFT_SCANCODES:
            shift |= known == scancode
        rows_BK = torch.where(shift.any(1, keepdim=True), self.rows[1][known], self.rows[0][known])
        held = torch.zeros(len(keys_BK), none + 1, dtype=torch.bool, device=keys_BK.device)
        held = held.scatter(1, rows_BK, torch.ones_like(rows_BK, dtype=torch.bool))
        unknown_B = ((keys_BK != 0) & (rows_BK == none)).sum(1)
        return held[:, :none], unknown_B
