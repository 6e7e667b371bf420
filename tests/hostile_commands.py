"""Commands that nobody should send: drawn from the JSON schema, bent, and written by hand.

A seed decides all of them. Bodies are bytes as they would arrive; many are no JSON at all.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

from interactive.commands import Envelope

SCHEMA: dict[str, Any] = Envelope.model_json_schema()
DEFINITIONS: dict[str, Any] = SCHEMA["$defs"]

WORDS = [
    "main", "live", "base", "rollout", "main-000002", "step-1", "noise", "clipped", "target",
    "constant", "linear", "cosine", "reset", "freeze", "unfreeze", "extra", "shift", "lr", "head",
    "weights.0", "a", "x" * 63, "0",
]  # fmt: skip
"""Names, some of which mean something to a run; the others are well-formed."""

NASTY: Sequence[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**400, 1e-320, 5e-324, 1e308,
    -0.0, math.nan, math.inf, -math.inf, "NaN", "Infinity", "1e9", "", " ", "\x00", "\ud800",
    "\u202e", "../../etc/passwd", "/etc/x", "C:\\x", "a/b", "$(reboot)", "'; DROP TABLE held;--",
    "<script>alert(1)</script>", "{{7*7}}", "%n%s", "é" * 100, "x" * 5000, "🦆" * 500, [], {}, [[]],
    [None] * 50, {"": ""}, {"__proto__": {"lr": 1}}, {"lr": 1}, [1e-4], "pause", "__class__",
]  # fmt: skip

MISSPELT = ["Pause", "pause ", "update_optimiser", "format_disk", "", "stop;", "lod_checkpoint"]


def from_schema(schema: dict[str, Any], draw: random.Random, depth: int = 0) -> Any:
    """Return a value that a schema allows, or nearly: patterns are met by known words."""
    if "$ref" in schema:
        return from_schema(DEFINITIONS[schema["$ref"].rpartition("/")[2]], draw, depth)
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return from_schema(draw.choice(schema[key]), draw, depth + 1)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return draw.choice(schema["enum"])
    match schema.get("type"):
        case "object":
            return _object(schema, draw, depth)
        case "array":
            fewest = schema.get("minItems", 0)
            most = min(schema.get("maxItems", 3), fewest + 3)
            count = draw.randint(fewest, most)
            return [from_schema(schema.get("items", {}), draw, depth + 1) for _ in range(count)]
        case "integer":
            return int(_number(schema, draw, whole=True))
        case "number":
            return _number(schema, draw, whole=False)
        case "boolean":
            return draw.random() < 0.5
        case "null":
            return None
        case "string" if schema.get("format") == "uuid":
            return str(UUID(int=draw.getrandbits(128), version=4))
        case _:
            return draw.choice(WORDS)


def _object(schema: dict[str, Any], draw: random.Random, depth: int) -> dict[str, Any]:
    made = {}
    for name, inner in schema.get("properties", {}).items():
        if name in schema.get("required", []) or "const" in inner or draw.random() < 0.35:
            made[name] = from_schema(inner, draw, depth + 1)
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        for _ in range(draw.randint(0, 3)):
            made[draw.choice(WORDS)] = from_schema(others, draw, depth + 1)
    return made


def _number(schema: dict[str, Any], draw: random.Random, whole: bool) -> float:
    low = schema.get("minimum", schema.get("exclusiveMinimum", -1e6))
    high = schema.get("maximum", schema.get("exclusiveMaximum", 1e6))
    if whole:
        return draw.randint(math.ceil(low), math.floor(min(high, low + 200)))
    if low >= 0 and draw.random() < 0.7:
        return min(high, max(low, 10 ** draw.uniform(-6, 0)))
    return draw.uniform(low, high)


def bend(value: Any, draw: random.Random) -> Any:
    """Return a value with one place of it made wrong."""
    places = list(_places(value, ()))
    path = draw.choice(places)
    how = draw.randrange(6)
    if not path:
        return draw.choice(NASTY)
    copy = json.loads(json.dumps(value))
    holder = copy
    for key in path[:-1]:
        holder = holder[key]
    last = path[-1]
    if how == 0 and isinstance(holder, dict):
        del holder[last]
    elif how == 1 and isinstance(holder, dict):
        holder[str(draw.choice(NASTY))[:60]] = holder[last]
    elif how == 2:
        holder[last] = [holder[last]]
    elif how == 3:
        holder[last] = {"command": holder[last]}
    elif last == "command" and draw.random() < 0.5:
        holder[last] = draw.choice(MISSPELT)
    else:
        holder[last] = draw.choice(NASTY)
    return copy


def _places(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _places(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _places(inner, (*path, index))


def to_bytes(value: Any) -> bytes:
    """Return JSON as a careless client would write it, NaN and lone surrogates included."""
    return json.dumps(value).encode()


def _raw(draw: random.Random) -> bytes:
    """Return bytes that were never an envelope, or are no more."""
    whole = to_bytes(from_schema(SCHEMA, draw))
    damaged = bytearray(whole)
    damaged[draw.randrange(len(damaged))] ^= 1 << draw.randrange(8)
    return draw.choice(
        [
            b"",
            b"null",
            b"[]",
            b"\x00" * 100,
            b"\xff\xfe\xfd",
            b"[" * 40_000,
            b'{"a":' * 10_000,
            b"9" * 60_000,
            whole[: draw.randrange(len(whole))],
            bytes(damaged),
            whole + whole,
            b"\xef\xbb\xbf" + whole,
            whole.decode().encode("utf-16"),
            b'{"command_id": 1, ' + whole[1:],
            b"x" * 70_000,
        ]
    )


def _by_hand(draw: random.Random) -> list[dict[str, Any]]:
    """Return commands that broke public predecessors, and their like."""
    deep: Any = "end"
    for _ in range(200):
        deep = [deep]
    lr = {"command": "update_optimizer"}
    batch: Callable[..., dict[str, Any]] = lambda *c: {"command": "batch", "commands": list(c)}  # noqa: E731
    return [
        {**lr, "lr": -1e-3},
        {**lr, "lr": math.nan},
        {**lr, "lr": 1e9},
        {**lr, "lr": 10**400},
        {**lr, "lr": 1e-4, "group": 10**9},
        {**lr, "momentum": 0.99},
        {"command": "load_checkpoint", "checkpoint": "none-000009"},
        {"command": "load_checkpoint", "checkpoint": "main-000002", "branch": "../x"},
        {"command": "load_checkpoint", "checkpoint": "main-000002", "branch": "main"},
        {"command": "load_checkpoint", "checkpoint": "main-000002", "branch": "b" * 63},
        {"command": "evaluate", "evaluation": "none"},
        {"command": "module_operation", "operation": "explode", "module": "head"},
        {"command": "module_operation", "operation": "freeze", "module": "no.such.module"},
        {"command": "replace_schedule", "schedule": "linear", "arguments": {"steps": -1}},
        {"command": "replace_schedule", "schedule": "linear", "arguments": {"steps": 10**300}},
        {"command": "replace_schedule", "schedule": "cosine", "arguments": {"steps": "many"}},
        {"command": "replace_schedule", "schedule": "linear", "arguments": {"x": [10**400]}},
        {"command": "scale_schedule", "factor": 5e-324},
        {"command": "scale_schedule", "factor": 1e308},
        {"command": "update_mixture", "weights": {"live": 0.0, "base": 0.0}},
        {"command": "update_mixture", "weights": {"none": 1.0}},
        {"command": "update_mixture", "drop": ["live", "base"]},
        {"command": "update_dataset", "detach": "extra", "attach": "extra"},
        {"command": "update_dataset", "dataset": "extra", "parameters": {"shift": 10**400}},
        {"command": "update_setting", "setting": "noise", "value": 10**400},
        {"command": "update_setting", "setting": "noise", "value": "much"},
        {"command": "update_setting", "setting": "__class__", "value": 1},
        {"command": "step", "steps": 10**6},
        {"command": "step", "steps": 10**30},
        {"command": "note", "text": deep},
        {"command": "note", "text": "\ud800"},
        {"command": "note", "text": "n" * 4000},
        batch(),
        batch(batch({**lr, "lr": 1e-3})),
        batch({"command": "stop"}),
        batch({**lr, "lr": 1e-3}, {**lr, "lr": 1e-4}),
        batch({**lr, "lr": 1e-3}, {"command": "update_setting", "setting": "none", "value": 1}),
        batch(*[{"command": "scale_schedule", "factor": 9e5}] * 16),
        {"command": "pause", "until": "never"},
    ]


def hostile_bodies(seed: int) -> Iterator[bytes]:
    """Yield bodies for ever; well-formed ones among them, but for a plain ``stop``."""
    draw = random.Random(seed)
    sent: list[bytes] = []
    while True:
        kind = draw.random()
        if kind < 0.1:
            body = _raw(draw)
        elif kind < 0.3:
            wrapped = from_schema(SCHEMA, draw)
            body = to_bytes({**wrapped, "command": draw.choice(_by_hand(draw))})
        elif kind < 0.4 and sent:
            body = draw.choice(sent)  # the same id again, as it was or with another body
            if draw.random() < 0.5:
                body = body.replace(b'"command"', b'"reason": "again", "command"', 1)
        else:
            value = from_schema(SCHEMA, draw)
            for _ in range(draw.choice([0, 0, 0, 0, 1, 1, 1, 2, 3])):
                value = bend(value, draw)
            body = to_bytes(value)
        if is_stop(body):
            continue  # that one may end a run
        sent = [*sent[-50:], body]
        yield body


def is_stop(body: bytes) -> bool:
    """Return whether a body is well-formed and ends the run."""
    try:
        return Envelope.model_validate_json(body).command.command == "stop"
    except ValueError:
        return False
