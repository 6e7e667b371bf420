"""A batch of segments, as the objective takes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from neuralos.ranks import ALONE, Whole


@dataclass(frozen=True, slots=True)
class Batch:
    """Segments of T frames with the frame before each, one per lane.

    ``latent_BUCHW`` and ``action_BUA`` hold T + 1 frames, ``keys_BTK`` and ``valid_BT``
    the last T; frames that are not ``valid`` fill a segment that was too short.
    ``starts_B`` says which lanes begin a passage with this segment, ``lane_B`` which lanes
    these are, so that what is drawn for a lane does not depend on its neighbours.
    ``whole`` is the batch of all ranks that these lanes are a part of.
    """

    latent_BUCHW: Tensor
    action_BUA: Tensor
    keys_BTK: Tensor
    valid_BT: Tensor
    starts_B: Tensor
    lane_B: Tensor
    whole: Whole = ALONE

    def map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        """Return the batch with a function applied to every tensor."""
        return Batch(
            function(self.latent_BUCHW),
            function(self.action_BUA),
            function(self.keys_BTK),
            function(self.valid_BT),
            function(self.starts_B),
            function(self.lane_B),
            self.whole,
        )

    def rows(self, which: slice) -> Batch:
        """Return some of the lanes."""
        return self.map(lambda tensor: tensor[which])
