"""The OpenAPI document is true: what it says of requests and answers is what the server does."""

import asyncio
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from composed_run import composed
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    positive_data_acceptance,
    unsupported_method,
)
from served_run import ServedRun, envelope, post

from interactive.policy import Role
from interactive.server.pace import Pace, Rate
from interactive.server.schema import describe

ENDLESS = "/api/events"
JOBS = "POST /api/jobs"
"""Well-formed ones would each be a process; others are slow to draw, so `make nightly` does."""
FOR_TRAINERS = {("GET", "/api/commands"), ("POST", "/api/heartbeat"), ("GET", "/commits")}
JUDGED = ("/api/commands", "/traces")
"""Where well-formed requests are refused: by the policy, or for what a clip's bytes are."""
EXAMPLES = 5


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedRun]:
    with composed(tmp_path_factory.mktemp("described") / "run") as run:
        run.auth._known = Pace(Rate(1e9, 1e9))
        run.auth._strangers = Pace(Rate(1e9, 1e9))
        fill(run)
        yield run


def fill(run: ServedRun) -> None:
    """Let there be something of everything that can be asked for."""
    run.write_entry("session", capabilities={"settings": {}})
    run.write_outcome(str(uuid.uuid4()), effective={"lr": "Infinity"})
    run.write_entry("checkpoint", step=5, checkpoint="step-4", digest="d", kept=True)
    run.write_entry("evaluation", evaluation="rollout", measures={}, picture="rollouts/0.png")
    run.folder.rollouts.mkdir(exist_ok=True)
    (run.folder.rollouts / "0.png").write_bytes(b"PNG")
    run.write_metrics(*({"step": s, "loss": v} for s, v in enumerate(("NaN", "-Infinity", 1.0), 1)))
    asyncio.run(run.service.refresh())
    for command in ("load_checkpoint", "load_checkpoint", "note"):
        named = {"text": "x"} if command == "note" else {"checkpoint": "step-4"}
        post(run.client(Role.AGENT), envelope({"command": command, **named}))
    held = run.client().get("/api/approvals").json()["approvals"][0]["command_id"]
    run.client().post(f"/api/commands/{held}/approve", json={})


def test_the_document_is_for_viewers_and_names_every_command(run: ServedRun) -> None:
    document = run.client(Role.VIEWER).get("/api/openapi.json").json()
    assert document == describe(run.app)
    assert {"Envelope", "UpdateOptimizer", "Batch"} <= set(document["components"]["schemas"])
    assert run.client(None).get("/api/openapi.json").status_code == 401
    assert run.client(Role.ADMIN).get("/openapi.json").status_code == 404


def check_all(run: ServedRun, mode: GenerationMode, examples: int) -> int:
    """Ask every operation but the endless one so many examples; return how many were asked."""
    document = describe(run.app)
    for operations in document["paths"].values():
        for one in operations.values():
            one.pop("security", None)  # the tokens are these tests' to choose
    schema: Any = schemathesis.openapi.from_dict(document)
    schema.app = run.app
    asked = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        is_well_formed = mode is GenerationMode.POSITIVE
        if operation.label == JOBS and (is_well_formed or examples == EXAMPLES):
            continue
        if operation.path == ENDLESS:
            continue

        @seed(7)
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy(mode))
        def ask(case: Any) -> None:
            nonlocal asked
            asked += 1
            role = Role.TRAINER if (case.method, case.path) in FOR_TRAINERS else Role.ADMIN
            headers = {"Host": "127.0.0.1", "Authorization": f"Bearer {run.tokens.secret_of[role]}"}
            excluded = [unsupported_method]  # what a path lacks is the router's to say
            if case.path.startswith(JUDGED):
                excluded.append(positive_data_acceptance)
            if isinstance(case.query.get("wait_s"), float):
                case.query["wait_s"] = 0.0
            got = case.call(headers=headers)
            if got.status_code == 413:
                excluded.append(negative_data_rejection)  # too large to be looked at is refused
            case.validate_response(got, excluded_checks=excluded)

        with suppress(Unsatisfiable):  # there may be nothing about it that can be wrong
            ask()
    return asked


@pytest.mark.parametrize("mode", list(GenerationMode), ids=str)
def test_answers_are_what_the_document_says(run: ServedRun, mode: GenerationMode) -> None:
    assert check_all(run, mode, EXAMPLES) > 50


@pytest.mark.nightly
@pytest.mark.parametrize("mode", list(GenerationMode), ids=str)
def test_many_answers_are_what_the_document_says(run: ServedRun, mode: GenerationMode) -> None:
    assert check_all(run, mode, 60) > 600
