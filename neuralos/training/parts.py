"""The parts of a simulator that a stage trains, by the names of their parameters."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from torch import nn

from neuralos.training.stages import PARTS, Stage


def part_of(name: str) -> str:
    """Return the part that a parameter belongs to."""
    module = name.partition(".")[0]
    return module if module in PARTS else "rnn"


def check_parts(module: nn.Module, stages: Iterable[Stage]) -> None:
    """Refuse a stage that would train nothing of a simulator.

    Raises:
        ValueError: it has no parameters in the parts that a stage trains.
    """
    there = {part_of(name) for name, _ in module.named_parameters()}
    for stage in stages:
        if not there & set(stage.trains):
            raise ValueError(f"stage {stage.name!r} trains nothing of a {type(module).__name__}")


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
