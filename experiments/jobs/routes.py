"""The HTTP face of jobs, under ``/api/jobs``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, FastAPI, HTTPException, Path, Response
from starlette.concurrency import run_in_threadpool

from experiments.jobs.queue import Job, Jobs, QueueFull
from experiments.jobs.requests import FOR_AGENTS, JobRequest
from interactive.policy import GRANTS, Role
from interactive.server.schema import PROBLEMS, UNKNOWN
from interactive.server.tokens import Principal
from interactive.server.wire import answer

JobId = Annotated[str, Path(pattern=r"^job-[0-9]{4,9}-[0-9a-f]{8}$")]


def create_router(
    jobs: Jobs,
    authorise: Callable[[str], Callable[..., Any]],
    agents_halted: Callable[[], bool] = lambda: False,
) -> APIRouter:
    """Return the routes of jobs; they are ended with the app.

    Args:
        jobs: the queue.
        authorise: called with ``viewer``, ``agent`` and ``operator``.
        agents_halted: whether a person has told all agents to do nothing.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await run_in_threadpool(jobs.close)

    router = APIRouter(prefix="/api/jobs", lifespan=lifespan, responses=PROBLEMS)
    viewer, agent = Depends(authorise("viewer")), Depends(authorise("agent"))
    operator = Depends(authorise("operator"))

    @router.post("", status_code=202)
    async def start(body: Annotated[JobRequest, Body()], who: Principal = agent) -> Response:
        """Queue a job; agents may ask for dry runs."""
        if body.kind not in FOR_AGENTS and Role.OPERATOR not in GRANTS[who.role]:
            raise HTTPException(403, f"{who.role.value} may not ask for {body.kind}")
        if who.role is Role.AGENT and await run_in_threadpool(agents_halted):
            raise HTTPException(403, "a person has halted all agents of this run")
        try:
            job = await run_in_threadpool(jobs.add, body, who.issuer.name)
        except QueueFull as full:
            raise HTTPException(429, f"{full}: cancel one, or come back later") from None
        return answer(shown(job), 202)

    @router.get("", dependencies=[viewer])
    async def every() -> Response:
        """Return the jobs, oldest first, without their results."""
        listed = [{**shown(job), "result": None} for job in jobs.all()]
        return answer({"jobs": listed})

    @router.get("/{job_id}", dependencies=[viewer], responses=UNKNOWN)
    async def one(job_id: JobId) -> Response:
        """Return a job: its state, how far it is, its result or its error."""
        return answer(shown(_known(jobs.find(job_id))))

    @router.post("/{job_id}/cancel", dependencies=[operator], responses=UNKNOWN)
    async def cancel(job_id: JobId) -> Response:
        """End a job, or take it out of the queue."""
        return answer(shown(_known(await run_in_threadpool(jobs.cancel, job_id))))

    return router


def shown(job: Job) -> dict[str, Any]:
    """Return a job as JSON."""
    return {name: value for name, value in asdict(job).items() if name != "number"}


def _known(job: Job | None) -> Job:
    if job is None:
        raise HTTPException(404, "no job has this id")
    return job
