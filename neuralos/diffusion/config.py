"""Numbers of a path from data to what a sampler starts from. Reading it does not import torch."""

from __future__ import annotations

from dataclasses import dataclass

PATHS = ("flow", "edm", "ddpm")
STARTS = ("noise", "previous")


@dataclass(frozen=True, slots=True)
class PathConfig:
    """How latents turn into what the sampler starts from.

    ``kind``: ``flow``, straight lines (arXiv 2210.02747); ``edm``, noise that grows, with the
    preconditioning of arXiv 2206.00364; ``ddpm``, the published schedule. ``start``:
    ``noise``, or ``previous``, the latent before with noise of ``start_noise`` on it.
    ``shortcuts``: whether the network is told how far a step goes, so that it can be
    distilled to 1 or 2 steps (arXiv 2410.12557); ``finest`` is how many steps the finest
    of these samplers makes, a power of 2.
    """

    kind: str = "flow"
    start: str = "previous"
    start_noise: float = 0.5
    shortcuts: bool = True
    finest: int = 8
    sigma_min: float = 0.02
    sigma_max: float = 20.0
    sigma_data: float = 0.5
    rho: float = 7.0

    def __post_init__(self) -> None:
        """Refuse paths that there are not.

        Raises:
            ValueError: a name is unknown, or numbers do not go together.
        """
        if self.kind not in PATHS:
            raise ValueError(f"no path {self.kind!r}; there are: {', '.join(PATHS)}")
        if self.start not in STARTS:
            raise ValueError(f"no start {self.start!r}; there are: {', '.join(STARTS)}")
        if self.kind == "ddpm" and self.start != "noise":
            raise ValueError("ddpm ends in plain noise: start = 'noise', or another kind")
        if self.finest < 2 or self.finest & (self.finest - 1):
            raise ValueError(f"finest is a power of 2 from 2 on, not {self.finest}")
        if not 0 < self.sigma_min < self.sigma_max or self.sigma_data <= 0:
            raise ValueError("0 < sigma_min < sigma_max and 0 < sigma_data")
        if self.start == "previous" and self.kind == "edm" and self.start_noise <= self.sigma_min:
            raise ValueError("edm from the previous latent needs start_noise > sigma_min")
        if self.start_noise < 0:
            raise ValueError("start_noise is 0 or more")
