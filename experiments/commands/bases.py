"""``neuralos bases``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click

from experiments.connection import Connection
from experiments.console import Failure, Status, emit, json_option
from experiments.packing import Extra, pack_base, read_card, size_bytes
from neuralos.bases import BASES, base_names

_NAME = re.compile("[a-z][a-z0-9-]*")


@click.group()
def bases() -> None:
    """The trained simulators that come with the package: list them, or make one of a run.

    A base is played by `neuralos play NAME`, recorded by `neuralos record --desktop NAME`
    and trained further by `neuralos train --from NAME`.
    """


@bases.command("list")
@json_option
def list_(as_json: bool) -> None:
    """Show the bases: steps, size, and how each was made."""
    found = [_values(name, read_card(BASES / name)) for name in base_names()]
    text = "\n".join(
        f"{base['name']}: step {base['step']}, {base['size_bytes'] / 1e6:.1f} MB; {base['command']}"
        for base in found
    )
    emit("bases.list", {"bases": found}, as_json=as_json, text=text or "there is none here")


@bases.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--name", required=True, help="What the base is called: small letters and hyphens.")
@click.option("--checkpoint", help="Which checkpoint; the newest if not said.")
@click.option("--cpu-seconds", type=float, help="The processor's time, where somebody took it.")
@click.option(
    "--scores",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File with the object that `neuralos evaluate --json` printed for it.",
)
@json_option
def pack(
    run: Path,
    name: str,
    checkpoint: str | None,
    cpu_seconds: float | None,
    scores: Path | None,
    as_json: bool,
) -> None:
    """Make a base of a checkpoint of RUN, in the installed package.

    Its weights are kept in half precision or less, with the run's configuration, its ledger, a
    thinned curve and a card beside them.
    """
    if not _NAME.fullmatch(name) or name in ("scripted", "x11"):
        raise Failure(
            Status.USAGE, "bad_name", f"{name!r} cannot be a base's name.", "Say base, say."
        )
    folder = Connection(run, None, None).folder()
    extra = Extra(cpu_seconds, _read_scores(scores))
    try:
        card = pack_base(folder, BASES / name, checkpoint, extra)
    except ValueError as error:
        raise Failure(Status.CHECK_FAILED, "checkpoint", f"{error}.") from None
    values = _values(name, card)
    text = f"{BASES / name}: step {card['step']}, {values['size_bytes'] / 1e6:.1f} MB"
    emit("bases.pack", values, as_json=as_json, text=text)


def _read_scores(path: Path | None) -> Any:
    if path is None:
        return None
    try:
        # The command's object is the last line, whatever was printed before it.
        return json.loads(path.read_text("utf-8").strip().splitlines()[-1])
    except (ValueError, IndexError):
        hint = "Write it with: neuralos evaluate … --json > FILE"
        raise Failure(Status.USAGE, "scores", f"{path} holds no JSON object.", hint) from None


def _values(name: str, card: dict[str, Any]) -> dict[str, Any]:
    folder = BASES / name
    return {
        "name": name,
        "folder": str(folder),
        "size_bytes": size_bytes(folder),
        **{key: card[key] for key in ("step", "command", "parameters", "training", "scores")},
    }
