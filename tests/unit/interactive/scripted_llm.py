"""An OpenAI-compatible server on this machine that answers, and misbehaves, as it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Seen:
    """A request as it arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def mode(self) -> str:
        """How the answer was asked for."""
        if "tools" in self.body:
            return "tool"
        return str(self.body.get("response_format", {}).get("type"))

    @property
    def user(self) -> str:
        """What the model was shown."""
        return str(self.body["messages"][1]["content"])


@dataclass
class Reply:
    """What is sent back."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    hangs: bool = False
    """Nothing is sent until the server is closed."""


Script = Callable[[Seen], Reply]


def completion(text: Any, seen: Seen | None = None, **more: Any) -> Reply:
    """A chat completion that says a text (or JSON), as a tool call if that was asked for."""
    said = text if isinstance(text, str) else json.dumps(text)
    message: dict[str, Any] = {"role": "assistant", "content": said}
    if seen is not None and seen.mode == "tool":
        call = {"id": "1", "type": "function", "function": {"name": "answer", "arguments": said}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
    body = {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "scripted-1",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
        **more,
    }
    return Reply(json.dumps(body).encode())


def says(text: Any) -> Script:
    """A script that always says the same."""
    return lambda seen: completion(text, seen)


class ScriptedLlm:
    """The server; the last script of the list goes on for ever."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.seen: list[Seen] = []
        self._closing = threading.Event()
        llm = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                llm._answer(self, raw)

            do_GET = do_POST

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        """The base address."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    def _answer(self, handler: BaseHTTPRequestHandler, raw: bytes) -> None:
        headers = {name.lower(): value for name, value in handler.headers.items()}
        seen = Seen(handler.path, headers, json.loads(raw))
        self.seen.append(seen)
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        reply = script(seen)
        if reply.hangs:
            self._closing.wait(30)
            return
        try:
            handler.send_response(reply.status)
            for name, value in reply.headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(reply.body)))
            handler.end_headers()
            handler.wfile.write(reply.body)
        except OSError:
            pass

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> ScriptedLlm:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
