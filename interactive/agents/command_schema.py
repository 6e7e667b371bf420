"""The commands that an agent may send to a run, as a JSON schema in the strict subset."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from interactive.agents.strict_json import NotJson
from interactive.commands import (
    COMMAND,
    Batch,
    Command,
    Evaluate,
    LoadCheckpoint,
    ModuleOperation,
    Note,
    ReplaceSchedule,
    SaveCheckpoint,
    ScaleSchedule,
    UpdateDataset,
    UpdateMixture,
    UpdateOptimizer,
    UpdateSetting,
)

KEPT = ("type", "enum", "const", "anyOf", "items", "minimum", "maximum", "exclusiveMinimum")
"""The keywords that the strict subset and the servers in use understand."""
PAIR_NOTE = "A list of {name, value}."


class Offer:
    """What a run offers, as its newest trainer says, and the schema that follows.

    Args:
        capabilities: of ``ControllableTrainer.capabilities``.
        checkpoints: the ids that may be loaded.
    """

    def __init__(self, capabilities: Mapping[str, Any], checkpoints: Sequence[str]) -> None:
        self._can = capabilities
        self._checkpoints = list(checkpoints)

    def commands(self) -> list[type[BaseModel]]:
        """Return the classes of the commands that make sense here."""
        can = self._can
        trainers: list[type[BaseModel]] = [UpdateOptimizer]
        if can.get("schedules"):
            trainers += [ScaleSchedule, ReplaceSchedule]
        for name, command in (
            ("sources", UpdateMixture),
            ("datasets", UpdateDataset),
            ("settings", UpdateSetting),
            ("operations", ModuleOperation),
        ):
            if can.get(name):
                trainers.append(command)
        more: list[type[BaseModel]] = [Batch, SaveCheckpoint, Note]
        more += [Evaluate] if can.get("evaluations") else []
        more += [LoadCheckpoint] if self._checkpoints else []
        return trainers + more

    def schema(self) -> dict[str, Any]:
        """Return the schema of one command: strict, so each field is there, or null."""
        offered = self.commands()
        single = [self._object(one) for one in offered if one is not Batch]
        trainers = [one for one in single if one["properties"]["command"]["enum"][0] in _BATCHED]
        batch = {
            "type": "object",
            "description": Batch.__doc__,
            "properties": {
                "command": {"type": "string", "enum": ["batch"]},
                "commands": {"type": "array", "items": {"anyOf": trainers}},
            },
            "required": ["command", "commands"],
            "additionalProperties": False,
        }
        return {"anyOf": [*single, batch]}

    def _object(self, command: type[BaseModel]) -> dict[str, Any]:
        whole = command.model_json_schema()
        name = whole["properties"]["command"]["const"]
        properties: dict[str, Any] = {"command": {"type": "string", "enum": [name]}}
        for field, schema in whole["properties"].items():
            if field != "command" and self._offers(name, field):
                properties[field] = self._field(name, field, schema)
        return {
            "type": "object",
            "description": " ".join((command.__doc__ or "").split()),
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    def _offers(self, command: str, field: str) -> bool:
        if command == "update_optimizer":
            known = self._can.get("optimizer", ["lr"])
            return field in known or (field == "group" and bool(self._can.get("groups")))
        return True

    def _field(self, command: str, field: str, schema: Mapping[str, Any]) -> dict[str, Any]:
        choices = self._choices(command, field)
        if choices:
            nullable = any(one.get("type") == "null" for one in schema.get("anyOf", ()))
            if field == "drop":
                listed = {"type": "array", "items": {"type": "string", "enum": choices}}
                return {"anyOf": [listed, {"type": "null"}]}
            kinds = ["string", "null"] if nullable else "string"
            return {"type": kinds, "enum": [*choices, None] if nullable else choices}
        if field in ("weights", "half_life_clips"):
            number = {"type": ["number", "null"]}
            sources = self._strings("sources")
            named = {
                "type": "object",
                "properties": dict.fromkeys(sources, number),
                "required": sources,
                "additionalProperties": False,
            }
            return {"anyOf": [named, {"type": "null"}]}
        return _strict(schema)

    def _choices(self, command: str, field: str) -> list[str]:
        match command, field:
            case "replace_schedule", "schedule":
                return self._strings("schedules")
            case "update_setting", "setting":
                return self._strings("settings")
            case "module_operation", "operation":
                return self._strings("operations")
            case "module_operation", "module":
                found = self._can.get("operations")
                listed = found.values() if isinstance(found, Mapping) else ()
                return sorted({str(one) for modules in listed for one in modules})
            case "update_dataset", "attach" | "detach" | "dataset":
                return self._strings("datasets")
            case "update_mixture", "drop":
                return self._strings("sources")
            case "evaluate", "evaluation":
                return self._strings("evaluations")
            case "load_checkpoint", "checkpoint":
                return self._checkpoints
        return []

    def _strings(self, name: str) -> list[str]:
        found = self._can.get(name)
        return [str(one) for one in found] if isinstance(found, (list, tuple, Mapping)) else []


_BATCHED = frozenset(
    one.model_fields["command"].default
    for one in (
        UpdateOptimizer,
        ScaleSchedule,
        ReplaceSchedule,
        UpdateMixture,
        UpdateDataset,
        UpdateSetting,
        ModuleOperation,
    )
)


def parse_command(said: Any) -> Command:
    """Return the command that a model's JSON object says.

    What is null is left out, and a list of {name, value} stands for an object.

    Raises:
        NotJson: it is no command; the message says why.
    """
    if not isinstance(said, Mapping):
        raise NotJson("a command is an object")
    try:
        return COMMAND.validate_json(json.dumps(_plain(said), allow_nan=False))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[:3]
        lines = [f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in first]
        raise NotJson("; ".join(lines)[:600]) from None
    except (ValueError, RecursionError) as error:
        raise NotJson(str(error)[:200]) from None


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        if value and all(
            isinstance(one, Mapping) and set(one) == {"name", "value"} for one in value
        ):
            return {str(one["name"]): _plain(one["value"]) for one in value}
        return [_plain(one) for one in value]
    return value


def _strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a field's schema in the strict subset: an open object becomes a list of pairs."""
    if schema.get("type") == "object":
        value = schema.get("additionalProperties")
        pair = {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "value": _strict(value) if isinstance(value, Mapping) else {"type": "string"},
            },
            "required": ["name", "value"],
            "additionalProperties": False,
        }
        return {"type": "array", "items": pair, "description": PAIR_NOTE}
    kept = {name: schema[name] for name in KEPT if name in schema}
    if "anyOf" in kept:
        kept["anyOf"] = [_strict(one) for one in kept["anyOf"]]
    if isinstance(kept.get("items"), Mapping):
        kept["items"] = _strict(kept["items"])
    return kept
