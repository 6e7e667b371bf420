"""The checkpoint of a script's parts: safetensors and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from interactive.integrations.generators import generator_states, set_generator_states
from interactive.integrations.modules import ModuleOperations
from interactive.integrations.state_tree import check_tensor, read_tree, write_tree

MODEL_TREE = "model"
OPTIMIZER_TREE = "optimizer"
PARTS_TREE = "parts"
RANK_TREE = "rank"
ALSO = "also."
"""Begins the names of the parts that only the script knows."""


class PartsState:
    """Saves and restores a model, its optimizer, and the other parts of a script.

    Args:
        model: what is trained.
        optimizer: what trains it.
        modules: knows what is frozen.
        parts: the others by name; each has ``state_dict`` and ``load_state_dict``.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        modules: ModuleOperations,
        parts: Mapping[str, Any],
    ) -> None:
        self._model = model
        self._optimizer = optimizer
        self._modules = modules
        self._parts = parts

    def save(self, folder: Path, about: Mapping[str, Any]) -> None:
        """Write all parts, the global generators, and ``about``.

        Raises:
            TypeError: a part keeps something that could only be pickled.
        """
        write_tree(folder, MODEL_TREE, dict(self._model.state_dict()))
        write_tree(folder, OPTIMIZER_TREE, self._optimizer_tree())
        tree = {
            "about": dict(about),
            "frozen": self._modules.frozen(),
            "generators": generator_states(),
            "parts": {name: part.state_dict() for name, part in self._parts.items()},
        }
        write_tree(folder, PARTS_TREE, tree)

    def load(self, folder: Path) -> dict[str, Any]:
        """Restore all parts and the generators; return ``about``.

        Raises:
            ValueError: the folder does not fit; the message names the tensor or the part.
        """
        model = read_tree(folder, MODEL_TREE)
        optimizer = read_tree(folder, OPTIMIZER_TREE)
        tree = read_tree(folder, PARTS_TREE)
        self._check_model(model)
        self._check_optimizer(optimizer)
        for name in self._parts:
            if name not in tree["parts"]:
                raise ValueError(f"{PARTS_TREE}: {name} is missing")
        self._model.load_state_dict(model)
        self._load_optimizer(optimizer)
        self._modules.freeze_exactly(tree["frozen"])
        for name, part in self._parts.items():
            part.load_state_dict(tree["parts"][name])
        set_generator_states(tree["generators"])
        about: dict[str, Any] = tree["about"]
        return about

    def save_rank(self, folder: Path) -> None:
        """Write what differs from rank to rank: the generators, and the script's other parts."""
        own = {name: part.state_dict() for name, part in self._own().items()}
        write_tree(folder, RANK_TREE, {"generators": generator_states(), "parts": own})

    def load_rank(self, folder: Path) -> None:
        """Restore what ``save_rank`` wrote, over what ``load`` restored."""
        tree = read_tree(folder, RANK_TREE)
        for name, part in self._own().items():
            part.load_state_dict(tree["parts"][name])
        set_generator_states(tree["generators"])

    def _own(self) -> dict[str, Any]:
        return {name: part for name, part in self._parts.items() if name.startswith(ALSO)}

    def _named(self) -> dict[str, Tensor]:
        """Return the optimizer's parameters by the model's names, else by group and place."""
        names = {id(p): name for name, p in self._model.named_parameters()}
        return {
            names.get(id(parameter), f"group {index}, {place}"): parameter
            for index, group in enumerate(self._optimizer.param_groups)
            for place, parameter in enumerate(group["params"])
        }

    def _optimizer_tree(self) -> dict[str, Any]:
        state = self._optimizer.state
        return {
            "state": {name: dict(state[p]) for name, p in self._named().items() if p in state},
            "groups": [
                {key: value for key, value in group.items() if key != "params"}
                for group in self._optimizer.param_groups
            ],
        }

    def _check_model(self, tensors: Mapping[str, Any]) -> None:
        wanted = self._model.state_dict()
        for name, like in wanted.items():
            if isinstance(like, Tensor):
                check_tensor(name, tensors.get(name), like)
        for name in tensors:
            if name not in wanted:
                raise ValueError(f"{MODEL_TREE}: {name!r} belongs to another model")

    def _check_optimizer(self, tree: Mapping[str, Any]) -> None:
        if len(tree["groups"]) != len(self._optimizer.param_groups):
            raise ValueError(f"{OPTIMIZER_TREE}: it has other parameter groups")
        for name in tree["state"]:
            if name not in self._named():
                raise ValueError(f"{OPTIMIZER_TREE}: no parameter {name!r} is trained here")

    def _load_optimizer(self, tree: Mapping[str, Any]) -> None:
        self._optimizer.state.clear()
        for name, parameter in self._named().items():
            if name in tree["state"]:
                kept = tree["state"][name]
                self._optimizer.state[parameter] = {
                    key: _as_it_lay(value, parameter) for key, value in kept.items()
                }
        for group, kept in zip(self._optimizer.param_groups, tree["groups"], strict=True):
            for key, value in kept.items():
                if isinstance(group.get(key), Tensor):
                    group[key].copy_(value)
                else:
                    group[key] = value


def _as_it_lay(value: Any, parameter: Tensor) -> Any:
    """Return a moment laid out as its parameter is: fused updates walk the memory of both."""
    if not isinstance(value, Tensor):
        return value
    if value.shape == parameter.shape:
        return torch.empty_like(parameter, dtype=value.dtype).copy_(value)
    # The step counts of most optimizers stay on the CPU; other moments go to their parameter.
    return value if value.dim() == 0 else value.to(parameter.device)
