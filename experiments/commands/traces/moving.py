"""``neuralos traces push``, ``export`` and ``import``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import httpx

from data_collection.clock import SystemClock
from data_collection.exports import FORMATS as EXPORTS
from data_collection.exports import ExportOptions, exporter_named
from data_collection.imports import FORMATS as IMPORTS
from data_collection.imports import importer_named
from data_collection.storage.store import TraceStore
from data_collection.streaming.send_traces import TraceSender
from data_collection.trace import Consent
from experiments.commands.traces.options import (
    TraceProblem,
    finish,
    path_argument,
    progress_bar,
)
from experiments.console import Failure, Status, json_option
from experiments.trace_access import find_store, known_summary, open_view
from experiments.trace_pushing import push_trace
from interactive.policy import Role
from interactive.server.tokens import read_token

_TIMEOUT_S = 30.0


@click.command()
@path_argument
@click.argument("trace_ids", metavar="[ID]...", nargs=-1)
@click.option("--server", required=True, help="Address of the run's server.")
@click.option(
    "--token-file", required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File with a collector's token: one bare token, or a run's tokens.json.",
)  # fmt: skip
@click.option(
    "--source", help="What the clips count as there: base or live. As stored if left out."
)
@json_option
def push(
    path: Path,
    trace_ids: tuple[str, ...],
    server: str,
    token_file: Path,
    source: str | None,
    as_json: bool,
) -> None:
    """Send the traces of PATH, all or those named, to a run's server.

    \b
    neuralos traces push traces --server http://127.0.0.1:8000 --token-file tokens.json
    neuralos traces push traces ID --source live --server ... --token-file ...

    Sending again changes nothing, and the same command goes on where it was cut off. Exits
    with 1 where the server refused something or put it into quarantine, and says what and why.
    """  # noqa: D301
    token = _collector_token(token_file)
    headers = {"Authorization": f"Bearer {token}"}
    pushed, problems = [], []
    with (
        open_view(find_store(path)) as view,
        httpx.Client(base_url=server, headers=headers, timeout=_TIMEOUT_S) as client,
        progress_bar("clips") as bar,
    ):
        chosen = [known_summary(view, one) for one in trace_ids] or view.summaries()
        sender = TraceSender(client, SystemClock())
        total, done = sum(one.clips for one in chosen), 0
        for summary in chosen:
            header = replace(summary.header, source=source or summary.header.source)
            sent = push_trace(sender, view.root, header, view.rows(header.trace_id))
            pushed.append(sent.to_json())
            problems += [TraceProblem(r.trace, r.clip, r.code, r.hint) for r in sent.refusals]
            done += summary.clips
            bar(done, total)
    counts = f"{sum(one['sent'] for one in pushed)} sent, {sum(one['present'] for one in pushed)}"
    text = f"{len(pushed)} traces: {counts} clips there already, {len(problems)} refused"
    finish("push", pushed, problems, as_json=as_json, text=text)


def _collector_token(token_file: Path) -> str:
    try:
        return read_token(token_file, Role.COLLECTOR)
    except (OSError, KeyError, ValueError) as error:
        message = f"no collector's token in {token_file}: {error}."
        raise Failure(Status.USAGE, "no_token", message) from None


@click.command()
@path_argument
@click.argument("trace_ids", metavar="[ID]...", nargs=-1)
@click.option(
    "--format", "layout", required=True, metavar="|".join(EXPORTS), help="The layout to write."
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder to make for it."
)
@click.option("--lossless", is_flag=True, help="Keep every pixel instead of compressing video.")
@click.option("--crf", type=click.IntRange(0, 51), default=18, show_default=True,
              help="Quality of compressed video: 0 is the best.")  # fmt: skip
@click.option(
    "--frames", "frame_source", type=click.Choice(["real", "simulator", "any"]), default="real",
    show_default=True, help="Which traces, by where their frames came from.",
)  # fmt: skip
@click.option("--segment-frames", type=click.IntRange(1), default=32, show_default=True,
              help="Length of a WebDataset sample.")  # fmt: skip
@json_option
def export(
    path: Path,
    trace_ids: tuple[str, ...],
    layout: str,
    out: Path,
    lossless: bool,
    crf: int,
    frame_source: str,
    segment_frames: int,
    as_json: bool,
) -> None:
    """Write the traces of PATH, all or those named, in the layout of another program.

    \b
    neuralos traces export traces --format mp4 --out videos
    neuralos traces export traces --format lerobot --out dataset --lossless

    Only what was agreed to and not withdrawn is exported; the folder appears when it is whole.
    """  # noqa: D301
    exporter = exporter_named(layout)
    options = ExportOptions(
        lossless=lossless,
        crf=crf,
        frame_source=frame_source,  # type: ignore[arg-type]  # click has checked it
        segment_frames=segment_frames,
    )
    with open_view(find_store(path)) as view, progress_bar("frames") as bar:
        chosen = [known_summary(view, one) for one in trace_ids] or view.summaries()
        report = exporter.export(view.root, chosen, view.rows, out, options=options, progress=bar)
    exported = [{"id": one} for one in report.traces]
    text = (
        f"{report.episodes} episodes, {report.frames} frames, {report.bytes / 1e6:.1f} MB in {out}"
        + (f"; {len(report.left_out)} traces or clips left out" if report.left_out else "")
    )
    finish(
        "export",
        exported,
        [],
        as_json=as_json,
        text=text,
        files=list(report.files),
        episodes=report.episodes,
        frames=report.frames,
        bytes=report.bytes,
        left_out=[
            {"trace": one.trace, "clip": one.clip, "code": one.code, "hint": one.hint}
            for one in report.left_out
        ],
    )


@click.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--format", "layout", required=True, metavar="|".join(IMPORTS), help="What SOURCE holds."
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the trace store to add to.",
)  # fmt: skip
@click.option(
    "--consent", required=True, type=click.Choice([one.value for one in Consent]),
    help="given: the recorded people agreed. synthetic: no person was recorded.",
)  # fmt: skip
@json_option
def import_traces(source: Path, layout: str, out: Path, consent: str, as_json: bool) -> None:
    """Add the recordings of another program to a store.

    \b
    neuralos traces import session_20250101.jsonl --format demo-logs --consent given --out traces

    Whoever imports answers for the people in the recording: there is no default.
    Importing again changes nothing. Lines that were mended, or that could not be used, are
    named in the object's warnings.
    """  # noqa: D301
    importer = importer_named(layout)
    store = TraceStore.open(out)
    try:
        with progress_bar("bytes") as bar:
            report = importer.load(source, store, consent=Consent(consent), progress=bar)
    finally:
        store.close()
    imported = [
        {
            "id": one.id,
            "frames": one.frames,
            "events": one.events,
            "frame_source": one.frame_source,
            "new": one.new,
        }
        for one in report.traces
    ]
    warnings = [
        {"file": one.file, "line": one.line, "code": one.code, "hint": one.hint}
        for one in report.problems
    ]
    new = sum(one.new for one in report.traces)
    text = f"{len(imported)} traces in {out}, {new} of them new; {len(warnings)} lines were odd"
    finish("import", imported, [], as_json=as_json, text=text, warnings=warnings)
