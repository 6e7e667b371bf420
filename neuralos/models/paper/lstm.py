"""An LSTM's step whose memory keeps its precision, and layers in whatever precision they are."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


def lstm_step(
    cell: nn.LSTMCell, inputs: Tensor, hidden: Tensor, memory: Tensor
) -> tuple[Tensor, Tensor]:
    """Return hidden and memory after one step, each (B, hidden) float32.

    The products follow the precision of the weights, or autocast; what is carried on does
    not: rounded to half precision in every frame, a memory would drift.
    """
    gates = _linear(inputs, cell.weight_ih, cell.bias_ih).float()
    gates = gates + _linear(hidden, cell.weight_hh, cell.bias_hh).float()
    enter, forget, new, out = gates.chunk(4, 1)
    memory = forget.sigmoid() * memory + enter.sigmoid() * new.tanh()
    return out.sigmoid() * memory.tanh(), memory


def through(layer: nn.Linear, inputs: Tensor) -> Tensor:
    """Return a layer's output for inputs of any precision."""
    return _linear(inputs, layer.weight, layer.bias)


def _linear(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.linear(inputs.to(weight.dtype), weight, bias)
