"""How a step runs on a device: eagerly on a CPU, as one captured graph on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from neuralos.models.simulator import Simulator

_WARM_UP_CALLS = 3
"""Libraries choose their kernels in the first calls, which must not be captured."""

_LARGE = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
"""Layers whose weights are kept in bfloat16; positions and norms stay exact."""


class DeviceMissing(RuntimeError):
    """The device that was asked for is not there; the message says what to do."""


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """How a step runs.

    ``apart`` computes the sessions one after another: a matrix product on a CPU may round a
    row otherwise in another place of the batch, and what is alone cannot. ``half`` computes
    in bfloat16, ``graph`` replays one captured CUDA graph, ``compiled`` lets
    ``torch.compile`` fuse its kernels first: on a CPU they cost more than they give.
    """

    device: torch.device
    apart: bool = False
    half: bool = False
    graph: bool = False
    compiled: bool = False

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context in which the models are called."""
        if not self.half:
            return nullcontext()
        # Cached casts would be those of the weights before a swap.
        return torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False)


def plan_for(device: str, compiled: bool = False) -> DevicePlan:
    """Return the plan of ``cpu`` or ``cuda``.

    Raises:
        DeviceMissing: there is no such device here.
    """
    kind = torch.device(device)
    if kind.type == "cpu":
        return DevicePlan(kind, apart=True)
    if kind.type != "cuda" or not torch.cuda.is_available():
        raise DeviceMissing(f"no device {device!r} here; --device cpu works everywhere")
    # Where single precision is left, TensorFloat-32 is enough.
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    return DevicePlan(kind, half=True, graph=True, compiled=compiled)


def plan_of(simulator: Simulator) -> DevicePlan:
    """Return the plain plan of the device on which a simulator is."""
    device = simulator.first_frame.device
    return DevicePlan(device, apart=device.type == "cpu")


def prepare_weights(simulator: Simulator, plan: DevicePlan) -> Simulator:
    """Put a simulator where and into the form that the plan wants; it is changed in place."""
    simulator.eval()
    if plan.device.type == "cpu":
        return simulator
    simulator.to(plan.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if plan.half:
        for module in simulator.modules():
            if isinstance(module, _LARGE):
                module.to(torch.bfloat16)
    return simulator


Step = Callable[[], tuple[Tensor, ...]]


def capture(step: Step, plan: DevicePlan) -> Step:
    """Return a step that does what the given one does, as the plan wants it.

    A captured step reads and writes the tensors that it read and wrote when it was
    captured, and returns the same tensors each time.
    """
    if plan.compiled:
        step = compiled(step)
    if not plan.graph:
        return step
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(_WARM_UP_CALLS):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = step()

    def replay() -> tuple[Tensor, ...]:
        graph.replay()
        return outputs

    return replay


def compiled(step: Step, backend: str = "inductor") -> Step:
    """Return a step whose kernels ``torch.compile`` fuses, as one graph, when it is called."""
    whole: Step = torch.compile(step, fullgraph=True, dynamic=False, backend=backend)

    def call() -> tuple[Tensor, ...]:
        # Dynamo leaves recurrent layers out unless it is told; they stay one call each.
        with torch._dynamo.config.patch(allow_rnn=True):
            return whole()

    return call


def to_host(tensor: Tensor) -> Tensor:
    """Start to bring a tensor to the host; wait with ``finish`` before it is read."""
    if tensor.device.type == "cpu":
        return tensor
    # A fresh block of the pinned pool each time: encoders still read the last one.
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    return host.copy_(tensor, non_blocking=True)


def finish(plan: DevicePlan) -> None:
    """Wait until the device has done what was asked of it."""
    if plan.device.type == "cuda":
        torch.cuda.current_stream(plan.device).synchronize()
