"""Which tensor of the public layout becomes which of ours, and of what shape it must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from neuralos.checkpoints.names import (
    AUTOENCODER_PREFIX,
    TEMPORAL_PREFIX,
    UNET_PREFIX,
    Form,
    autoencoder_pairs,
    temporal_pairs,
    unet_pairs,
)
from neuralos.models.paper.parts import PaperParts

_KINDS = ("weight", "bias", "")
"""A pair of names may stand for a module's tensors, or for a tensor itself."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One public tensor: its shape, and the tensors of a part that it becomes.

    ``inner`` is the shape of each of these.
    """

    shape: tuple[int, ...]
    part: str
    names: tuple[str, ...]
    inner: tuple[int, ...]
    heads: int

    def take(self, tensor: Tensor) -> dict[str, Tensor]:
        """Return our tensors, by their names within the part."""
        if len(self.names) == 1:
            return {self.names[0]: tensor.reshape(self.inner)}
        rows = tensor.reshape(self.heads, len(self.names), self.inner[0] // self.heads, -1)
        # Cloned, so that no tensor keeps the memory of all three.
        return {name: rows[:, i].reshape(self.inner).clone() for i, name in enumerate(self.names)}


def layout_of(parts: PaperParts) -> dict[str, Entry]:
    """Return the entries of the public layout by public name, for parts of some sizes."""
    layout: dict[str, Entry] = {}
    modules = parts.modules()
    for part, prefix, pairs in (
        ("unet", UNET_PREFIX, unet_pairs(parts.config)),
        ("vae", AUTOENCODER_PREFIX, autoencoder_pairs(parts.config)),
        ("temporal_encoder", TEMPORAL_PREFIX, temporal_pairs(parts.config)),
    ):
        ours = modules[part].state_dict()
        for public, names, form in pairs:
            for kind in _KINDS:
                targets = tuple(f"{name}.{kind}".rstrip(".") for name in names)
                if targets[0] in ours:
                    name = f"{prefix}{public}{form.joint}{kind}" if kind else prefix + public
                    layout[name] = _entry(part, targets, form, kind, ours)
    return layout


def _entry(
    part: str, targets: tuple[str, ...], form: Form, kind: str, ours: Mapping[str, Tensor]
) -> Entry:
    inner = tuple(ours[targets[0]].shape)
    rows = inner[0] * len(targets)
    shape = (1,) * form.before + (rows, *inner[1:])
    if kind == "weight":
        shape += (1,) * form.after
    return Entry(shape, part, targets, inner, form.heads)
