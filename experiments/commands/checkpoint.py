"""``neuralos checkpoint``."""

from __future__ import annotations

from pathlib import Path

import click

from experiments.console import Status, emit, json_option, note


@click.group()
def checkpoint() -> None:
    """Take over checkpoints of the public model, and check that they are understood."""


@checkpoint.command("import")
@click.argument("source", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--to",
    "out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder to make: unet, vae and temporal_encoder as diffusers lays them out.",
)
@click.option(
    "--prediction",
    type=click.Choice(["x0", "eps"]),
    help="What the UNet predicts, if its configuration does not say; else x0.",
)
@click.option(
    "--head-channels",
    type=click.IntRange(min=1),
    help="Channels of one attention head of the UNet, likewise; else 32.",
)
@click.option(
    "--stats",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The statistics of latents; else latent_stats.json beside the weights.",
)
@click.option(
    "--sampler-steps",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Steps in which a frame is drawn when the checkpoint is played.",
)
@click.option("--average", is_flag=True, help="Take the averaged weights (model_ema).")
@json_option
def import_checkpoint(
    source: Path,
    out: Path,
    prediction: str | None,
    head_channels: int | None,
    stats: Path | None,
    sampler_steps: int,
    average: bool,
    as_json: bool,
) -> int:
    """Import SOURCE, a checkpoint in the layout of the public NeuralOS.

    SOURCE is a folder with model.safetensors (which may be a zip made by torch.save), or
    that file. Sizes are read from the tensors. Nothing in it is run.
    """
    from neuralos.checkpoints.folder import Sampling
    from neuralos.checkpoints.importing import import_public
    from neuralos.checkpoints.public import ImportChoices

    choices = ImportChoices(head_channels, prediction, stats, average)
    imported = import_public(source, out, choices, Sampling(sampler_steps))
    for line in imported.notes:
        note(line)
    ok = all(quantity.ok for quantity in imported.quantities)
    values = {
        "checkpoint": str(out),
        "parameters": imported.parameters,
        "notes": imported.notes,
        "quantities": [quantity.to_json() for quantity in imported.quantities],
        "ok": ok,
    }
    emit("checkpoint.import", values, as_json=as_json, text=f"{out}: {imported.summary}")
    return int(Status.OK if ok else Status.CHECK_FAILED)


@checkpoint.command()
@click.argument("fixture", type=click.Path(path_type=Path, exists=True, file_okay=False))
@json_option
def check(fixture: Path, as_json: bool) -> int:
    """Import FIXTURE and compare all that was recorded with it.

    A fixture is a checkpoint with inputs and what the public code computed from them.
    """
    from neuralos.checkpoints.check import check_fixture

    quantities = check_fixture(fixture)
    wrong = [quantity for quantity in quantities if not quantity.ok]
    for quantity in wrong:
        found = "nothing" if quantity.max_abs_err is None else f"{quantity.max_abs_err:.3g}"
        note(f"{quantity.name}: differs by {found}, allowed is {quantity.tolerance:.3g}")
    emit(
        "checkpoint.check",
        {"quantities": [quantity.to_json() for quantity in quantities], "ok": not wrong},
        as_json=as_json,
        text=f"{len(quantities) - len(wrong)} of {len(quantities)} quantities agree",
    )
    return int(Status.CHECK_FAILED if wrong else Status.OK)
