"""A fixture of the public layout, imported and compared with all that was recorded for it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from neuralos.checkpoints.container import read_container
from neuralos.checkpoints.layout import layout_of
from neuralos.checkpoints.public import CONFIG_FILE, ImportChoices, read_public, to_parts
from neuralos.checkpoints.quantity import Quantity, compare
from neuralos.checkpoints.recorded import (
    Bench,
    autoencoder_values,
    sampler_values,
    schedule_values,
    temporal_values,
    unet_values,
)
from neuralos.checkpoints.refusal import CheckpointRefused
from neuralos.checkpoints.sessions import session_values
from neuralos.diffusion.noise_table import VECTOR_NAMES
from neuralos.models.paper.keys import KEY_NAMES
from neuralos.models.paper.parts import PaperParts

VALUES_FILE = "io.safetensors"


@dataclass(frozen=True, slots=True)
class _Plan:
    inputs: list[str]
    expected: list[str]
    inert: list[str]
    sessions: dict[str, Any]
    keys: dict[str, int]

    def expects(self, root: str) -> bool:
        """Return whether something was recorded under a name that begins so."""
        return any(name.startswith(root) for name in self.expected)


def check_fixture(folder: Path) -> list[Quantity]:
    """Import a fixture and compare every recorded quantity.

    Beside the recorded values these are the vectors of the noise schedule (``schedule/...``)
    and the parameters that no output shows (``inert/...``), both compared by value.

    Raises:
        CheckpointRefused: the fixture is damaged, or its checkpoint would not be imported.
    """
    plan = _plan(folder / CONFIG_FILE)
    recorded = read_container(folder / VALUES_FILE)
    public = read_public(folder, ImportChoices())
    kept = {name: public.tensors[name] for name in _present(public.tensors, plan.inert)}
    vectors = {name: public.tensors[name] for name in _present(public.tensors, VECTOR_NAMES)}
    parts = to_parts(public)
    for name in plan.inputs:
        if name not in recorded:
            raise CheckpointRefused(f"{VALUES_FILE}: tensor {name!r} is missing")
    bench = Bench(parts, {name: recorded[name] for name in plan.inputs}, plan.expected)
    try:
        values = _values(bench, plan)
    except KeyError as error:
        raise CheckpointRefused(f"{VALUES_FILE}: input {error} is missing") from None
    quantities = [compare(name, values.get(name), recorded.get(name)) for name in plan.expected]
    wanted = parts.table().vectors()
    quantities += [compare(f"schedule/{name}", wanted[name], vectors[name]) for name in vectors]
    return quantities + _inert(parts, kept, plan.inert)


def _values(bench: Bench, plan: _Plan) -> dict[str, Tensor]:
    values: dict[str, Tensor] = {}
    for root, compute in (
        ("vae/", autoencoder_values),
        ("rnn/", temporal_values),
        ("unet/", unet_values),
        ("sched/", schedule_values),
        ("ddim", sampler_values),
    ):
        if plan.expects(root):
            values |= compute(bench)
    if plan.expects("e2e/"):
        values |= session_values(bench, plan.sessions, plan.keys)
    return values


def _plan(path: Path) -> _Plan:
    try:
        obj = json.loads(path.read_text(encoding="utf-8"))
        return _Plan(
            list(obj["io_inputs"]),
            list(obj["io_expected"]),
            list(obj["inert_parameters"]),
            dict(obj["e2e"]),
            {name: row for row, name in enumerate(obj.get("keys", KEY_NAMES))},
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointRefused(f"{path}: no fixture: {error}") from None


def _present(tensors: dict[str, Tensor], names: Any) -> list[str]:
    return [name for name in names if name in tensors]


def _inert(parts: PaperParts, kept: dict[str, Tensor], names: list[str]) -> list[Quantity]:
    """Compare parameters that no output shows with those that the checkpoint holds."""
    layout, modules = layout_of(parts), parts.modules()
    quantities = []
    for name in names:
        entry = layout.get(name)
        found = None
        if entry is not None and len(entry.names) == 1:
            ours = modules[entry.part].state_dict()[entry.names[0]]
            found = ours.reshape(entry.shape)
        quantities.append(compare(f"inert/{name}", found, kept.get(name)))
    return quantities
