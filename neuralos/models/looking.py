"""Whether a step may look at numbers that it has computed, to leave out what nobody needs."""

from __future__ import annotations

import torch
from torch import Tensor


def may_look(tensor: Tensor) -> bool:
    """Say whether reading the tensor costs nothing: not on a GPU, nor while a graph is traced."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def is_wanted(cells: Tensor) -> bool:
    """Say whether any cell asks for something; where one may not look, it may be so."""
    return not may_look(cells) or bool(cells.any())
