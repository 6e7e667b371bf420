"""The dimension legend: shapes are said with these letters, in suffixes and docstrings.

A tensor named ``latent_BTCHW`` has the axes that its suffix names, in that order.

| letter | axis |
|---|---|
| ``B`` | lanes of a batch |
| ``T`` | frames of a segment, in time order |
| ``N`` | frames without an order of their own |
| ``C`` | channels of a latent |
| ``X`` | channels of the context that the recurrent network hands to the denoiser |
| ``H``, ``W`` | rows and columns of the latent grid, in cells of ``PATCH_PX`` pixels |
| ``Y``, ``P`` | rows and columns of pixels |
| ``A`` | the numbers of one action (``data.encode.ACTION_SIZE``) |
| ``K`` | the key slots of one action (``data.encode.KEY_SLOTS``) |
"""

from __future__ import annotations

SCREEN_WIDTH_PX = 512
SCREEN_HEIGHT_PX = 384
"""What desktops show."""

REDUCTION = 4
"""One simulated pixel is the mean of ``REDUCTION`` × ``REDUCTION`` screen pixels."""

WIDTH_PX = SCREEN_WIDTH_PX // REDUCTION
HEIGHT_PX = SCREEN_HEIGHT_PX // REDUCTION

PATCH_PX = 8
GRID_WIDTH = WIDTH_PX // PATCH_PX
GRID_HEIGHT = HEIGHT_PX // PATCH_PX
