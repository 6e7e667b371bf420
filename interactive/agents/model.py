"""A model that is asked: the question, the answer, and where it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol


class Mode(str, Enum):
    """How an endpoint is made to answer in JSON, the strictest first."""

    SCHEMA = "schema"
    TOOL = "tool"
    OBJECT = "object"


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """Where a model is asked, and how long and how much it may answer.

    Args:
        base_url: the endpoint, such as ``https://api.openai.com/v1``.
        model: the model's name there.
        timeout_s: of one call in all.
        max_output_tokens: of one answer.
        max_body_bytes: of one answer.
        temperature: None leaves it to the endpoint.
    """

    base_url: str
    model: str
    timeout_s: float = 60.0
    max_output_tokens: int = 1024
    max_body_bytes: int = 1 << 20
    temperature: float | None = 0.0


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is asked."""

    system: str
    user: str
    schema: Mapping[str, Any]
    """The JSON schema that the answer must fit, in the strict subset."""

    @property
    def size_bytes(self) -> int:
        """Return the length of the text."""
        return len(f"{self.system}{self.user}{self.schema}".encode())


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: ``code`` is ``ok``, or says why there is no answer.

    ``tokens_in`` and ``tokens_out`` are None where the endpoint says nothing believable.
    """

    code: str
    hint: str = ""
    text: str = ""
    model: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    retry: bool = False
    unsupported: bool = False
    retry_after_s: float | None = None

    @property
    def ok(self) -> bool:
        """Return whether there is an answer."""
        return self.code == "ok"


class Endpoint(Protocol):
    """Asks a model once."""

    @property
    def config(self) -> EndpointConfig:
        """Return where and how."""
        ...

    def call(self, question: Question, mode: Mode) -> Answer:
        """Ask; whatever happens is an answer."""
        ...
