"""What the routes answer, said once for OpenAPI: models of answers, and the document itself."""

from __future__ import annotations

import copy
from typing import Any, Literal

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field

from interactive.commands import Envelope
from interactive.outcome import CommandState, IssuerKind, Reason
from interactive.server.heartbeat import RunState
from interactive.server.held import HeldState

Json = dict[str, Any]
Number = float | Literal["NaN", "Infinity", "-Infinity"]
"""A number of JSON; what JSON has no number for is said in words."""

_REFERENCE = "#/components/schemas/{model}"
_METHODS = ("get", "put", "post", "delete", "patch")


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """Why a request was not served: a sentence, or one object for each thing wrong with it."""

    detail: str | list[Json]
    code: str
    hint: str


class Refusal(_Answer):
    """Why a command, or a decision about one, was refused."""

    state: Literal["rejected"]
    code: Reason
    hint: str


class Accepted(_Answer):
    """A command is on disk; ``seq`` is null while it waits for approval."""

    command_id: str
    seq: int | None
    state: CommandState


class Known(_Answer):
    """All that is known of a command."""

    command_id: str
    seq: int | None
    state: CommandState
    step: int | None
    branch: str | None
    old: Json | None
    requested: Json | None
    effective: Json | None
    code: str | None
    hint: str | None
    ledger_seq: int | None


class Sender(_Answer):
    """Who sent something."""

    name: str
    kind: IssuerKind


class Decided(Sender):
    """Who decided, why, and when (seconds since the epoch)."""

    reason: str
    wall_s: float


class Delivery(_Answer):
    """An accepted command as the trainer receives it."""

    seq: int
    issuer: Sender
    envelope: Json
    approved_by: Decided | None = None


class Deliveries(_Answer):
    """Accepted commands, in order."""

    commands: list[Delivery]
    head: int


class HeldCommand(_Answer):
    """A command that needs or needed approval; times are seconds since the epoch."""

    command_id: str
    state: HeldState
    issuer: Sender
    command: Json
    reason: str
    received_s: float
    releases_s: float | None
    decision: Decided | None


class DecidedCommand(HeldCommand):
    """A command that was decided, with its place in the order if it has one."""

    seq: int | None


class HeldList(_Answer):
    """Commands that wait for a decision, and decided ones."""

    approvals: list[HeldCommand]


class AgentsStanding(_Answer):
    """Whether agents may send commands."""

    halted: bool
    by: str | None
    at_s: float | None
    reason: str | None


class Secret(_Answer):
    """A secret that opens one session."""

    secret: str


class Progress(_Answer):
    """How far the training is."""

    state: RunState
    branch: str
    step: int


class Pids(_Answer):
    """The processes of a run."""

    server: int
    trainer: int | None
    window: int | None


class Standing(BaseModel):
    """How the run stands."""

    run: str
    state: RunState
    branch: str
    branches: list[str]
    step: int
    mark: int
    lr: Number | None
    pids: Pids
    url: str
    heartbeat_age_s: float | None
    settings: Json
    checkpoints: list[Json]
    clips: Json
    problem: str | None
    agents_halted: bool
    ledger_head: int
    cursor: str


class LedgerPage(_Answer):
    """Entries of the ledger, and the seq of the newest one; -1 where there is none."""

    entries: list[Json]
    head: int


class Curve(_Answer):
    """A field over the steps of a branch, thinned; it had ``count`` values."""

    branch: str
    field: str
    steps: list[int] = Field(max_length=4000)
    values: list[Number] = Field(max_length=4000)
    count: int
    fields: list[str]


class PictureName(_Answer):
    """A rollout's picture and the evaluation that drew it."""

    name: str
    step: int
    branch: str
    evaluation: str


class PictureNames(_Answer):
    """The rollouts' pictures."""

    rollouts: list[PictureName]


PROBLEMS: dict[int | str, Json] = {
    400: {"model": Problem, "description": "It is no proper request"},
    401: {"model": Problem, "description": "A token is needed"},
    403: {"model": Problem, "description": "The role, or the origin, may not do this"},
    408: {"model": Problem, "description": "The body came too slowly"},
    413: {"model": Problem, "description": "The body is too large"},
    421: {"model": Problem, "description": "The server is not known under that host name"},
    422: {"model": Problem, "description": "Something in it is not what it should be"},
    429: {"model": Problem, "description": "Too many requests"},
}
"""What any route may answer instead."""

REFUSALS: dict[int | str, Json] = {
    409: {"model": Refusal, "description": "The id was used for another command"},
    422: {"model": Refusal, "description": "It is refused; the hint says why"},
    429: {"model": Refusal | Problem, "description": "Too many commands, or requests"},
}

UNKNOWN: dict[int | str, Json] = {404: {"model": Problem, "description": "There is none"}}

TAKES_ENVELOPE: Json = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Envelope"}}},
    }
}


def describe(app: FastAPI) -> Json:
    """Return the OpenAPI document of an app: with the envelope, and with what asks for a token."""
    document: Json = copy.deepcopy(app.openapi())
    components = document.setdefault("components", {})
    envelope = Envelope.model_json_schema(ref_template=_REFERENCE)
    parts = {**envelope.pop("$defs", {}), "Envelope": envelope}
    components["schemas"] = {**parts, **components.get("schemas", {})}
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method not in operations:
                continue
            if path != "/api/login":
                operations[method]["security"] = [{"token": []}]
            for status, response in operations[method]["responses"].items():
                if status >= "4" and "content" in response:
                    # Problems are JSON, whatever the media type of what was asked for.
                    (said,) = response["content"].values()
                    response["content"] = {"application/json": said}
    return document
