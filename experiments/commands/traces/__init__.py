"""``neuralos traces``: look at stored traces, check them, move them, take them back."""

from __future__ import annotations

import click

from experiments.commands.traces.checking import recover, verify
from experiments.commands.traces.looking import list_traces, show
from experiments.commands.traces.moving import export, import_traces, push
from experiments.commands.traces.playing import play
from experiments.commands.traces.relabelling import relabel
from experiments.commands.traces.taking_back import delete


@click.group()
def traces() -> None:
    """Look at stored traces, check them, move them, take them back.

    PATH is the folder of a trace store, or of a run; its server may be running.
    """


for _command in (
    list_traces,
    show,
    verify,
    recover,
    play,
    relabel,
    push,
    export,
    import_traces,
    delete,
):
    traces.add_command(_command)
