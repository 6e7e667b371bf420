"""Sizes of the simulator's parts. Reading a configuration does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from neuralos.models.fast.config import FastConfig
from neuralos.models.paper.config import PaperConfig
from neuralos.shapes import Screen

ARCHITECTURES = ("collage", "gated", "fast", "paper")


@dataclass(frozen=True, slots=True)
class RnnConfig:
    """Sizes of the recurrent network, which reads the coarsest ``components`` of a latent.

    ``span_frames`` is how far back it should look.
    """

    overview: int = 96
    entry: int = 192
    lstm: int = 320
    exit: int = 256
    spatial: int = 16
    components: int = 48
    look: int = 32
    cursor: int = 16
    stem: int = 32
    map: int = 32
    keys: int = 24
    context: int = 48
    span_frames: int = 96


@dataclass(frozen=True, slots=True)
class DenoiserConfig:
    """Sizes of the denoiser; ``widths`` are its channels from fine to coarse."""

    widths: tuple[int, ...] = (32, 64)
    layers: int = 1
    look: int = 32
    cursor: int = 16


@dataclass(frozen=True, slots=True)
class CollageConfig:
    """What a collage may copy from, and what it counts by itself.

    ``looks`` frequent looks of cells are kept (0: none); ``look_width`` and ``look_hidden``
    are sizes of the network that picks one. With ``move``, what is held by the pointer moves
    on a grid of ``move_grid_px`` simulated pixels.
    """

    scenery: bool = True
    move: bool = True
    move_grid_px: float = 2.0
    looks: int = 4096
    look_width: int = 64
    look_hidden: int = 128
    timers: bool = True


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """Sizes of the simulator; ``components`` are the channels of a latent.

    ``rnn`` and ``denoiser`` belong to the architectures ``collage`` and ``gated``, ``collage``
    to the first of these, ``fast`` to ``fast`` and ``paper`` to ``paper``, whose latents have
    ``paper.channels``. Without ``carry`` every frame begins anew: of what was before, only the
    last frame and action are known (for the ablation of the carried state).
    """

    architecture: str = "collage"
    components: int = 192
    sampler_steps: int = 1
    carry: bool = True
    screen: Screen = field(default_factory=Screen)
    rnn: RnnConfig = field(default_factory=RnnConfig)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    fast: FastConfig = field(default_factory=FastConfig)
    paper: PaperConfig = field(default_factory=PaperConfig)
    collage: CollageConfig = field(default_factory=CollageConfig)

    def __post_init__(self) -> None:
        """Refuse an architecture that there is not, or one of another screen.

        Raises:
            ValueError: its name is unknown, or its grid is not the screen's.
        """
        if self.architecture not in ARCHITECTURES:
            known = ", ".join(ARCHITECTURES)
            raise ValueError(f"no architecture {self.architecture!r}; there are: {known}")
        if self.architecture == "paper":
            self.paper.check_screen(self.screen)
