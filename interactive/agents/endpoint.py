"""One call to an OpenAI-compatible endpoint: bounded, bound to its address, never raising."""

from __future__ import annotations

import ipaddress
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2
import openai

from interactive.agents.model import Answer, EndpointConfig, Mode, Question
from interactive.agents.strict_json import NotJson, loads

KEPT_HEADERS = frozenset(
    {"host", "authorization", "content-type", "content-length", "accept", "user-agent"}
)
"""What is sent beside the body; the client's library would add more, some of it from the
environment."""
UNSUPPORTED = frozenset({400, 404, 405, 415, 422, 501})
RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504})
MAX_USAGE = 10**9
TOOL = "answer"


class UnsafeEndpoint(Exception):
    """An endpoint that a key must not be sent to; ``hint`` says what to do."""

    def __init__(self, message: str) -> None:
        """Store what is wrong."""
        super().__init__(message)
        self.hint = "use https, or an address on this machine."


class _Refused(httpx2.TransportError):
    """The transport would not go on; ``code`` says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Capped(httpx2.SyncByteStream):
    """A body that ends with an error where it is too long or takes too long."""

    def __init__(self, inner: Any, cap_bytes: int, deadline_s: float) -> None:
        self._inner, self._cap, self._deadline_s = inner, cap_bytes, deadline_s

    def __iter__(self) -> Iterator[bytes]:
        got = 0
        for chunk in self._inner:
            got += len(chunk)
            if got > self._cap:
                raise _Refused("too_large", f"the answer is longer than {self._cap} bytes")
            if time.monotonic() > self._deadline_s:
                raise _Refused("timeout", "the answer did not end in time")
            yield chunk

    def close(self) -> None:
        self._inner.close()


class _Bound(httpx2.BaseTransport):
    """Sends to one address only, with the headers that are needed, and reads so much only."""

    def __init__(self, config: EndpointConfig, inner: httpx2.BaseTransport) -> None:
        self._config, self._inner = config, inner
        self._address = _address(httpx2.URL(config.base_url))

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        if _address(request.url) != self._address:
            raise _Refused("elsewhere", "the endpoint sends to another address")
        kept = {name: request.headers[name] for name in KEPT_HEADERS & set(request.headers)}
        # Compressed, a small body could become a huge one after it was measured.
        kept["accept-encoding"] = "identity"
        bare = httpx2.Request(
            request.method,
            request.url,
            headers=kept,
            stream=request.stream,
            extensions=request.extensions,
        )
        deadline_s = time.monotonic() + self._config.timeout_s
        got = self._inner.handle_request(bare)
        if got.headers.get("content-encoding", "identity") not in ("", "identity"):
            got.close()
            raise _Refused("bad_content", "the answer is compressed, which was not asked for")
        body = _Capped(got.stream, self._config.max_body_bytes, deadline_s)
        return httpx2.Response(
            got.status_code, headers=got.headers, stream=body, extensions=got.extensions
        )

    def close(self) -> None:
        self._inner.close()


@dataclass(slots=True)
class _Dialect:
    """What the endpoint turned out not to know."""

    words: dict[str, str] = field(default_factory=dict)
    without: set[str] = field(default_factory=set)


class OpenAiEndpoint:
    """An endpoint through the ``openai`` client.

    The key stays with this address: no redirect is followed, no proxy used, and no text that
    comes back is handed on with the key in it.

    Args:
        config: where and how.
        key: the key; None sends a placeholder, as servers on one's own machine want it.
        transport: in place of the network, for tests.

    Raises:
        UnsafeEndpoint: a key would go over an open network unencrypted.
    """

    def __init__(
        self,
        config: EndpointConfig,
        key: str | None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        url = httpx2.URL(config.base_url)
        if url.scheme not in ("http", "https") or url.userinfo:
            raise UnsafeEndpoint(f"{url.scheme}://{url.host} is no endpoint without a login")
        if key is not None and url.scheme == "http" and not _is_loopback(url.host):
            raise UnsafeEndpoint(f"a key would go unencrypted to {url.host}")
        logging.getLogger("openai").setLevel(logging.WARNING)
        self._config = config
        self._key = key
        self._dialect = _Dialect()
        http = httpx2.Client(
            transport=_Bound(config, transport or httpx2.HTTPTransport()),
            follow_redirects=False,
            trust_env=False,
            timeout=config.timeout_s,
        )
        self._client = openai.OpenAI(
            api_key=key or "none",
            base_url=config.base_url,
            http_client=http,
            max_retries=0,
            timeout=config.timeout_s,
        )

    @property
    def config(self) -> EndpointConfig:
        """Return where and how."""
        return self._config

    def call(self, question: Question, mode: Mode) -> Answer:
        """Ask once; what fails is an answer too."""
        try:
            raw = self._client.chat.completions.with_raw_response.create(
                **self._arguments(question, mode)
            )
            response = raw.http_response
            answer = self._read(response.status_code, response.content, mode)
        except openai.APIStatusError as error:
            answer = self._status(error)
        except openai.APITimeoutError:
            answer = Answer("timeout", f"no answer in {self._config.timeout_s:g} s", retry=True)
        except (openai.APIConnectionError, httpx2.HTTPError) as error:
            answer = _connection(error)
        except Exception as error:
            answer = Answer("bad_content", f"{type(error).__name__}: {error}")
        return self._scrubbed(answer)

    def _arguments(self, question: Question, mode: Mode) -> dict[str, Any]:
        system = question.system
        config, schema = self._config, dict(question.schema)
        limit = self._dialect.words.get("limit", "max_completion_tokens")
        arguments: dict[str, Any] = {"model": config.model, limit: config.max_output_tokens}
        if config.temperature is not None and "temperature" not in self._dialect.without:
            arguments["temperature"] = config.temperature
        if mode is Mode.SCHEMA:
            named = {"name": TOOL, "strict": True, "schema": schema}
            arguments["response_format"] = {"type": "json_schema", "json_schema": named}
        elif mode is Mode.TOOL:
            function = {"name": TOOL, "strict": True, "parameters": schema}
            arguments["tools"] = [{"type": "function", "function": function}]
            arguments["tool_choice"] = {"type": "function", "function": {"name": TOOL}}
        else:
            arguments["response_format"] = {"type": "json_object"}
            system = f"{system}\n\nThe JSON schema of your answer: {json.dumps(schema)}"
        arguments["messages"] = [
            {"role": "system", "content": system},
            {"role": "user", "content": question.user},
        ]
        return arguments

    def _status(self, error: openai.APIStatusError) -> Answer:
        status, text = error.status_code, error.response.text[:2000]
        if 300 <= status < 400:
            return Answer("redirect", f"{status}: redirects are not followed")
        hint = f"{status}: {text[:300]}"
        if status == 400 and self._learn(text):
            return Answer(f"http_{status}", hint, retry=True)
        if status in RETRIED:
            after = error.response.headers.get("retry-after", "")
            seconds = float(after) if after.isdecimal() else None
            return Answer(f"http_{status}", hint, retry=True, retry_after_s=seconds)
        return Answer(f"http_{status}", hint, unsupported=status in UNSUPPORTED)

    def _learn(self, text: str) -> bool:
        """Return whether the endpoint named a word of ours that can be said otherwise."""
        dialect = self._dialect
        if "max_completion_tokens" in text and "limit" not in dialect.words:
            dialect.words["limit"] = "max_tokens"
            return True
        if "temperature" in text and "temperature" not in dialect.without:
            dialect.without.add("temperature")
            return True
        return False

    def _read(self, status: int, content: bytes, mode: Mode) -> Answer:
        if status != 200:
            return Answer(f"http_{status}", "an answer has status 200")
        try:
            body = loads(content)
            choice = body["choices"][0]
            message = choice["message"]
            if mode is Mode.TOOL:
                text = message["tool_calls"][0]["function"]["arguments"]
            else:
                text = message["content"]
        except NotJson as error:
            return Answer("malformed", f"the answer's body: {error}")
        except (KeyError, IndexError, TypeError):
            return Answer("bad_content", "the answer is no chat completion, or has no content")
        usage = body.get("usage") if isinstance(body.get("usage"), dict) else {}
        known: dict[str, Any] = {
            "model": str(body.get("model", ""))[:200],
            "tokens_in": _tokens(usage.get("prompt_tokens")),
            "tokens_out": _tokens(usage.get("completion_tokens")),
        }
        if not isinstance(text, str):
            refusal = str(message.get("refusal") or "no text")[:300]
            return Answer("no_content", refusal, **known)
        if choice.get("finish_reason") == "length":
            return Answer("truncated", "the answer was longer than allowed", text, **known)
        return Answer("ok", "", text, **known)

    def _scrubbed(self, answer: Answer) -> Answer:
        if not self._key or self._key not in f"{answer.hint}{answer.text}{answer.model}":
            return answer
        key = self._key
        return replace(
            answer,
            hint=answer.hint.replace(key, "***"),
            text=answer.text.replace(key, "***"),
            model=answer.model.replace(key, "***"),
        )


def _connection(error: Exception) -> Answer:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, _Refused):
            return Answer(cause.code, str(cause), retry=cause.code == "timeout")
        if isinstance(cause, httpx2.TimeoutException):
            return Answer("timeout", "no answer in time", retry=True)
        cause = cause.__cause__ or cause.__context__
    return Answer("unreachable", str(error)[:300], retry=True)


def _address(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _tokens(value: object) -> int | None:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and 0 <= value <= MAX_USAGE else None  # type: ignore[operator,return-value]
