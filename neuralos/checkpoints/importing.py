"""From a public checkpoint to a folder of ours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

from neuralos.checkpoints.folder import WEIGHTS_FILE, Sampling, save_parts
from neuralos.checkpoints.public import ImportChoices, read_public, to_parts
from neuralos.checkpoints.quantity import Quantity
from neuralos.checkpoints.refusal import CheckpointRefused
from neuralos.models.paper.parts import PaperParts
from neuralos.weights import write_about


@dataclass(frozen=True, slots=True)
class Imported:
    """What was taken over.

    ``parameters`` of each part, ``notes`` about what was assumed, and every tensor as it was
    read back (``quantities``).
    """

    parameters: dict[str, int]
    notes: list[str]
    quantities: list[Quantity]

    @property
    def summary(self) -> str:
        """The parts in one line."""
        return ", ".join(f"{name} {count:,}" for name, count in self.parameters.items())


def import_public(source: Path, out: Path, choices: ImportChoices, sampling: Sampling) -> Imported:
    """Read a public checkpoint, write it as a folder of ours and read that back.

    Args:
        source: the published folder, or its file of weights.
        out: the folder to make.
        choices: what the checkpoint does not show.
        sampling: how it is to be played.

    Raises:
        CheckpointRefused: it cannot be taken, or there is something at ``out``.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CheckpointRefused(f"{out} is there already", "Name a folder that is not there yet.")
    public = read_public(source, choices)
    parts = to_parts(public, choices.average)
    save_parts(out, parts, sampling)
    write_about(out, 0, parts.autoencoder)
    counts = {
        name: sum(parameter.numel() for parameter in module.parameters())
        for name, module in parts.modules().items()
    }
    return Imported(counts, public.notes, _read_back(out, parts))


def _read_back(folder: Path, parts: PaperParts) -> list[Quantity]:
    """Compare the tensors on the disk with those in memory, one at a time; all are equal."""
    quantities = []
    for part, module in parts.modules().items():
        with safe_open(folder / part / WEIGHTS_FILE, "pt") as file:
            for name, ours in module.state_dict().items():
                error = float((file.get_tensor(name) - ours).abs().max())
                quantities.append(Quantity(f"{part}/{name}", tuple(ours.shape), error, 0.0))
    return quantities
