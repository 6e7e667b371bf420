"""Data sets that a script registered, and how often each is drawn from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from interactive.commands import UpdateDataset, UpdateMixture, UpdateSetting
from interactive.integrations.names import refuse_name
from interactive.integrations.settings import Settings
from interactive.outcome import Reason, Rejected
from interactive.trainer import Plan


@dataclass(slots=True)
class _Entry:
    data: Any
    weight: float
    attached: bool
    parameters: Settings = field(default_factory=Settings)


class Datasets:
    """Named data sets; at each step the loop asks which of them it shall draw from.

    Args:
        seed: what is picked follows from it, the step and the weights alone.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._entries: dict[str, _Entry] = {}

    def __bool__(self) -> bool:
        """Return whether there is a data set at all."""
        return bool(self._entries)

    def register(
        self,
        name: str,
        data: Any,
        *,
        weight: float = 1.0,
        attached: bool = True,
        parameters: Settings | None = None,
    ) -> None:
        """Add a data set; one that is not attached can be attached while training."""
        self._entries[name] = _Entry(data, weight, attached, parameters or Settings())

    def names(self) -> list[str]:
        """Return the names of all data sets."""
        return list(self._entries)

    def __getitem__(self, name: str) -> Any:
        """Return a data set."""
        return self._entries[name].data

    def pick(self, step: int, draw: int = 0) -> str:
        """Return the data set that a draw of the update after ``step`` is made from.

        Args:
            step: updates done.
            draw: counts the draws of one update, such as the samples of its batch.
        """
        shares = self._shares(self._weights())
        total = sum(shares.values())
        key = f"{self._seed}/dataset/{step}/{draw}".encode()
        word = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little")
        place = word / 2**64 * total
        for name, share in shares.items():
            if place < share:
                return name
            place -= share
        return next(reversed(shares))

    def settings(self) -> dict[str, Any]:
        """Return weights, parameters and what is attached."""
        return {
            "weights": self._weights(),
            "attached": [name for name, entry in self._entries.items() if entry.attached],
            "parameters": {
                name: values
                for name, entry in self._entries.items()
                if (values := entry.parameters.state_dict())
            },
        }

    def plan_mixture(self, command: UpdateMixture, step: int) -> Plan | Rejected:
        """Plan other weights; a dropped data set weighs nothing until it gets a weight again."""
        changes = command.changes()
        for name in changes:
            if name not in ("weights", "drop"):
                hint = f"no {name} here: these data sets have weights, and can be dropped"
                return Rejected(Reason.UNSUPPORTED, hint)
        for name in (*(command.weights or {}), *(command.drop or ())):
            if name not in self._entries:
                return refuse_name(Reason.UNKNOWN_SOURCE, "source", name, self._entries)
        if both := set(command.weights or {}) & set(command.drop or ()):
            return Rejected(Reason.OUT_OF_BOUNDS, f"{min(both)} is given a weight and dropped")
        old = self._weights()
        new = {**old, **(command.weights or {}), **dict.fromkeys(command.drop or (), 0.0)}
        if not self._shares(new):
            hint = "at least one attached source needs a weight above 0"
            return Rejected(Reason.OUT_OF_BOUNDS, hint)

        def apply() -> None:
            for name, weight in new.items():
                self._entries[name].weight = weight

        return Plan(
            old={"weights": old},
            requested=changes,
            effective={"weights": new, "first_step": step + 1, "last_step": step + 1},
            apply=apply,
        )

    def plan_dataset(self, command: UpdateDataset, step: int) -> Plan | Rejected:
        """Plan to attach or detach a data set, or to set parameters of one."""
        for name in (command.attach, command.detach, command.dataset):
            if name is not None and name not in self._entries:
                return refuse_name(Reason.UNKNOWN_DATASET, "data set", name, self._entries)
        target = command.dataset or command.attach
        if command.parameters and target is None:
            return Rejected(Reason.UNKNOWN_DATASET, "name the data set whose parameters these are")
        attached = {name: entry.attached for name, entry in self._entries.items()}
        for name, wanted in ((command.attach, True), (command.detach, False)):
            if name is not None:
                if attached[name] is wanted:
                    how = "attached" if wanted else "detached"
                    return Rejected(Reason.UNSUPPORTED, f"{name} is {how} already")
                attached[name] = wanted
        weights = self._weights()
        if not any(weights[name] > 0.0 for name, is_on in attached.items() if is_on):
            hint = "at least one attached data set needs a weight above 0"
            return Rejected(Reason.OUT_OF_BOUNDS, hint)
        plans = []
        for name, value in (command.parameters or {}).items():
            assert target is not None
            setting = UpdateSetting(setting=name, value=value)
            plan = self._entries[target].parameters.plan(setting)
            if isinstance(plan, Rejected):
                return plan
            plans.append(plan)

        def apply() -> None:
            for name, is_on in attached.items():
                self._entries[name].attached = is_on
            for plan in plans:
                plan.apply()

        old = {plan.old["setting"]: plan.old["value"] for plan in plans}
        return Plan(
            old={"attached": self.settings()["attached"], **({"parameters": old} if old else {})},
            requested=command.changes(),
            effective={**command.changes(), "first_step": step + 1, "last_step": step + 1},
            apply=apply,
        )

    def state_dict(self) -> dict[str, Any]:
        """Return weights, parameters and what is attached."""
        return self.settings()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore ``state_dict``'s object.

        Raises:
            ValueError: it knows a data set that is not registered.
        """
        for name in state["weights"]:
            if name not in self._entries:
                raise ValueError(f"data set {name!r} is not registered here")
        for name, entry in self._entries.items():
            entry.weight = state["weights"].get(name, entry.weight)
            entry.attached = name in state["attached"]
            entry.parameters.load_state_dict(state["parameters"].get(name, {}))

    def _weights(self) -> dict[str, float]:
        return {name: entry.weight for name, entry in self._entries.items()}

    def _shares(self, weights: Mapping[str, float]) -> dict[str, float]:
        return {
            name: weights[name]
            for name, entry in self._entries.items()
            if entry.attached and weights[name] > 0.0
        }
