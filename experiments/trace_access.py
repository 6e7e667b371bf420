"""How a command reaches the traces of a store: by its lock, or through the server that has it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx

from data_collection.storage import trace_file
from data_collection.storage.index import TraceSummary
from data_collection.storage.lock import StoreLocked
from data_collection.storage.recovery import INDEX_FILE
from data_collection.storage.store import TraceStore
from data_collection.trace import ClipRow, ClipState, TraceHeader
from experiments.console import Failure, Status
from interactive.policy import Role
from interactive.record.run_folder import RunFolder

_PAGE = 1000
_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class StorePlace:
    """A store's folder, and the run it belongs to, if any."""

    root: Path
    run: RunFolder | None = None


def find_store(path: Path) -> StorePlace:
    """Return the store that a path names: its own folder, or that of a run.

    Raises:
        Failure: there is no store.
    """
    run = RunFolder(path)
    if run.info_file.is_file():
        return StorePlace(run.traces, run)
    if path.name == run.traces.name and RunFolder(path.parent).info_file.is_file():
        return StorePlace(path, RunFolder(path.parent))
    if (path / INDEX_FILE).is_file() or any(path.glob("*" + trace_file.SUFFIX)):
        return StorePlace(path)
    raise Failure(
        Status.USAGE,
        "no_store",
        f"{path} holds no traces.",
        "Name the folder of a trace store, or of a run.",
    )


class TraceView(Protocol):
    """What there is to read of a store; the bodies are read from its files."""

    root: Path

    def summaries(self) -> list[TraceSummary]:
        """Return every trace with its totals, in the order they were opened."""
        ...

    def header(self, trace_id: str) -> TraceHeader | None:
        """Return the header of a trace that is there and not withdrawn."""
        ...

    def rows(self, trace_id: str) -> Sequence[ClipRow]:
        """Return the rows of a trace in the order of its clips, withdrawn ones included."""
        ...


class HeldView:
    """A store that this process holds."""

    def __init__(self, store: TraceStore) -> None:
        self.root = store.root
        self.store = store

    def summaries(self) -> list[TraceSummary]:
        """Return every trace with its totals."""
        return self.store.index.traces()

    def header(self, trace_id: str) -> TraceHeader | None:
        """Return the header of a trace that is there and not withdrawn."""
        return self.store.header(trace_id)

    def rows(self, trace_id: str) -> Sequence[ClipRow]:
        """Return the rows of a trace."""
        return self.store.index.trace_rows(trace_id)


class ServedView:
    """A store that a run's server holds on this machine: it is asked, its files are read.

    Args:
        root: the store's folder.
        run: the run, with its tokens.
        client: an HTTP client with the server's base URL.
    """

    def __init__(self, root: Path, run: RunFolder, client: httpx.Client) -> None:
        self.root = root
        self.client = client
        self._run = run
        self._rows: dict[str, dict[int, ClipRow]] = {}
        self._traces: list[dict[str, Any]] = []
        self._headers: dict[str, TraceHeader] = {}
        self._last_commit = 0

    def refresh(self) -> None:
        """Ask for what is new.

        Raises:
            httpx.HTTPError: the server is not there, or does not want to answer.
        """
        while rows := self._get(f"/commits?after={self._last_commit}&limit={_PAGE}")["rows"]:
            for row in map(ClipRow.from_json, rows):
                # A withdrawal comes after its clip, as a row of the same number.
                self._rows.setdefault(row.trace_id, {})[row.seq] = row
                self._last_commit = row.commit
        self._traces = self._get("/traces", Role.VIEWER)["traces"]

    def authorisation(self, role: Role) -> dict[str, str]:
        """Return the header that speaks for a role of the run."""
        return {"Authorization": f"Bearer {self._run.read_token(role.value) or ''}"}

    def summaries(self) -> list[TraceSummary]:
        """Return every trace with its totals."""
        return [self._summary(trace) for trace in self._traces]

    def header(self, trace_id: str) -> TraceHeader | None:
        """Return the header of a trace that is there and not withdrawn."""
        withdrawn = {trace["trace_id"]: trace["withdrawn"] for trace in self._traces}
        return None if withdrawn.get(trace_id, True) else self._header(trace_id)

    def rows(self, trace_id: str) -> Sequence[ClipRow]:
        """Return the rows of a trace."""
        return [row for _, row in sorted(self._rows.get(trace_id, {}).items())]

    def _summary(self, trace: dict[str, Any]) -> TraceSummary:
        trace_id = trace["trace_id"]
        rows = self.rows(trace_id)
        live = [row for row in rows if row.state is ClipState.COMMITTED]
        return TraceSummary(
            header=self._header(trace_id),
            state=ClipState.TOMBSTONED if trace["withdrawn"] else ClipState.COMMITTED,
            clips=len(live),
            frames=sum(row.frames for row in live),
            size_bytes=sum(row.length for row in live),
            withdrawn=len(rows) - len(live),
        )

    def _header(self, trace_id: str) -> TraceHeader:
        if trace_id not in self._headers:
            path = self.root / trace_file.file_name(trace_id)
            self._headers[trace_id] = trace_file.read_header(path)
        return self._headers[trace_id]

    def _get(self, path: str, role: Role = Role.TRAINER) -> dict[str, Any]:
        answer = self.client.get(path, headers=self.authorisation(role))
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


@contextmanager
def open_view(place: StorePlace) -> Iterator[HeldView | ServedView]:
    """Open a store for reading and, where nobody else holds it, for writing.

    Raises:
        StoreLocked: another process holds it, and it is no server that answers.
    """
    try:
        store = TraceStore.open(place.root)
    except StoreLocked:
        with _served(place) as view:
            if view is None:
                raise
            yield view
        return
    try:
        yield HeldView(store)
    finally:
        store.close()


@contextmanager
def _served(place: StorePlace) -> Iterator[ServedView | None]:
    address = place.run.read_server() if place.run is not None else None
    if place.run is None or address is None:
        yield None
        return
    with httpx.Client(base_url=address.url, timeout=_TIMEOUT_S) as client:
        view = ServedView(place.root, place.run, client)
        try:
            view.refresh()
        except httpx.HTTPError:
            yield None
        else:
            yield view


def known_summary(view: TraceView, trace_id: str) -> TraceSummary:
    """Return a trace of a store.

    Raises:
        Failure: there is none of that id.
    """
    for summary in view.summaries():
        if summary.header.trace_id == trace_id:
            return summary
    raise Failure(
        Status.USAGE, "unknown_trace", f"no trace {trace_id!r} in {view.root}.",
        "`neuralos traces list` names them.",
    )  # fmt: skip
