"""How many clients can stream to one server, and how long until a clip can be learned from?

python benchmarks/ingest.py --json

Each row is a real server process (``neuralos train``'s) on loopback with a store of its
own, and clients that stream recorded scripted clips for a while, a clip of 15 frames a
second each. Rows with a trainer have that of ``neuralos train`` learning meanwhile.

``ack_s``: from the request to the acknowledgement. ``eligible_lag_s``: from a clip's last
frame to the adoption of its mark (rows with a trainer, from the run's ledger) or to its row
standing in ``/commits`` (rows without). ``first_gradient_lag_s``: to the end of the first
step that learned from the clip. A window's own time to hold and encode is not in them. A
row *keeps up* if every clip was acknowledged and the p95 of its eligible lag is 3 s at most.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import resource
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from ingest_clients import DRAIN_S, Endpoint, Recording, Sent, record, stream
from rich.console import Console

from data_collection.storage.store import TraceStore
from experiments.address import Address, free_port
from experiments.config import HarnessConfig, load_config, open_or_create
from experiments.lags import clip_paths
from experiments.loop import Loop, Parts, prepare_base
from experiments.summary import read_rows
from interactive.policy import Role
from interactive.record.ledger import read_ledger
from interactive.record.metrics import read_metrics
from interactive.record.run_folder import RunFolder
from interactive.server.tokens import create_tokens
from neuralos.data.mixture import LIVE_SOURCE

SCHEMA = "neuralos.benchmark.ingest/1"
RECORDINGS = 8
KEEPS_UP_S = 3.0
PREFIX = "bench"
PATIENCE_S = 180.0
WARM_STEPS = 20
TAIL_S = 5.0
"""How long the trainer goes on after the last clip."""
SAY = Console(stderr=True)


@dataclass(frozen=True)
class Row:
    """One load: so many clients at once; lags and times in seconds, p50 and p95."""

    clients: int
    trainer: bool
    sent: int
    acknowledged: int
    stored: int
    retried: int
    refused: tuple[str, ...]
    clips_per_s: float
    ack_s: tuple[float, float]
    eligible_lag_s: tuple[float, float]
    first_gradient_lag_s: tuple[float, float] | None
    steps: int
    cpu_s: float
    """Processor time of the server, its workers and the trainer, from start to end."""
    keeps_up: bool


def percentiles(values: Sequence[float]) -> tuple[float, float]:
    """Return p50 and p95."""
    ordered = sorted(values) or [float("nan")]
    last = len(ordered) - 1
    return round(ordered[round(0.5 * last)], 4), round(ordered[round(0.95 * last)], 4)


@contextmanager
def running(folder: RunFolder, config: HarnessConfig, trainer: bool) -> Iterator[Endpoint]:
    """Run a server, and a trainer where one is asked for, until the block ends."""
    tokens = create_tokens(folder).secret_of
    port = free_port("127.0.0.1", 0, None)
    loop = Loop(folder, Parts(Address(port=port), seed=config.seed))
    if trainer:
        prepare_base(folder, config.base, config.seed, lambda text: None)
    try:
        loop.start_server()
        if trainer:
            loop.start_trainer()
        _wait(lambda: _answers(port), "the server")
        if trainer:
            _wait(lambda: len(list(read_metrics(folder.metrics))) >= WARM_STEPS, "the trainer")
        yield Endpoint("127.0.0.1", port, tokens[Role.COLLECTOR], tokens[Role.TRAINER])
        time.sleep(TAIL_S if trainer else 0.0)
    finally:
        loop.end()


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise click.ClickException(f"{what} did not start")
        time.sleep(0.2)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def measure(
    root: Path, config: HarnessConfig, recordings: Sequence[Recording], clients: int, seconds: int,
    *, trainer: bool,
) -> Row:  # fmt: skip
    """Put one load on a server and count what came of it."""
    folder = open_or_create(
        root / f"{clients}-{'trainer' if trainer else 'server'}", config, SAY.print
    )
    before_s = _children_cpu_s()
    with running(folder, config, trainer) as endpoint:
        SAY.print(f"{clients} clients{', a trainer' if trainer else ''}: {seconds} s …")
        sent = asyncio.run(stream(endpoint, recordings, PREFIX, clients, seconds))
        ended_s = time.time()
    cpu_s = _children_cpu_s() - before_s
    stored = _stored(folder)
    lags = _lags(folder, ended_s) if trainer else (sent.visible_lag_s, None)
    eligible = percentiles(lags[0])
    acknowledged = len(sent.captured_s)
    return Row(
        clients=clients,
        trainer=trainer,
        sent=sent.sent,
        acknowledged=acknowledged,
        stored=stored,
        retried=sent.retried,
        refused=tuple(sorted(set(sent.refused))),
        clips_per_s=round(acknowledged / _duration_s(sent), 1),
        ack_s=percentiles(sent.ack_s),
        eligible_lag_s=eligible,
        first_gradient_lag_s=percentiles(lags[1]) if lags[1] is not None else None,
        steps=len(list(read_metrics(folder.metrics))) if trainer else 0,
        cpu_s=round(cpu_s, 1),
        keeps_up=acknowledged == sent.planned and eligible[1] <= KEEPS_UP_S,
    )


def _duration_s(sent: Sent) -> float:
    """From a second before the first clip was whole to the last row seen."""
    times = [*sent.captured_s.values()]
    return max([*sent.seen_s.values(), *times]) - min(times) + 1.0 if times else float("inf")


def _stored(folder: RunFolder) -> int:
    """Count the clients' clips in the store, read back whole."""
    store = TraceStore.open(folder.traces)
    try:
        problems = store.verify()
        if problems:
            raise click.ClickException(f"the store is damaged: {problems[:3]}")
        traces = [t for t in store.index.traces() if t.header.trace_id.startswith(PREFIX)]
        return sum(trace.clips for trace in traces)
    finally:
        store.close()


def _lags(folder: RunFolder, ended_s: float) -> tuple[list[float], list[float]]:
    """Return both lags of the clients' clips; one that no step used counts with its age."""
    rows = read_rows(folder.data)
    paths = clip_paths(rows, read_ledger(folder.ledger), read_metrics(folder.metrics))
    ours = [path for path in paths.values() if path.row.trace_id.startswith(PREFIX)]
    learnable = [path for path in ours if path.row.weight > 0]
    now_s = ended_s + TAIL_S
    return (
        [lag for path in ours if (lag := path.eligible_lag_s(now_s)) is not None],
        [lag for path in learnable if (lag := path.first_gradient_lag_s(now_s)) is not None],
    )


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def show(row: Row) -> None:
    """Print a row of the table."""
    first = f"{row.first_gradient_lag_s[1]:>9.2f}" if row.first_gradient_lag_s else f"{'':>9}"
    print(
        f"{row.clients:>7}{'yes' if row.trainer else 'no':>8}{row.sent:>7}{row.acknowledged:>7}"
        f"{row.stored:>7}{1e3 * row.ack_s[0]:>9.0f}{1e3 * row.ack_s[1]:>9.0f}"
        f"{row.eligible_lag_s[1]:>10.2f}{first}{row.cpu_s:>8.0f}"
        f"{'yes' if row.keeps_up else 'NO':>9}",
        flush=True,
    )


@click.command()
@click.option(
    "--clients", default="1,8,32,64,128,256,512", show_default=True, help="Loads, rising."
)
@click.option("--with-trainer", default="1,32", show_default=True, help="Loads beside a trainer.")
@click.option("--seconds", default=60, show_default=True, help="How long each load lasts.")
@click.option(
    "--set", "overrides", multiple=True, help="Setting of the trainer: section.key=value."
)
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
def main(
    clients: str, with_trainer: str, seconds: int, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Raise the load until the server saturates and print one table."""
    config = load_config(None, overrides, 1)
    recordings = record(RECORDINGS, seconds, LIVE_SOURCE)
    rows: list[Row] = []
    print(
        f"{'clients':>7}{'trainer':>8}{'sent':>7}{'acked':>7}{'stored':>7}{'ack p50':>9}"
        f"{'p95 ms':>9}{'elig p95':>10}{'grad p95':>9}{'cpu s':>8}{'keeps up':>9}"
    )
    saturating = None
    with tempfile.TemporaryDirectory(prefix="ingest-benchmark-") as place:
        root = Path(place)
        for count in map(int, filter(None, with_trainer.split(","))):
            rows.append(measure(root, config, recordings, count, seconds, trainer=True))
            show(rows[-1])
        for count in map(int, filter(None, clients.split(","))):
            rows.append(measure(root, config, recordings, count, seconds, trainer=False))
            show(rows[-1])
            if not rows[-1].keeps_up:
                saturating = count
                break
    ours = [row.clients for row in rows if not row.trainer and row.keeps_up]
    most = max(ours, default=0)
    print(f"keeps up with {most} clients; saturates at {saturating or f'more than {most}'}")
    if as_json:
        print(json.dumps(_report(rows, seconds, most, saturating)))


def _report(rows: Sequence[Row], seconds: int, most: int, saturating: int | None) -> dict[str, Any]:
    packages = ("uvicorn", "fastapi", "zstandard", "numpy", "torch")
    return {
        "schema": SCHEMA,
        "seconds": seconds,
        "drain_s": DRAIN_S,
        "rows": [asdict(row) for row in rows],
        "keeps_up_with": most,
        "saturates_at": saturating,
        "equal": all(row.acknowledged == row.stored for row in rows),
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "os": sys.platform,
        },
        "versions": {"python": platform.python_version()} | {p: version(p) for p in packages},
    }


if __name__ == "__main__":
    main()
