"""A run folder with hand-written facts, and the real application over it."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from interactive.policy import AgentLimits, Policy, Role
from interactive.record.journal import JournalWriter
from interactive.record.run_folder import RunFolder, RunInfo
from interactive.server.auth import Auth
from interactive.server.named_tokens import NamedTokens
from interactive.server.page import create_page_router
from interactive.server.routes import create_router
from interactive.server.security import Limits, protect
from interactive.server.service import Facts, RunService
from interactive.server.tokens import create_tokens

PERSON = {"name": "operator", "kind": "person"}


class Clock:
    """Stands still until it is moved."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


class ServedRun:
    """A run, its application, and a hand in the trainer's place.

    No trainer tells a learning rate here, so that agents' changes of it are compared with
    none unless a policy says so.
    """

    def __init__(self, path: Path, policy: Policy | None = None) -> None:
        self.policy = policy or Policy(agent=AgentLimits(lr_ratio=0.0))
        info = RunInfo(entry_point="", seed=1, code_version="test")
        self.folder = RunFolder.create(path, config="", info=info)
        self.clock = Clock()
        self.tokens = create_tokens(self.folder)
        self.auth = Auth(self.tokens, self.clock, named=NamedTokens(self.folder.named_tokens))
        self._seq = 0
        self.app = self.restarted()

    def restarted(self) -> FastAPI:
        """Return a fresh application over the same folder."""
        facts = Facts(url="http://127.0.0.1:8000", server_pid=1, clips=lambda: {"used": 7})
        self.service = RunService.open(
            self.folder, self.clock, self.clock, policy=self.policy, facts=facts
        )
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        app.include_router(create_router(self.service, self.auth, self.clock))
        app.include_router(create_page_router())
        protect(app, Limits())
        return app

    def client(self, role: Role | None = Role.OPERATOR, app: FastAPI | None = None) -> TestClient:
        """Return a client with a role's token; the service does not follow its files."""
        headers = {} if role is None else {"Authorization": f"Bearer {self.tokens.secret_of[role]}"}
        return TestClient(app or self.app, base_url="http://127.0.0.1", headers=headers)

    def write_entry(self, kind: str, step: int = 1, branch: str = "main", **body: Any) -> int:
        """Append a ledger entry as the trainer would, and return its seq."""
        seq, self._seq = self._seq, self._seq + 1
        head = {"seq": seq, "step": step, "branch": branch, "kind": kind, "wall_s": 0.0}
        with JournalWriter.open(self.folder.ledger) as journal:
            journal.append({**head, **body})
        return seq

    def write_outcome(self, command_id: str, state: str = "applied", **body: Any) -> int:
        """Append the intervention that a command became."""
        body = {"issuer": PERSON, "reason": "", "command": {"command": "pause"}, **body}
        return self.write_entry("intervention", command_id=command_id, state=state, **body)

    def write_metrics(self, *rows: dict[str, Any]) -> None:
        """Append metrics rows."""
        with JournalWriter.open(self.folder.metrics) as journal:
            for row in rows:
                journal.append({"branch": "main", **row}, durable=False)


def envelope(command: Any, command_id: str | None = None, **more: Any) -> dict[str, Any]:
    """Return an envelope as JSON."""
    return {"command_id": command_id or str(uuid.uuid4()), "command": command, **more}


def post(client: TestClient, body: Any) -> Any:
    """Send an envelope, or raw bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body)
    headers = {"Content-Type": "application/json"}
    return client.post("/api/commands", content=content, headers=headers)
