"""The autoencoder's objective: pixels, edges, and the divergence of its codes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from neuralos.models.simulator import Simulator
from neuralos.training.config import ReconstructionConfig
from neuralos.training.loss import PixelLoss
from neuralos.training.trainable import PixelCoder

_HALF = 127.5
_LEAST_LOG_VARIANCE, _MOST_LOG_VARIANCE = -30.0, 20.0


@dataclass(frozen=True, slots=True)
class ReconstructionLoss:
    """Reconstruction of frames (arXiv 2507.08800, 3.1): |x − x̂|, edges, KL(code ‖ N(0, 1)).

    Edges are differences to the right and downwards, and the Laplacian, at several sizes of the
    picture: text and frames of windows, which hardly count in the mean over pixels, are made
    of them. They stand in for a perceptual network, whose weights would have to be fetched.
    """

    config: ReconstructionConfig

    def __call__(
        self, simulator: Simulator, frames_NYP3: Tensor, generator: torch.Generator
    ) -> PixelLoss:
        """Return the loss, the mean over frames.

        Args:
            simulator: whose autoencoder is trained.
            frames_NYP3: frames of bytes.
            generator: draws from the codes, frame by frame.

        Raises:
            TypeError: the autoencoder is not trained but computed, such as a patch code.
        """
        coder = simulator.autoencoder
        if not isinstance(coder, PixelCoder):
            raise TypeError(f"a {type(coder).__name__} is not trained: it has no codes")
        image = frames_NYP3.permute(0, 3, 1, 2).float() / _HALF - 1
        raw, log_variance = coder.codes(image)
        parts = {}
        if log_variance is not None:
            log_variance = log_variance.float().clamp(_LEAST_LOG_VARIANCE, _MOST_LOG_VARIANCE)
            parts["kl"] = divergence(raw.float(), log_variance)
            noise = torch.stack([torch.randn(one.shape, generator=generator) for one in raw])
            raw = raw + (0.5 * log_variance).exp() * noise.to(raw.device)
        found = coder.image_of_raw(raw).float()
        parts = {
            "pixels": (found - image).abs().mean(),
            "edges": edge_error(found, image, self.config.scales),
            **parts,
        }
        total = parts["pixels"] + self.config.edges * parts["edges"]
        if "kl" in parts:
            total = total + self.config.kl * parts["kl"]
        return PixelLoss(total, parts, float(len(image)))


def divergence(mean_NCHW: Tensor, log_variance_NCHW: Tensor) -> Tensor:
    """Return KL(code ‖ N(0, 1)) in nats, summed over a frame's code, the mean over frames."""
    square = mean_NCHW.square() + log_variance_NCHW.exp() - 1 - log_variance_NCHW
    return 0.5 * square.sum((1, 2, 3)).mean()


def edge_error(found_N3YP: Tensor, image_N3YP: Tensor, scales: int) -> Tensor:
    """Return the mean absolute error of edges, each picture half as large as the one before."""
    total = torch.zeros((), device=image_N3YP.device)
    for scale in range(scales):
        if scale:
            found_N3YP, image_N3YP = (F.avg_pool2d(x, 2) for x in (found_N3YP, image_N3YP))
        pairs = zip(edges(found_N3YP), edges(image_N3YP), strict=True)
        total = total + sum(((a - b).abs().mean() for a, b in pairs), total.new_zeros(()))
    return total / scales


def edges(image_N3YP: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the steps to the right, the steps downwards, and the Laplacian of images."""
    right = image_N3YP[..., :, 1:] - image_N3YP[..., :, :-1]
    down = image_N3YP[..., 1:, :] - image_N3YP[..., :-1, :]
    bend = right[..., 1:-1, 1:] - right[..., 1:-1, :-1] + down[..., 1:, 1:-1] - down[..., :-1, 1:-1]
    return right, down, bend
