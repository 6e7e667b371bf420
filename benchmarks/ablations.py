"""What is each choice of ``fast`` worth at tiny scale, for the same processor time?

python benchmarks/ablations.py --choice path --json

Every variant is trained from the same data for the same CPU seconds of one thread and then
rolled out on the suite. Finished rows and unfinished trainings are kept in ``--out``, so a run
that was cut off goes on, and variants that several choices share are trained once.
``--table`` prints all rows that are there.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click
import torch
from report import circumstances
from rich.console import Console

from data_collection.clock import SystemClock
from data_collection.storage.store import TraceStore
from data_collection.trace import ClipRow
from experiments.base_data import BaseConfig, make_base
from neuralos.build import build_trainer, make_deterministic
from neuralos.config import read_document
from neuralos.data.reading import clips_of
from neuralos.evaluation import Evaluation, evaluate_suite
from neuralos.models.simulator import Simulator
from neuralos.run_config import NeuralosConfig
from neuralos.training.trainer import Trainer

SCHEMA = "neuralos.benchmark.ablations/1"
CONFIG = Path(__file__).parents[1] / "configs" / "fast-tiny.toml"
SUITE = "basic-v1"
MEASURES = ("cursor_within_2px", "psnr_changed", "transitions")
_SAVE_EVERY_S = 30.0
_DATA_SEED = 5


@dataclass(frozen=True, slots=True)
class Variant:
    """Overrides of the configuration, how it is drawn, and the share of time for distilling."""

    overrides: tuple[str, ...] = ()
    steps: int = 1
    distilling: float = 0.0


@dataclass(frozen=True, slots=True)
class Choice:
    """A question and its possible answers."""

    question: str
    variants: Mapping[str, Variant]


def _fast(**values: object) -> tuple[str, ...]:
    return tuple(
        f"simulator.fast.{key.replace('__', '.')}={value}" for key, value in values.items()
    )


def _path(kind: str, start: str) -> Variant:
    return Variant(_fast(path__kind=kind, path__start=start))


_TOLD = _fast(path__shortcuts="true")
_PLAIN = Variant()

CHOICES: Mapping[str, Choice] = {
    "path": Choice(
        "objective: the published schedule, EDM, or flow, each from noise",
        {kind: _path(kind, "noise") for kind in ("ddpm", "edm", "flow")},
    ),
    "start": Choice(
        "the sampler starts from noise or from the latent before",
        {"noise": _path("flow", "noise"), "previous": _PLAIN}
        | {"previous, edm": _path("edm", "previous")},
    ),
    "steps": Choice("sampler steps", {str(steps): Variant(steps=steps) for steps in (1, 2, 4)}),
    "distillation": Choice(
        "the last 30 % of the time for distillation, or for more of the same",
        {
            "without, 1 step": _PLAIN,
            "without, 2 steps": Variant(steps=2),
            "with, 1 step": Variant(_TOLD, distilling=0.3),
            "with, 2 steps": Variant(_TOLD, steps=2, distilling=0.3),
        },
    ),
    "cursor": Choice(
        "what is told of the pointer",
        {kind: Variant(_fast(inputs__cursor=kind)) for kind in ("map", "offsets", "table")},
    ),
    "inputs": Choice(
        "buttons held, wheel and duration of the frame",
        {
            "all": _PLAIN,
            "no buttons": Variant(_fast(inputs__buttons="false")),
            "no wheel": Variant(_fast(inputs__wheel="false")),
            "no duration": Variant(_fast(inputs__period="false")),
            "none": Variant(
                _fast(inputs__buttons="false", inputs__wheel="false", inputs__period="false")
            ),
        },
    ),
    "loss": Choice(
        "loss on every frame of a segment or on its last",
        {"every": _PLAIN, "last": Variant(('training.stage.fast.loss_on="last"',))},
    ),
    "head": Choice(
        "the head of the recurrent network",
        {kind: Variant(_fast(tracker__head=kind)) for kind in ("upsampling", "linear")},
    ),
    "recurrence": Choice(
        "the recurrence",
        {kind: Variant(_fast(tracker__recurrence=kind)) for kind in ("lstm", "mingru")},
    ),
    "gate": Choice(
        "cells that do not change are kept, or everything is drawn; with memory or without",
        {
            "gate and memory": _PLAIN,
            "no gate": Variant(_fast(gate="false")),
            "no memory": Variant(_fast(memory="false")),
            "neither": Variant(_fast(gate="false", memory="false")),
        },
    ),
}


@dataclass(frozen=True, slots=True)
class Setting:
    """What all variants share: CPU seconds of training, data, seed, episodes of a group."""

    out: Path
    cpu_s: float
    traces: int
    seed: int
    each: int | None

    def name(self, variant: Variant) -> str:
        """Return the name of a variant's training: variants of one training share it."""
        config = NeuralosConfig.of(read_document(CONFIG, variant.overrides))
        parts = (config, variant.distilling, self.cpu_s, self.traces, self.seed)
        return hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()


@click.command()
@click.option("--choice", "name", type=click.Choice(sorted(CHOICES)), help="Which one.")
@click.option("--cpu-seconds", default=600.0, show_default=True, help="Of training a variant.")
@click.option("--traces", default=240, show_default=True, help="Base traces of ten seconds.")
@click.option("--seed", default=0, show_default=True, help="Of weights, draws and noise.")
@click.option("--each", type=int, help="Only so many episodes of each group of the suite.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/ablations"))
@click.option("--table", "as_table", is_flag=True, help="Print the rows that are there.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
def main(
    name: str | None,
    cpu_seconds: float,
    traces: int,
    seed: int,
    each: int | None,
    out: Path,
    as_table: bool,
    as_json: bool,
) -> None:
    """Train the variants of a choice for equal time and measure each on the suite."""
    make_deterministic()
    out.mkdir(parents=True, exist_ok=True)
    if as_table:
        print(table(list(read_rows(out))))
        return
    if name is None:
        raise click.UsageError(f"--choice is one of {', '.join(sorted(CHOICES))}")
    setting = Setting(out, cpu_seconds, traces, seed, each)
    rows = list(measure(name, setting, Console(stderr=True).print))
    found: dict[str, Any] = {"schema": SCHEMA, "choice": name, "rows": rows}
    print(
        json.dumps({**found, **circumstances(("torch", "diffusers"))}) if as_json else table(rows)
    )


def measure(name: str, setting: Setting, say: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Yield a choice's rows; those that are there are not measured again."""
    done = {(row["choice"], row["variant"], row["key"]): row for row in read_rows(setting.out)}
    for label, variant in CHOICES[name].variants.items():
        key = f"{setting.name(variant)}-{variant.steps}-{setting.each or 'all'}"
        row = done.get((name, label, key))
        if row is None:
            say(f"{name}: {label}")
            row = {"choice": name, "variant": label, "key": key, **_row(variant, setting, say)}
            with (setting.out / "rows.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        yield row


def read_rows(out: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows that earlier runs have measured."""
    path = out / "rows.jsonl"
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            yield json.loads(line)


def _row(variant: Variant, setting: Setting, say: Callable[[str], None]) -> dict[str, Any]:
    simulator, step = _trained(variant, setting, say)
    simulator.config = replace(simulator.config, sampler_steps=variant.steps)
    evaluation: Evaluation = evaluate_suite(simulator, SUITE, each=setting.each, seed=setting.seed)
    measures = evaluation.measures()
    return {
        "seed": setting.seed,
        "cpu_s": setting.cpu_s,
        "updates": step,
        "parameters": sum(p.numel() for p in simulator.parameters()),
        "suite": evaluation.name,
        "frame_ms": sorted(evaluation.frame_ms)[len(evaluation.frame_ms) // 2],
        "measures": {name: measures[name] for name in MEASURES if name in measures},
    }


def _trained(
    variant: Variant, setting: Setting, say: Callable[[str], None]
) -> tuple[Simulator, int]:
    """Return a variant's averaged simulator and its updates, training what is left to train."""
    traces = _base(setting)
    overrides = (*variant.overrides, f"training.seed={setting.seed}")
    config = NeuralosConfig.of(read_document(CONFIG, overrides))
    trainer = build_trainer(config, clips_of(traces), time.process_time)
    folder = setting.out / setting.name(variant)
    about = folder / "spent.json"
    spent_s = 0.0
    if about.exists():
        spent_s = json.loads(about.read_text(encoding="utf-8"))["cpu_s"]
        trainer.load(folder)
    else:
        rows = _rows(traces)
        trainer.adopt(len(rows), rows)
    began_s, saved_s = time.process_time() - spent_s, spent_s
    until_distilling_s = setting.cpu_s * (1 - variant.distilling)
    while (spent_s := time.process_time() - began_s) < setting.cpu_s:
        if spent_s >= until_distilling_s and trainer.course.stage.name == "fast":
            trainer.begin_stage("distilled")
        trainer.train_step()
        if spent_s - saved_s > _SAVE_EVERY_S:
            saved_s = spent_s
            _save(trainer, folder, spent_s)
            say(f"  {spent_s:.0f} of {setting.cpu_s:.0f} s, {trainer.step} updates")
    _save(trainer, folder, spent_s)
    return trainer.averaged(), trainer.step


def _save(trainer: Trainer, folder: Path, spent_s: float) -> None:
    """Save a training whole or not at all."""
    written = folder.with_suffix(".new")
    shutil.rmtree(written, ignore_errors=True)
    written.mkdir()
    trainer.save(written)
    (written / "spent.json").write_text(json.dumps({"cpu_s": spent_s}), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    written.rename(folder)


def _base(setting: Setting) -> Path:
    folder = setting.out / f"traces-{setting.traces}"
    store = TraceStore.open(folder)
    make_base(store, BaseConfig(traces=setting.traces), _DATA_SEED, SystemClock())
    store.close()
    return folder


def _rows(traces: Path) -> list[ClipRow]:
    store = TraceStore.open(traces)
    rows = list(store.index.rows_after(0, 10**9))
    store.close()
    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as a Markdown table, each number with its 95 % interval."""
    lines = [
        "| choice | variant | cursor ≤ 2 px | PSNR on changed pixels, dB | transitions | updates "
        "| parameters | ms a frame | CPU-s, seed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        told = [_told(row["measures"].get(name)) for name in MEASURES]
        lines.append(
            f"| {row['choice']} | {row['variant']} | {' | '.join(told)} | {row['updates']} "
            f"| {row['parameters'] / 1e6:.2f} M | {row['frame_ms']:.1f} "
            f"| {row['cpu_s']:.0f}, {row['seed']} |"
        )
    return "\n".join(lines)


def _told(measure: Mapping[str, Any] | None) -> str:
    if measure is None:
        return ""
    low, high = measure["ci95"]
    return f"{measure['model']:.3g} ({low:.3g} – {high:.3g}; copy {measure['copy_last']:.3g})"


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
