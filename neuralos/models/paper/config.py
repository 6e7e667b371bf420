"""Sizes of the public model's parts. Reading a configuration does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from neuralos.shapes import Screen


@dataclass(frozen=True, slots=True)
class TemporalConfig:
    """Sizes of the recurrent network.

    ``token`` is the width of a frame token, ``head`` that between the head's two layers,
    ``keys`` how many keys it knows, ``context`` the channels of what it hands on.
    """

    hidden: int = 4096
    token: int = 1024
    heads: int = 8
    head: int = 16384
    keys: int = 179
    context: int = 32

    def __post_init__(self) -> None:
        """Refuse tokens that the heads cannot share.

        Raises:
            ValueError: the heads do not divide the width of a token.
        """
        if self.token % self.heads:
            raise ValueError(f"{self.heads} heads do not divide tokens of {self.token}")


@dataclass(frozen=True, slots=True)
class UnetConfig:
    """Sizes of the UNet, from fine to coarse; ``attention`` says which levels have it."""

    widths: tuple[int, ...] = (192, 384, 576, 960)
    layers: int = 2
    attention: tuple[bool, ...] = (False, True, True, True)
    head_channels: int = 32

    def __post_init__(self) -> None:
        """Refuse levels that do not fit each other.

        Raises:
            ValueError: a level lacks its attention flag, or heads do not divide its width.
        """
        if len(self.attention) != len(self.widths):
            raise ValueError(f"{len(self.widths)} widths, {len(self.attention)} attention flags")
        attending = [w for w, flag in zip(self.widths, self.attention, strict=True) if flag]
        for width in (*attending, self.widths[-1]):
            if width % self.head_channels:
                raise ValueError(f"heads of {self.head_channels} channels do not divide {width}")


@dataclass(frozen=True, slots=True)
class KlConfig:
    """Sizes of the autoencoder, from fine to coarse; each level but the last halves the grid."""

    widths: tuple[int, ...] = (128, 256, 512, 512)
    layers: int = 2


@dataclass(frozen=True, slots=True)
class PaperConfig:
    """Sizes of the public model; ``channels`` are those of a latent.

    ``prediction`` is what the UNet gives, the clean latent (``x0``) or the noise (``eps``).
    """

    channels: int = 16
    grid_width: int = 64
    grid_height: int = 48
    cell_px: int = 8
    prediction: str = "x0"
    beta_start: float = 0.0015
    beta_end: float = 0.0195
    temporal: TemporalConfig = field(default_factory=TemporalConfig)
    unet: UnetConfig = field(default_factory=UnetConfig)
    autoencoder: KlConfig = field(default_factory=KlConfig)

    def __post_init__(self) -> None:
        """Refuse what the sampler cannot use.

        Raises:
            ValueError: the prediction is unknown.
        """
        if self.prediction not in ("x0", "eps"):
            raise ValueError(f"prediction {self.prediction!r} is neither 'x0' nor 'eps'")

    @property
    def width_px(self) -> int:
        """Width of the screen in pixels."""
        return self.grid_width * self.cell_px

    @property
    def height_px(self) -> int:
        """Height of the screen in pixels."""
        return self.grid_height * self.cell_px

    def check_screen(self, screen: Screen) -> None:
        """Refuse a screen that these sizes do not fit.

        Raises:
            ValueError: the grids or the cells of the two differ, or the autoencoder makes
                other cells than positions are counted in.
        """
        made_px = 2 ** (len(self.autoencoder.widths) - 1)
        if made_px != self.cell_px:
            raise ValueError(
                f"positions are in cells of {self.cell_px} pixels, the autoencoder makes "
                f"cells of {made_px}"
            )
        mine = self.grid_width, self.grid_height, self.cell_px
        if mine != (screen.grid_width, screen.grid_height, screen.cell_px):
            raise ValueError(
                f"the model shows {self.width_px}×{self.height_px} pixels in cells of "
                f"{self.cell_px}, the screen is {screen.width_px}×{screen.height_px} in "
                f"cells of {screen.cell_px}"
            )

    @property
    def cells(self) -> int:
        """Cells of the latent grid."""
        return self.grid_width * self.grid_height
