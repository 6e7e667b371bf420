"""The dimension legend: shapes are said with these letters, in suffixes and docstrings.

A tensor named ``latent_BTCHW`` has the axes that its suffix names, in that order.

| letter | axis |
|---|---|
| ``B`` | lanes of a batch |
| ``T`` | frames of a segment, in time order |
| ``N`` | frames without an order of their own |
| ``C`` | channels of a latent |
| ``X`` | channels of the context that the recurrent network hands to the denoiser |
| ``H``, ``W`` | rows and columns of the latent grid, in cells of ``Screen.cell_px`` pixels |
| ``Y``, ``P`` | rows and columns of pixels |
| ``A`` | the numbers of one action (``data.encode.ACTION_SIZE``) |
| ``K`` | the key slots of one action (``data.encode.KEY_SLOTS``) |
"""

from __future__ import annotations

from dataclasses import dataclass

SCREEN_WIDTH_PX = 512
SCREEN_HEIGHT_PX = 384
"""What desktops show."""


@dataclass(frozen=True, slots=True)
class Screen:
    """What a simulator shows, and the grid of its latents.

    One simulated pixel is the mean of ``reduction`` × ``reduction`` screen pixels; a cell
    of the grid stands for ``cell_px`` × ``cell_px`` simulated pixels.
    """

    reduction: int = 4
    cell_px: int = 8

    def __post_init__(self) -> None:
        """Refuse sizes that do not divide the screen.

        Raises:
            ValueError: a cell would hang over the edge.
        """
        step_px = self.reduction * self.cell_px
        if min(self.reduction, self.cell_px) < 1 or SCREEN_WIDTH_PX % step_px:
            raise ValueError(f"cells of {step_px} screen pixels do not divide {SCREEN_WIDTH_PX}")
        if SCREEN_HEIGHT_PX % step_px:
            raise ValueError(f"cells of {step_px} screen pixels do not divide {SCREEN_HEIGHT_PX}")

    @property
    def width_px(self) -> int:
        """Width in simulated pixels."""
        return SCREEN_WIDTH_PX // self.reduction

    @property
    def height_px(self) -> int:
        """Height in simulated pixels."""
        return SCREEN_HEIGHT_PX // self.reduction

    @property
    def grid_width(self) -> int:
        """Columns of the latent grid."""
        return self.width_px // self.cell_px

    @property
    def grid_height(self) -> int:
        """Rows of the latent grid."""
        return self.height_px // self.cell_px
