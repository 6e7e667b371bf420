"""New weights for a running engine, checked and brought to its device beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from neuralos.models.simulator import Simulator
from neuralos.runtime.capture import DevicePlan, finish, prepare_weights


class SwapRefused(ValueError):
    """The weights do not fit the engine, or are no numbers; the message names the tensor."""


@dataclass(frozen=True, slots=True)
class StagedWeights:
    """Weights on the engine's device, in its precision, ready to be copied in.

    ``code`` is the digest of their autoencoder.
    """

    simulator: Simulator
    code: str


def stage(new: Simulator, running: Simulator, plan: DevicePlan) -> StagedWeights:
    """Check a simulator and bring it to where another one runs; it is changed in place.

    This takes its time and may be called in any thread.

    Args:
        new: the simulator whose weights shall be taken over.
        running: the simulator that runs.
        plan: how it runs.

    Raises:
        SwapRefused: the two are not of one kind, or a number is not finite.
    """
    _check_shapes(new.state_dict(), running.state_dict())
    if new.config != running.config:
        raise SwapRefused(f"another configuration: {_difference(new, running)}")
    for name, tensor in new.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise SwapRefused(f"{name}: not all of its numbers are finite")
    code = new.autoencoder.digest()
    if plan.device.type != "cuda":
        return StagedWeights(prepare_weights(new, plan), code)
    aside = torch.cuda.Stream(plan.device)  # type: ignore[no-untyped-call]
    with torch.cuda.stream(aside):
        staged = prepare_weights(new, plan)
        finish(plan)
    return StagedWeights(staged, code)


@torch.inference_mode()
def copy_weights(staged: StagedWeights, running: Simulator) -> None:
    """Write staged weights over those of the running simulator, where they lie."""
    tensors = staged.simulator.state_dict()
    for name, tensor in running.state_dict().items():
        tensor.copy_(tensors[name], non_blocking=True)


def _check_shapes(new: Mapping[str, Tensor], running: Mapping[str, Tensor]) -> None:
    for name, tensor in running.items():
        if name not in new:
            raise SwapRefused(f"{name}: not among the new weights")
        if new[name].shape != tensor.shape:
            raise SwapRefused(f"{name}: {tuple(new[name].shape)}, not {tuple(tensor.shape)}")
    for name in new:
        if name not in running:
            raise SwapRefused(f"{name}: not among the weights that run")


def _difference(new: Simulator, running: Simulator) -> str:
    ours, theirs = asdict(running.config), asdict(new.config)
    for name in ours:
        if theirs.get(name) != ours[name]:
            value: Any = theirs.get(name)
            return f"{name} is {value}, not {ours[name]}"
    return type(new.config).__name__
