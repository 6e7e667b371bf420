"""The parts of a simulator that a stage trains, by the names of their parameters."""

from __future__ import annotations

from collections.abc import Collection

from torch import nn

from neuralos.training.stages import PARTS


def part_of(name: str) -> str:
    """Return the part that a parameter belongs to."""
    module = name.partition(".")[0]
    return module if module in PARTS else "rnn"


def train_only(module: nn.Module, parts: Collection[str]) -> None:
    """Train the parameters of some parts, and freeze all others."""
    names = [name for name, _ in module.named_parameters()]
    freeze_exactly(module, [name for name in names if part_of(name) not in parts])


def frozen(module: nn.Module) -> list[str]:
    """Return the names of the parameters that are not trained."""
    named = module.named_parameters()
    return [name for name, parameter in named if not parameter.requires_grad]


def freeze_exactly(module: nn.Module, names: Collection[str]) -> None:
    """Freeze these parameters, and train all others."""
    wanted = set(names)
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name not in wanted)
        parameter.grad = None
