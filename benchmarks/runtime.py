"""How long does it take from an event to the encoded frame, and how many can play at once?

python benchmarks/runtime.py --device cpu --config tiny --slots 1,8 --json
python benchmarks/runtime.py --device cuda --config fast --slots 1,8,32 --json

Clients hand in an input each, all at the same moment, and wait for their frames: the worst
case of a server that ticks. ``tiny``, ``fast`` and ``paper`` have random weights, which are
as fast as trained ones; a checkpoint's folder or a base's name has its own. A second table
tells where the time of one step goes, in processor time on a CPU. Sessions that a CPU computes
together are measured beside those that it computes apart, as it does by itself.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from report import circumstances
from torch import Tensor

from data_collection.action import Action
from data_collection.desktops.scripted import ScriptedDesktop
from data_collection.trace import FPS
from neuralos.bases import base_folder, base_names
from neuralos.build import build_simulator
from neuralos.data.encode import encode_action, encode_keys, reduce_frames
from neuralos.keyed import numpy_generator
from neuralos.models.patch_code import PatchCode
from neuralos.models.simulator import Simulator
from neuralos.run_config import read_config
from neuralos.runtime.capture import (
    DeviceMissing,
    DevicePlan,
    Step,
    capture,
    finish,
    plan_for,
    to_host,
)
from neuralos.runtime.driver import Client, Driver
from neuralos.runtime.encoding import FORMATS, Encoded, Encoder, EncodingConfig, encode
from neuralos.runtime.engine import Engine, Known, make_buffers, make_engine
from neuralos.runtime.inputs import Controls, controls_of
from neuralos.weights import load_simulator

SCHEMA = "neuralos.benchmark.runtime/1"
CONFIGS = ("tiny", "fast", "paper")
PACKAGES = ("torch", "diffusers", "numpy", "pillow")
WARM_ROUNDS = 5
BUDGET_MS = 1000 / FPS
WAIT_S = 600


@dataclass(frozen=True)
class Row:
    """Sessions that play at once; ``fps`` are frames a second that each of them gets.

    ``cpu_ms`` is the processor time of a frame of one session, encoding included.
    """

    config: str
    device: str
    mode: str
    sessions: int
    p50_ms: float
    p99_ms: float
    fps: float
    cpu_ms: float
    cpu_fps: float
    memory_mib: int


@dataclass(frozen=True)
class Parts:
    """Milliseconds of one step of so many sessions, by part.

    ``track`` is what following a known frame takes: the recurrent network. ``draw`` is the
    rest of drawing a latent: context and sampler. ``rest`` is the engine's own.
    """

    config: str
    mode: str
    sessions: int
    track_ms: float
    draw_ms: float
    decode_ms: float
    copy_ms: float
    rest_ms: float
    encode_ms: float


def load(config: str) -> Simulator:
    """Return the simulator of a name, a base, or a checkpoint's folder."""
    if config in base_names():
        return load_simulator(base_folder(config)).simulator
    if config not in CONFIGS:
        return load_simulator(Path(config)).simulator
    file = Path(__file__).parents[1] / "configs" / f"{config}.toml"
    simulator = build_simulator(read_config(file).simulator, seed=0).eval()
    if isinstance(simulator.autoencoder, PatchCode):
        frames, _ = desktop_frames(64)
        simulator.autoencoder.fit(reduce_frames(frames, simulator.screen))
    return simulator


def desktop_frames(count: int) -> tuple[np.ndarray, list[Action]]:
    """Return frames of the scripted desktop, and where the pointer was in each."""
    desktop = ScriptedDesktop()
    frames = [desktop.reset(1)] + [desktop.step([]) for _ in range(count - 1)]
    cursor = desktop.state()["cursor"]
    return np.stack(frames), [Action(x_px=cursor["x_px"], y_px=cursor["y_px"])] * count


def known_start(simulator: Simulator) -> Known:
    """Return the frames from which every session goes on."""
    frames, actions = desktop_frames(2)
    keys = np.stack([encode_keys(action, action) for action in actions])
    numbers = np.stack([encode_action(action) for action in actions])
    return Known(reduce_frames(frames, simulator.screen), numbers, keys)


def inputs(session: int, count: int) -> list[Controls]:
    """Return what a restless user does: the pointer moves, clicks, and keys are hit."""
    rng = numpy_generator(0, "benchmark", session)
    actions, x_px, y_px = [Action()], 200, 150
    for _ in range(count):
        x_px = int(np.clip(x_px + rng.integers(-40, 41), 0, 511))
        y_px = int(np.clip(y_px + rng.integers(-40, 41), 0, 383))
        keys = frozenset({int(rng.integers(4, 40))}) if rng.random() < 0.2 else frozenset()
        clicked = (bool(rng.random() < 0.1), False, False)
        actions.append(Action(x_px, y_px, clicked, clicked, keys=keys, keys_held=keys))
    return [controls_of(*pair) for pair in zip(actions[1:], actions, strict=False)]


def measure(engine: Engine, encoding: EncodingConfig, sessions: int, rounds: int) -> list[float]:
    """Return the seconds from input to encoded frame of every frame of every session."""
    encoder, known = Encoder(encoding), known_start(engine.simulator)
    driver = Driver(engine, encoder)
    driver.start()
    clients = [
        driver.connect(engine.board(f"client {n}", n, known)).result(WAIT_S)
        for n in range(sessions)
    ]
    said = [inputs(n, rounds) for n in range(sessions)]
    seconds: list[float] = []
    for index in range(rounds):
        seconds += _round(driver, clients, [one[index] for one in said])
    driver.close()
    encoder.close()
    return seconds


def _round(driver: Driver, clients: list[Client], said: list[Controls]) -> list[float]:
    ended: dict[int, float] = {}

    def note(n: int) -> Callable[[Future[Encoded]], None]:
        return lambda _: ended.__setitem__(n, time.perf_counter())

    futures = [client.frame() for client in clients]
    for n, future in enumerate(futures):
        future.add_done_callback(note(n))
    start_s = time.perf_counter()
    for client, controls in zip(clients, said, strict=True):
        driver.submit(client, controls)
    for future in futures:
        future.result(WAIT_S)
    return [end_s - start_s for end_s in ended.values()]


def memory_mib(plan: DevicePlan) -> int:
    """Return the most memory so far: of the device, or of this process."""
    if plan.device.type == "cuda":
        return torch.cuda.max_memory_allocated() // 2**20
    most_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most_kib // (2**20 if sys.platform == "darwin" else 2**10)


@torch.inference_mode()
def measure_parts(
    simulator: Simulator, plan: DevicePlan, sessions: int, config: str, encoding: EncodingConfig
) -> Parts:
    """Time the parts of one step; where sessions are apart, those of one, times their number."""
    rows = 1 if plan.apart else sessions
    buffers = make_buffers(simulator, rows, plan)
    state, action, keys = buffers.state, buffers.action_BA, buffers.keys_BK
    buffers.noise_BCHW.normal_(generator=torch.Generator(plan.device).manual_seed(0))

    def track() -> tuple[Tensor, ...]:
        with plan.autocast():
            return simulator.take(state, state.latent, action, keys).tensors()

    def step() -> tuple[Tensor, ...]:
        with plan.autocast():
            latent, after = simulator.step(state, action, keys, buffers.noise_BCHW)
        return (latent, *after.tensors())

    def decode() -> tuple[Tensor, ...]:
        with plan.autocast():
            return (simulator.autoencoder.decode(state.latent),)

    track_ms, step_ms, decode_ms = (
        _time(capture(one, plan), plan) for one in (track, step, decode)
    )
    frames = decode()
    copy_ms = _time(lambda: (to_host(frames[0]),), plan)
    engine = make_engine(simulator, sessions, plan)
    known = known_start(simulator)
    said = {engine.join(engine.board(f"{n}", n, known)): one for n, one in _first(sessions)}

    def whole() -> tuple[Tensor, ...]:
        engine.step(said)
        return ()

    whole_ms = _time(whole, plan)
    picture = known.frames[-1]
    encode_ms = _time(lambda: (encode(picture, encoding), ())[1], DevicePlan(torch.device("cpu")))
    times = sessions // rows
    spent = times * (step_ms + decode_ms + copy_ms)
    values = (track_ms, step_ms - track_ms, decode_ms, copy_ms)
    track, draw, decoded, copied = (round(times * value, 3) for value in values)
    return Parts(
        config, _mode(plan), sessions, track, draw, decoded, copied,
        round(whole_ms - spent, 3), round(sessions * encode_ms, 3),
    )  # fmt: skip


def _first(sessions: int) -> list[tuple[int, Controls]]:
    return [(n, inputs(n, 1)[0]) for n in range(sessions)]


def _time(act: Step, plan: DevicePlan, repeats: int = 30) -> float:
    """Return the median milliseconds: processor time on a CPU, else until it is done."""
    clock = time.perf_counter if plan.device.type == "cuda" else time.thread_time
    milliseconds = []
    for _ in range(WARM_ROUNDS + repeats):
        finish(plan)
        start_s = clock()
        act()
        finish(plan)
        milliseconds.append(1e3 * (clock() - start_s))
    return statistics.median(milliseconds[WARM_ROUNDS:])


def _mode(plan: DevicePlan) -> str:
    if plan.graph:
        return "compiled graph" if plan.compiled else "graph"
    return "apart" if plan.apart else "together"


def measure_row(
    simulator: Simulator,
    plan: DevicePlan,
    config: str,
    sessions: int,
    rounds: int,
    encoding: EncodingConfig,
) -> Row:
    """Let so many sessions play, and sum up what they got."""
    if plan.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    engine = make_engine(simulator, sessions, plan)
    measure(engine, encoding, sessions, WARM_ROUNDS)
    for session in engine.sessions:
        engine.leave(session)
    start_s, start_cpu_s = time.perf_counter(), time.process_time()
    seconds = measure(engine, encoding, sessions, rounds)
    wall_s, cpu_s = time.perf_counter() - start_s, time.process_time() - start_cpu_s
    p50, p99 = (1e3 * float(np.percentile(seconds, q)) for q in (50, 99))
    cpu_ms = 1e3 * cpu_s / len(seconds)
    return Row(
        config, plan.device.type, _mode(plan), sessions, round(p50, 2), round(p99, 2),
        round(rounds / wall_s, 1), round(cpu_ms, 2), round(1e3 / cpu_ms, 1), memory_mib(plan),
    )  # fmt: skip


def _plans(plan: DevicePlan, sessions: int) -> list[DevicePlan]:
    """Return the plan, and on a CPU also that of sessions computed together."""
    return [plan, replace(plan, apart=False)] if plan.apart and sessions > 1 else [plan]


@click.command()
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@click.option(
    "--config", "configs", multiple=True, default=("tiny",), show_default=True,
    help="tiny, fast, paper, a base's name or a checkpoint's folder; may be given more than once.",
)  # fmt: skip
@click.option("--slots", default="1,8,32", show_default=True, help="Numbers of sessions.")
@click.option("--rounds", default=100, show_default=True, help="Frames of each session.")
@click.option("--format", "name", type=click.Choice(FORMATS), default="jpeg", show_default=True)
@click.option("--quality", default=90, show_default=True, help="Of JPEG or WebP.")
@click.option("--compile", "compiled", is_flag=True, help="torch.compile first (cuda only).")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
def main(
    device: str,
    configs: tuple[str, ...],
    slots: str,
    rounds: int,
    name: str,
    quality: int,
    compiled: bool,
    as_json: bool,
) -> None:
    """Time event to encoded frame, and say where the time goes."""
    torch.set_num_threads(1)
    try:
        plan = plan_for(device, compiled)
    except DeviceMissing as missing:
        print(missing, file=sys.stderr)
        sys.exit(4)
    encoding = EncodingConfig(name, quality, workers=max(1, min(8, (os.cpu_count() or 2) - 1)))
    rows: list[Row] = []
    parts: list[Parts] = []
    for config in configs:
        simulator = load(config)
        for sessions in map(int, slots.split(",")):
            for one in _plans(plan, sessions):
                rows.append(measure_row(simulator, one, config, sessions, rounds, encoding))
                print(rows[-1], file=sys.stderr)
                parts.append(measure_parts(simulator, one, sessions, config, encoding))
                print(parts[-1], file=sys.stderr)
    _print_tables(rows, parts)
    if as_json:
        print(json.dumps(_report(rows, parts, plan, encoding)))


def _print_tables(rows: list[Row], parts: list[Parts]) -> None:
    for table in (rows, parts):
        names = list(asdict(table[0]))
        print("| " + " | ".join(names) + " |")
        print("|" + "---|" * len(names))
        for row in table:
            print("| " + " | ".join(str(value) for value in asdict(row).values()) + " |")
        print()


def _report(
    rows: list[Row], parts: list[Parts], plan: DevicePlan, encoding: EncodingConfig
) -> dict[str, Any]:
    at_15_fps: dict[str, int] = {}
    for row in rows:
        fits = row.sessions if row.p99_ms < BUDGET_MS else 0
        key = f"{row.config}, {row.mode}"
        at_15_fps[key] = max(fits, at_15_fps.get(key, 0))
    about = circumstances(PACKAGES)
    if plan.device.type == "cuda":
        about["machine"]["gpu"] = torch.cuda.get_device_name()
        about["versions"]["cuda"] = torch.version.cuda
    return {
        "schema": SCHEMA,
        "rows": [asdict(row) for row in rows],
        "parts": [asdict(part) for part in parts],
        "sessions_at_15_fps": at_15_fps,
        "encoding": asdict(encoding),
        **about,
    }


if __name__ == "__main__":
    main()
