"""A batch of segments, as the objective takes it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Segments of T frames with the frame before each, one per lane.

    ``latent_BUCHW`` and ``action_BUA`` hold T + 1 frames, ``keys_BTK`` and ``valid_BT``
    the last T; frames that are not ``valid`` fill a segment that was too short.
    ``starts_B`` says which lanes begin a passage with this segment.
    """

    latent_BUCHW: Tensor
    action_BUA: Tensor
    keys_BTK: Tensor
    valid_BT: Tensor
    starts_B: Tensor
