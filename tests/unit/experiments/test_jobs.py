"""Jobs beside a run: queued, run one by one, cancelled, and honest after a restart."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from experiments.jobs import queue
from experiments.jobs.queue import Job, Jobs, QueueFull
from experiments.jobs.requests import JOB_REQUEST
from experiments.jobs.routes import create_router
from interactive.policy import Role
from interactive.record.run_folder import RunFolder
from interactive.server.auth import Auth
from interactive.server.tokens import create_tokens
from interactive.steering.boundary import Cadence
from tests.fakes import World, data_row, make_run, run_session

LR = {"command": "update_optimizer", "lr": 0.01}
DRY = {"kind": "dry_run", "command": LR, "steps": 3}
PATIENCE_S = 60.0
"""How long something that must come is waited for."""


def script(text: str) -> Callable[[RunFolder, Job], subprocess.Popen[bytes]]:
    """A job's process that runs a few lines of Python."""

    def start(folder: RunFolder, job: Job) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-u", "-c", text]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    return start


UNTIL_ASKED = 'import sys; print(\'{"progress": {"done": 1, "total": 2}}\'); sys.stdin.read()'


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = make_run(tmp_path / "run", min_rows=1)
    world = World(rows={("main", 0): [data_row(1, "base"), data_row(2)]})
    run_session(folder, world, cadence=Cadence(checkpoint_every=4, end_step=8))
    return folder


@pytest.fixture
def open_jobs(folder: RunFolder) -> Iterator[Callable[..., Jobs]]:
    opened: list[Jobs] = []

    def open_them(start: Any = None) -> Jobs:
        opened.append(Jobs(folder, start))
        return opened[-1]

    yield open_them
    for jobs in opened:
        jobs.close()


def ask(jobs: Jobs, request: dict[str, Any] = DRY) -> Job:
    return jobs.add(JOB_REQUEST.validate_python(request), "operator")


def wait_until(reached: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline_s, "it does not come"
        time.sleep(0.01)


def test_a_dry_run_is_done_by_a_process_of_its_own(open_jobs: Any, folder: RunFolder) -> None:
    job = ask(open_jobs())
    wait_until(lambda: job.is_over)
    assert (job.state, job.error) == ("done", None)
    assert job.progress == {"done": 6, "total": 6}
    assert job.result is not None
    assert (job.result["base"], len(job.result["with"]["loss"])) == ("main-000008", 3)
    kept = json.loads((folder.jobs / job.job_id / "job.json").read_text())
    assert kept["result"] == job.result


def test_a_replay_becomes_a_run_folder_among_the_jobs(open_jobs: Any, folder: RunFolder) -> None:
    job = ask(open_jobs(), {"kind": "replay"})
    wait_until(lambda: job.is_over)
    assert job.result is not None, job.error
    assert (job.result["identical"], job.result["steps"]) == (8, 8)
    assert RunFolder.open(Path(job.result["out"])).path.is_relative_to(folder.jobs)


def test_what_cannot_be_done_says_why(open_jobs: Any) -> None:
    job = ask(open_jobs(), {**DRY, "checkpoint": "main-000099"})
    wait_until(lambda: job.is_over)
    assert job.state == "failed"
    assert job.error is not None
    assert job.error["code"] == "no_checkpoint"
    assert "main-000008" in job.error["hint"]


def test_jobs_run_one_at_a_time_and_in_order(open_jobs: Any) -> None:
    jobs = open_jobs(script(UNTIL_ASKED))
    first, second, third = ask(jobs), ask(jobs), ask(jobs)
    wait_until(lambda: first.progress == {"done": 1, "total": 2})
    assert [job.state for job in jobs.all()] == ["running", "queued", "queued"]
    assert jobs.cancel(second.job_id) is second
    assert jobs.cancel(first.job_id) is first
    wait_until(lambda: third.state == "running")
    assert [job.state for job in jobs.all()] == ["cancelled", "cancelled", "running"]
    assert jobs.cancel(first.job_id) is first
    assert jobs.cancel("job-0099-00000000") is None


def test_a_process_that_does_not_listen_is_killed(
    open_jobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "END_S", 0.1)
    jobs = open_jobs(script("print('{}')\nimport time\nwhile True: time.sleep(1)"))
    job = ask(jobs)
    wait_until(lambda: job.state == "running")
    jobs.cancel(job.job_id)
    assert job.state == "cancelled"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("raise SystemExit(3)", "died"),
        ("print('no JSON'); print('[]')", "died"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "died"),
    ],
)
def test_a_process_that_dies_is_a_failure(open_jobs: Any, text: str, code: str) -> None:
    job = ask(open_jobs(script(text)))
    wait_until(lambda: job.is_over)
    assert job.state == "failed"
    assert job.error is not None
    assert job.error["code"] == code


def test_after_a_restart_the_running_one_failed_and_the_others_are_run(
    open_jobs: Any, folder: RunFolder
) -> None:
    dead = open_jobs(script(UNTIL_ASKED))
    running, waiting = ask(dead), ask(dead)
    wait_until(lambda: running.progress["done"] == 1)
    # What a killed server leaves: the files as they are now.
    files = {path: path.read_bytes() for path in folder.jobs.glob("*/job.json")}
    dead.close()
    for path, content in files.items():
        path.write_bytes(content)
    jobs = open_jobs()
    told = jobs.find(running.job_id)
    assert told is not None
    assert told.state == "failed"
    assert told.error is not None
    assert told.error["code"] == "server_ended"
    wait_until(lambda: jobs.find(waiting.job_id).is_over)
    assert jobs.find(waiting.job_id).state == "done"


def test_a_server_that_ends_says_so_of_its_job(open_jobs: Any, folder: RunFolder) -> None:
    jobs = open_jobs(script(UNTIL_ASKED))
    job = ask(jobs)
    wait_until(lambda: job.state == "running")
    jobs.close()
    kept = json.loads((folder.jobs / job.job_id / "job.json").read_text())
    assert (kept["state"], kept["error"]["code"]) == ("cancelled", "server_ended")


def test_the_queue_has_an_end(open_jobs: Any) -> None:
    jobs = open_jobs(script(UNTIL_ASKED))
    first = ask(jobs)
    wait_until(lambda: first.state == "running")
    for _ in range(queue.MAX_QUEUED):
        ask(jobs)
    with pytest.raises(QueueFull):
        ask(jobs)


class Desk:
    """The routes of jobs over a run, and clients of every role."""

    def __init__(self, folder: RunFolder, jobs: Jobs) -> None:
        tokens = create_tokens(folder)
        self.app = FastAPI()
        self.agents_halted = False
        authorise = Auth(tokens, time.time).authorise
        self.app.include_router(create_router(jobs, authorise, lambda: self.agents_halted))
        self._secret_of = tokens.secret_of

    def client(self, role: Role) -> TestClient:
        return TestClient(self.app, headers={"Authorization": f"Bearer {self._secret_of[role]}"})


@pytest.fixture
def desk(folder: RunFolder, open_jobs: Any) -> Desk:
    return Desk(folder, open_jobs(script(UNTIL_ASKED)))


def test_a_job_is_asked_for_followed_and_cancelled(desk: Desk) -> None:
    client = desk.client(Role.OPERATOR)
    batch = {"command": "batch", "commands": [LR, {"command": "scale_schedule", "factor": 0.5}]}
    answer = client.post("/api/jobs", json={"kind": "dry_run", "command": batch})
    assert answer.status_code == 202
    job = answer.json()
    assert (job["kind"], job["error"]) == ("dry_run", None)
    assert job["state"] in ("queued", "running")
    assert job["request"]["steps"] == 20
    path = f"/api/jobs/{job['job_id']}"
    wait_until(lambda: client.get(path).json()["progress"] == {"done": 1, "total": 2})
    assert [one["job_id"] for one in client.get("/api/jobs").json()["jobs"]] == [job["job_id"]]
    assert client.post(f"{path}/cancel").json()["state"] == "cancelled"
    assert client.get(path).json()["state"] == "cancelled"


@pytest.mark.parametrize(
    ("role", "body", "status"),
    [
        (Role.VIEWER, DRY, 403),
        (Role.COLLECTOR, DRY, 403),
        (Role.TRAINER, DRY, 403),
        (Role.AGENT, DRY, 202),
        (Role.AGENT, {"kind": "replay"}, 403),
        (Role.OPERATOR, {"kind": "replay"}, 202),
        (Role.OPERATOR, {"kind": "replay", "out": "/etc"}, 422),
        (Role.OPERATOR, {"kind": "shell"}, 422),
        (Role.OPERATOR, {**DRY, "steps": 0}, 422),
        (Role.OPERATOR, {**DRY, "steps": 10**9}, 422),
        (Role.OPERATOR, {**DRY, "checkpoint": "../../etc"}, 422),
        (Role.OPERATOR, {**DRY, "command": {"command": "update_optimizer", "lr": -1}}, 422),
    ],
)
def test_who_may_ask_for_what(desk: Desk, role: Role, body: dict[str, Any], status: int) -> None:
    assert desk.client(role).post("/api/jobs", json=body).status_code == status


def test_an_agent_cancels_nothing_and_strangers_read_nothing(desk: Desk) -> None:
    job_id = desk.client(Role.OPERATOR).post("/api/jobs", json=DRY).json()["job_id"]
    assert desk.client(Role.AGENT).post(f"/api/jobs/{job_id}/cancel").status_code == 403
    assert TestClient(desk.app).get("/api/jobs").status_code == 401
    assert desk.client(Role.VIEWER).get("/api/jobs/job-9999-00000000").status_code == 404
    assert desk.client(Role.VIEWER).get("/api/jobs/..%2f..%2fjob.json").status_code in (404, 422)


def test_a_halted_agent_asks_for_no_dry_run(desk: Desk) -> None:
    desk.agents_halted = True
    assert desk.client(Role.AGENT).post("/api/jobs", json=DRY).status_code == 403
    assert desk.client(Role.OPERATOR).post("/api/jobs", json=DRY).status_code == 202
