"""Ingest's outcomes and facts as HTTP answers; each names its outcome."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi.responses import JSONResponse

from data_collection.storage.index import TraceSummary
from data_collection.streaming.bodies import BodyRefused
from data_collection.streaming.ingest import IngestService
from data_collection.streaming.outcomes import (
    Accepted,
    BadRequest,
    Conflict,
    Duplicate,
    HashMismatch,
    Opened,
    OpenOutcome,
    PutOutcome,
    Quarantined,
    Unavailable,
    UnknownTrace,
    Withdrawn,
    WithdrawnNow,
    WithdrawOutcome,
)
from data_collection.trace import ClipState

_RETRY_AFTER_S = 1


def opening(outcome: OpenOutcome) -> JSONResponse:
    """Answer a request to open a trace."""
    match outcome:
        case Opened(header, new):
            return answer(201 if new else 200, "opened", trace_id=header.trace_id)
        case Conflict(hint):
            return answer(409, "conflict", hint=hint)
        case Withdrawn():
            return answer(410, "withdrawn")
        case BadRequest(hint):
            return answer(400, "bad_request", hint=hint)
        case Unavailable():
            return unavailable(outcome)


def putting(outcome: PutOutcome) -> JSONResponse:
    """Answer a clip."""
    match outcome:
        case Accepted(row, warnings):
            return answer(200, "accepted", row=row.to_json(), warnings=list(warnings))
        case Duplicate(row):
            return answer(200, "duplicate", row=row.to_json())
        case Conflict(hint):
            return answer(409, "conflict", hint=hint)
        case Quarantined(code, hint):
            return answer(422, "quarantined", code=code, hint=hint)
        case HashMismatch(received_sha):
            return answer(400, "hash_mismatch", hint=f"received {received_sha}")
        case UnknownTrace():
            return answer(404, "unknown_trace", hint="open the trace first")
        case Withdrawn():
            return answer(410, "withdrawn")
        case BadRequest(hint):
            return answer(400, "bad_request", hint=hint)
        case Unavailable():
            return unavailable(outcome)


def withdrawing(outcome: WithdrawOutcome) -> JSONResponse:
    """Answer a withdrawal."""
    match outcome:
        case WithdrawnNow(_, clips):
            return answer(200, "withdrawn", clips=list(clips))
        case UnknownTrace():
            return answer(404, "unknown_trace")
        case BadRequest(hint):
            return answer(400, "bad_request", hint=hint)
        case Unavailable():
            return unavailable(outcome)


def show_trace(service: IngestService, trace_id: str) -> JSONResponse:
    """Answer what of a trace is here, missing, withdrawn and quarantined, by clip number."""
    index = service.store.index
    known = index.trace(trace_id)
    if known is None:
        return answer(404, "unknown_trace")
    header, state = known
    withdrawn = {one.clip.seq for one in index.withdrawals(trace_id)}
    present = [seq for seq in index.present(trace_id) if seq not in withdrawn]
    refused = index.refused(trace_id)
    settled = withdrawn.union(present)
    missing = [
        seq
        for seq in range(max(settled, default=-1))
        if seq not in settled and not any(first <= seq <= last for first, last in refused)
    ]
    return answer(
        200,
        "trace",
        header=header.to_json(),
        state=state.value,
        present=present,
        missing=missing,
        withdrawn=sorted(withdrawn),
        quarantined=[asdict(clip) for clip in index.quarantined(trace_id=trace_id)],
    )


def list_traces(service: IngestService) -> JSONResponse:
    """Answer what there is: traces, counts by source, the latest clips in quarantine."""
    index = service.store.index
    counts = [{**asdict(count), "state": count.state.value} for count in index.counts()]
    quarantined = [asdict(clip) for clip in index.quarantined()]
    return answer(
        200,
        "traces",
        traces=[_summary(trace) for trace in index.traces()],
        counts=counts,
        quarantined=quarantined,
        last_commit=index.last_commit,
    )


def _summary(trace: TraceSummary) -> dict[str, Any]:
    return {
        "trace_id": trace.header.trace_id,
        "source": trace.header.source,
        "desktop": trace.header.desktop,
        "consent": trace.header.consent.value,
        "frame_source": trace.header.frame_source,
        "withdrawn": trace.state is ClipState.TOMBSTONED,
        "clips": trace.clips,
        "frames": trace.frames,
        "size_bytes": trace.size_bytes,
    }


def commits(service: IngestService, after: int, limit: int) -> JSONResponse:
    """Answer the rows after a commit number, in order."""
    index = service.store.index
    return answer(
        200,
        "commits",
        rows=[row.to_json() for row in index.rows_after(after, limit)],
        last_commit=index.last_commit,
    )


def refused(refusal: BodyRefused) -> JSONResponse:
    """Answer a body that was not taken."""
    return answer(refusal.status, refusal.outcome, hint=refusal.hint)


def unavailable(fault: Unavailable) -> JSONResponse:
    """Answer that the server could not do its part, and the request is to come again."""
    response = answer(503, fault.code, hint=fault.hint)
    response.headers["Retry-After"] = str(_RETRY_AFTER_S)
    return response


def answer(status: int, outcome: str, **fields: Any) -> JSONResponse:
    """Return an answer with its outcome and further fields."""
    return JSONResponse({"outcome": outcome, **fields}, status_code=status)
